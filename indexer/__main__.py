"""The process of the indexer: `python -m packsight.indexer worker --beat …`, followed by what Celery's `worker` takes."""

import sys

from packsight.indexer.app import indexer_app
from packsight.shared import logs
from packsight.shared.settings import settings

if __name__ == "__main__":
    kind = settings().log_format
    logs.set_up(kind)  # Celery warns before it sets its log up
    indexer_app().start([*logs.celery_options(kind), *sys.argv[1:]])
