"""What libraries write goes the same way as our own lines."""

from __future__ import annotations

import json
import logging
import warnings

import pytest
from celery.exceptions import Reject

from packsight.shared import logs
from packsight.shared.contract.errors import Dependency, Outage, PutOff
from packsight.shared.logs import LogFormat


def test_warnings_and_what_is_said_of_children_are_lines_like_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    logging.captureWarnings(False)  # pytest has its own way around each test, which an earlier one may have covered
    try:
        logs.set_up(LogFormat.JSON)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("one line\nand another", stacklevel=1)
        of_children = logging.getLogger("multiprocessing")
        of_children.propagate = False  # as billiard has it
        of_children.error("a child ended")
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        logging.captureWarnings(False)
        logging.getLogger("multiprocessing").handlers = []
        logging.getLogger().handlers = before
    assert [line["logger"] for line in lines] == ["py.warnings", "multiprocessing"]
    assert "one line" in lines[0]["message"] and lines[1]["message"] == "a child ended"


RESULTS = Reject(Outage(Dependency.RESULTS, "ResponseError: a broken script"), requeue=True)


@pytest.mark.parametrize("expected", [Outage(Dependency.CATALOG, "an older release"), PutOff("to be had later", 60.0)])
@pytest.mark.parametrize("defect", [ValueError("a defect"), RESULTS])
def test_a_batch_that_is_handed_back_is_one_line_and_what_may_be_a_defect_keeps_its_trace(
    expected: Exception, defect: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    before = logging.getLogger().handlers[:]
    of_tasks = logging.getLogger("celery.app.trace")
    try:
        logs.set_up(LogFormat.TEXT)
        for raised in (Reject(expected, requeue=True), defect):
            try:
                raise raised
            except Exception:
                of_tasks.warning("a task: %s", raised, exc_info=True)
        lines = capsys.readouterr().err.splitlines()
    finally:
        logging.captureWarnings(False)
        logging.getLogger("multiprocessing").handlers = []
        logging.getLogger().handlers = before
    assert repr(expected) in lines[0]
    assert [line.startswith("Traceback") for line in lines[1:3]] == [False, True]
