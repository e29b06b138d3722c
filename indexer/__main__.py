"""The process of the indexer: `python -m packsight.indexer worker --beat …`, followed by what Celery's `worker` takes."""

from packsight.indexer.app import indexer_app
from packsight.shared.queue.process import start

if __name__ == "__main__":
    start(indexer_app)
