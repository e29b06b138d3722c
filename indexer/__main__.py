"""The process of the indexer: `python -m packsight.indexer worker --beat …`, followed by what Celery's `worker` takes."""

import sys

from packsight.indexer import tasks
from packsight.indexer.app import app

__all__ = ["tasks"]  # imported here, since Celery would put the current folder first on the path for it

if __name__ == "__main__":
    app.start(sys.argv[1:])
