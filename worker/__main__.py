"""The process of a recognition worker: `python -m packsight.worker worker …`, followed by what Celery's `worker` takes."""

import sys

from packsight.worker.app import app
from packsight.worker.queue import tasks

__all__ = ["tasks"]  # imported here, since Celery would put the current folder first on the path for it

if __name__ == "__main__":
    app.start(sys.argv[1:])
