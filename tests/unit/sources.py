"""Python files as tests read them that look at the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement, also inside functions, but none of the expressions: a tenth of what `ast.walk` goes through."""
    ahead: list[ast.AST] = [tree]
    while ahead:
        node = ahead.pop()
        yield node
        for block in _BLOCKS:
            ahead.extend(getattr(node, block, ()))
