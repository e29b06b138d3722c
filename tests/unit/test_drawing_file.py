"""The file into which `packsight explain` draws."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from packsight.producer import drawing, explain
from packsight.producer.report import Report
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import Failure, Outcome
from packsight.shared.settings import Settings


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _half(path: Path, *_: object) -> None:
    path.write_bytes(b"half")
    _full()


@pytest.mark.parametrize(("name", "of", "what", "failing"), [
    ("why.html", Report, "finish", _full), ("why.png", drawing, "write_png", _half),
])  # fmt: skip
def test_a_drawing_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, of: object, what: str, failing: Callable[..., None]
) -> None:
    client: Any = SimpleNamespace(settings=Settings(), store=SimpleNamespace(bucket="packsight"))
    row = Row("", 0, "a.jpg", Outcome.failed("s3://packsight/a.jpg", Failure.of_code(ErrorCode.FILE_EMPTY, "empty")))
    monkeypatch.setattr(of, what, failing)
    with pytest.raises(UserError, match="No space left on device"):
        explain.draw(client, row, tmp_path / name)
    assert not list(tmp_path.iterdir())
