"""The app that Flower watches through: `celery -A deploy.flower_app flower`. It holds the settings and no task."""

from __future__ import annotations

from shared.celery_app import make_app
from shared.settings import settings

app = make_app("packsight-flower", settings())
