"""Jobs that were accepted are put on the queue, and failed photos again, beside the requests."""

from __future__ import annotations

from packsight.producer import publish
from packsight.producer.backoff import RetryPolicy
from packsight.producer.client import Client
from packsight.producer.http.errands import Alive, Errand, Errands, Kind
from packsight.producer.jobs import NoSuchJob
from packsight.producer.publish import Publisher
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue.ledger import JobRemoved


def enqueue(client: Client, errand: Errand, alive: Alive) -> None:
    """Queue what of a job never was; nothing of one that was cancelled or removed."""
    retry = RetryPolicy(client.settings.queue.outage_seconds)
    bound = client.settings.http.messages_ahead
    try:
        job = client.load(errand.job)
        if client.ledger.is_cancelled(job.id):
            return
        publisher = Publisher(client.app, client.ledger, job, resumed=True)
        for _ in publish.enqueue(client.ledger, publisher, bound=bound, retry=retry, idle=lambda _: alive()):
            alive()
    except (NoSuchJob, JobRemoved):
        return


def ask_again(client: Client, errands: Errands, errand: Errand, alive: Alive) -> None:
    """Queue a job's failed photos again; interrupted, it goes on with those that still have failed.

    The new end is told too. Where nothing is asked again there is none: who asks again when told of an end would never finish.
    """
    try:
        job = client.load(errand.job)
        if not errands.is_left(errand.kind, job.id):
            return  # the job was cancelled meanwhile
        cancelled = client.ledger.is_cancelled(job.id)
        if cancelled and errand.codes and ErrorCode.CANCELLED not in errand.codes:
            return  # by somebody at a terminal
        # Noted before anything is asked again: whoever goes on after an interruption finds nothing of that any more.
        noted = cancelled or client.ledger.jobs.is_half_taken_back(job.id)
        if noted:
            errands.again(Kind.WEBHOOK, job.id)
        bound = client.settings.http.messages_ahead
        for _ in client.again(job, errand.codes, max_in_flight=bound, idle=lambda _: alive()):
            if not noted:
                errands.again(Kind.WEBHOOK, job.id)
                noted = True
            alive()
    except (NoSuchJob, JobRemoved):
        return
