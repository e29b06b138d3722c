"""Flower, which watches and changes nothing: `python -m packsight.deploy.flower_app flower`. Its app holds no task.

Its own options may be set by FLOWER_… all the same, except those that would open it.
"""

from __future__ import annotations

import os
import sys

from flower.options import default_options as options
from flower.views.monitor import Healthcheck, Metrics
from tornado import web

from packsight.shared import logs
from packsight.shared.contract.errors import UserError
from packsight.shared.queue.app import make_app
from packsight.shared.settings import Settings, load_settings

_FIXED = {
    # Every button and every address that would send a task or an order to a worker answers 403.
    "FLOWER_READ_ONLY": "true",
    # Workers send events by themselves; asking them to is an order, which they refuse.
    "FLOWER_ENABLE_EVENTS": "false",
}
_DEFAULTS = {
    "FLOWER_PERSISTENT": "true",
    "FLOWER_STATE_SAVE_INTERVAL": "10000",
    "FLOWER_MAX_TASKS": "10000",
    "FLOWER_PURGE_OFFLINE_WORKERS": "3600",
}
_OPENING = ("FLOWER_BASIC_AUTH", "FLOWER_UNAUTHENTICATED_API", "FLOWER_AUTH")


def prepare(config: Settings) -> None:
    """Set Flower's options; raises UserError when there is no password."""
    password = config.flower.password.get_secret_value()
    if not password:
        raise UserError("Flower has no password. Set PACKSIGHT_FLOWER__PASSWORD, or PACKSIGHT_FLOWER__PASSWORD_FILE to its file.")
    if not f"{config.flower.user}{password}".isascii():
        raise UserError("Flower can compare ASCII alone. Give PACKSIGHT_FLOWER__USER and …__PASSWORD without other characters.")
    for name in _OPENING:
        os.environ.pop(name, None)
    os.environ.update(_FIXED)
    for name, value in {**_DEFAULTS, "FLOWER_DB": str(config.home / "flower")}.items():
        os.environ.setdefault(name, value)
    # Not by environment, where a comma would part it.
    options.basic_auth = [f"{config.flower.user}:{password}"]
    for page in (Metrics, Healthcheck):
        page.get = web.authenticated(page.get)


if __name__ == "__main__":
    try:
        settings = load_settings()
        logs.set_up(settings.log_format)
        prepare(settings)
    except UserError as error:
        sys.exit(f"flower: {error}")
    app = make_app("packsight-flower", settings)
    app.set_default()  # Flower asks for results by whatever app is the process's own
    app.start(sys.argv[1:])
