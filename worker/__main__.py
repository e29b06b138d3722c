"""The process of a recognition worker: `python -m packsight.worker worker …`, followed by what Celery's `worker` takes."""

from packsight.shared.queue.process import start
from packsight.worker.app import worker_app

if __name__ == "__main__":
    start(worker_app)
