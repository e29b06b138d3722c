"""zstd: the standard library's where that has it (PEP 784, from Python 3.14 on), else the same module from PyPI."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from packsight.shared.extras import Later

if TYPE_CHECKING:
    from backports import zstd
else:
    zstd = Later("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", extra="matching")

__all__ = ["zstd"]
