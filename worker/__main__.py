"""The process of a recognition worker: `python -m packsight.worker worker …`, followed by what Celery's `worker` takes."""

import sys

from packsight.worker.app import worker_app

if __name__ == "__main__":
    worker_app().start(sys.argv[1:])
