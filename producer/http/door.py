"""What all endpoints share, made once for a server: the client of the queue, who may come in, and the limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from packsight.producer.broker import answering
from packsight.producer.client import Client
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.errands import Errand, Errands, Kind, Otherwise
from packsight.producer.http.limits import Places, Rates
from packsight.producer.http.manifests import Manifests
from packsight.producer.http.refusal import Refused
from packsight.producer.http.repeats import Repeats
from packsight.producer.http.sessions import Sessions, own_secret
from packsight.producer.summary import State, Summary
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.settings import S3, Settings
from packsight.shared.storage.jobs import Job, JobManifest
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.web import Web


@dataclass(frozen=True, slots=True)
class Door:
    """Of one server."""

    settings: Settings
    client: Client
    accounts: Accounts
    sessions: Sessions
    rates: Rates
    """Of whoever is known, by name."""
    sign_ins: Rates
    """Of whoever is not, by address."""
    waiting: Places
    """Of requests that wait for workers."""
    large: Places
    """Of requests that take in or give out much, or for long: jobs, uploads, streams of results."""
    manifests: Manifests
    """What jobs ask for that it was asked about."""
    errands: Errands
    """What was accepted and has still to be done."""
    repeats: Repeats
    """Which jobs were submitted by requests that may be sent twice."""
    web: Web
    """Asks the hosts of webhooks."""
    signer: ObjectStore
    """Object storage as it is called by those who send photos past this server; only signs."""

    @classmethod
    def of(cls, settings: Settings) -> Door:
        """Open it; no server need answer yet."""
        http = settings.http
        client = Client(settings)
        secret = http.session_secret.get_secret_value() or own_secret(settings.home)
        return cls(
            settings=settings,
            client=client,
            accounts=Accounts(settings.home),
            sessions=Sessions(secret, http.session_hours * 3600),
            rates=Rates(http.requests_per_minute),
            sign_ins=Rates(http.sign_ins_per_minute),
            waiting=Places(http.in_work),
            large=Places(http.large),
            manifests=Manifests(client),
            errands=Errands(client.ledger.client, settings.queue.result_expires),
            repeats=Repeats(client.ledger.client, settings.queue.result_expires),
            web=Web(settings.fetch),
            signer=ObjectStore(_as_others_call_it(settings)),
        )

    def close(self) -> None:
        """Close the connections."""
        self.web.close()
        self.signer.close()
        self.client.close()

    def have_done(self, errand: Errand) -> None:
        """Have something done beside the requests, by this server or the next.

        Raises QueueAway; Refused (409) for a retry of other failures than one that is not done.
        """
        try:
            with answering(self.settings):
                self.errands.add(errand)
        except Otherwise:
            raise Refused(
                409, ErrorCode.CONFLICT, f"Job {errand.job} is to be asked again about other failures, which comes first",
                remedy="Ask again when that has ended.", retryable=True,
            ) from None  # fmt: skip

    def standing(self, manifest: JobManifest) -> Summary:
        """How a job stands; one whose failed photos are to be asked again runs from when that was accepted. Raises QueueAway."""
        with answering(self.settings):
            # Asked first: once they have been queued they have no outcomes any more.
            again = self.errands.is_left(Kind.RETRY, manifest.job)
        summary = self.client.summary(manifest)
        return replace(summary, state=State.RUNNING, again=True) if again else summary

    def cancel(self, job: Job) -> Summary:
        """Have no more of a job worked on, nor asked again; raises UserError where nothing of it is left to be done."""
        with answering(self.settings):
            dropped = self.errands.drop(Kind.RETRY, job.id)
        summary = self.client.summary(job.manifest)
        return summary if dropped and summary.final else self.client.cancel(job)


def _as_others_call_it(settings: Settings) -> S3:
    if not settings.http.store:
        return settings.s3
    parts = urlsplit(settings.http.store)
    return settings.s3.model_copy(update={"endpoint": parts.netloc, "secure": parts.scheme == "https"})


async def door(request: Request) -> Door:
    """The door of the server that a request came to."""
    found: Door = request.app.state.door
    return found


TheDoor = Annotated[Door, Depends(door)]
