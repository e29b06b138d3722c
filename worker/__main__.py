"""The process of a recognition worker: `python -m packsight.worker worker …`, followed by what Celery's `worker` takes."""

import sys

from packsight.shared import logs
from packsight.shared.settings import settings
from packsight.worker.app import worker_app

if __name__ == "__main__":
    kind = settings().log_format
    logs.set_up(kind)  # Celery warns before it sets its log up
    worker_app().start([*logs.celery_options(kind), *sys.argv[1:]])
