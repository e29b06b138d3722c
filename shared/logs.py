"""Logging of worker and indexer: one line per event, what is machine-readable as key=value or as a JSON object."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from packsight.shared.contract.errors import Dependency, Outage, PutOff
from packsight.shared.contract.references import plain, plain_lines, shown

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "data"}


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class _Formatter(logging.Formatter):
    """Writes nothing that a terminal obeys and no secret of an address, whoever logs: libraries write what messages hold."""

    def __init__(self, kind: LogFormat) -> None:
        super().__init__()
        self._kind = kind

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extras = {name: _clean(name, value) for name, value in record.__dict__.items() if name not in _STANDARD}
        message = plain(record.getMessage())
        trace = plain_lines(self.formatException(record.exc_info)) if record.exc_info else ""
        if self._kind is LogFormat.JSON:
            line = {"at": at, "level": record.levelname, "logger": record.name, "message": message, **extras}
            return json.dumps({**line, "trace": trace} if trace else line, default=str, ensure_ascii=False)
        pairs = "".join(f" {key}={value}" for key, value in extras.items())
        return f"{at} {record.levelname:<7} {record.process} {record.name}: {message}{pairs}" + (f"\n{trace}" if trace else "")


def _clean(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return shown(value) if name == "image" else plain(value)


def set_up(kind: LogFormat, level: int = logging.INFO) -> None:
    """Send all logging of this process to standard error in one format."""
    # What no line says is not asked for, which takes a quarter from the price of one (Python's logging how-to, "Optimization").
    logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(kind))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # That of billiard, which hands nothing on to the root.
    logging.getLogger("multiprocessing").handlers = [handler]
    # Celery writes every result out in full and every tick of its clock; our own lines say it shorter.
    for name in ("celery.app.trace", "celery.worker.strategy", "celery.beat"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger("celery.app.trace").addFilter(_handed_back)
    # At WARNING it may log a whole address, with the signature of a presigned one.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def _handed_back(record: logging.LogRecord) -> bool:
    """Take the trace from the line of a batch that is handed back as is meant to be: it may be one every few seconds.

    Behind any other reason, such as an answer of the result database, may be a defect.
    """
    reason = getattr(record.exc_info[1], "reason", None) if record.exc_info else None  # of Celery's Reject
    if isinstance(reason, PutOff) or (isinstance(reason, Outage) and reason.dependency is Dependency.CATALOG):
        record.exc_info = None
    return True
