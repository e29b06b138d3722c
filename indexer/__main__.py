"""The process of the indexer: `python -m packsight.indexer worker --beat …`, followed by what Celery's `worker` takes."""

import sys

from packsight.indexer.app import app

if __name__ == "__main__":
    app.start(sys.argv[1:])
