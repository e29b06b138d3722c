"""How our processes of Celery start: where their log goes, and what they do by their arguments."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from celery.signals import celeryd_after_setup, setup_logging

from packsight.shared import logs
from packsight.shared.queue.app import App
from packsight.shared.settings import settings


def take_over_logging() -> None:
    """Have Celery leave the log of this process and its children to us."""
    setup_logging.connect(_set_up_logging)
    celeryd_after_setup.connect(_silence_billiard)


def _set_up_logging(loglevel: int | None = None, **_: Any) -> None:
    logs.set_up(settings().log_format, loglevel or logging.INFO)


def _silence_billiard(**_: Any) -> None:
    """Let billiard write no line of its own in a child that has not set its log up yet; called before there are children."""
    os.environ.pop("_MP_FORK_LOGLEVEL_", None)


def start(app: Callable[[], App]) -> None:
    """Do as the arguments of this process say: `worker …`, followed by what Celery's `worker` takes."""
    kind = settings().log_format
    logs.set_up(kind)  # Celery warns before it sets its log up
    without_banner = ["--quiet"] if kind is logs.LogFormat.JSON else []
    app().start([*without_banner, *sys.argv[1:]])
