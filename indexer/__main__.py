"""The process of the indexer: `python -m packsight.indexer worker --beat …`, followed by what Celery's `worker` takes."""

import sys

from packsight.indexer.app import indexer_app

if __name__ == "__main__":
    indexer_app().start(sys.argv[1:])
