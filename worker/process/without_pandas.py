"""A process into which pandas never comes.

pyarrow loads it, where it is installed, to look whether a list that becomes a column is of it: 44 MB of every child, for nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _Without(PathFinder):
    """Finds what is installed, but not pandas: whoever only asks whether it is there is told so, too."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if fullname == "pandas" else super().find_spec(fullname, path, target)


def refuse_pandas() -> None:
    """Let this process be as one in whose environment pandas is not installed."""
    sys.meta_path[:] = [_Without if finder is PathFinder else finder for finder in sys.meta_path]
