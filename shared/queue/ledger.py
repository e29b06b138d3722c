"""The three books of the queue, beside each other in the result database: jobs, results, deliveries."""

from __future__ import annotations

from packsight.shared.queue.connection import result_database
from packsight.shared.queue.deliveries import Deliveries
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.queue.results import Results
from packsight.shared.settings import Settings


class Ledger:
    """Opens the books over one connection pool; make it in the process that uses it.

    Every key in them has a time to live, so nothing piles up when a producer goes away.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = result_database(settings)
        self.jobs = JobsLedger(self.client, settings.queue.result_expires)
        self.results = Results(self.client)
        self.deliveries = Deliveries(self.client, settings.queue.result_expires)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
