"""A process into which pandas never comes.

pyarrow loads it, where it is installed, to look whether a list that becomes a column is of it: 44 MB of every child, for nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Refusing(MetaPathFinder):
    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is of no use to a worker's child", name=name)
        return None


def refuse_pandas() -> None:
    """Let this process be as one in whose environment pandas is not installed."""
    sys.meta_path.insert(0, _Refusing())
