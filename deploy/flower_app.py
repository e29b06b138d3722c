"""The app that Flower watches through: `python -m packsight.deploy.flower_app flower`. It holds the settings and no task."""

from __future__ import annotations

import sys

from packsight.shared.queue.app import make_app
from packsight.shared.settings import settings

if __name__ == "__main__":
    make_app("packsight-flower", settings()).start(sys.argv[1:])
