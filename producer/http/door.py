"""What all endpoints share, made once for a server: the client of the queue, who may come in, and the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from packsight.producer.client import Client
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.limits import Places, Rates
from packsight.producer.http.sessions import Sessions, own_secret
from packsight.shared.settings import Settings


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

    @classmethod
    def of(cls, settings: Settings) -> Door:
        """Open it; no server need answer yet."""
        http = settings.http
        secret = http.session_secret.get_secret_value() or own_secret(settings.home)
        return cls(
            settings=settings,
            client=Client(settings),
            accounts=Accounts(settings.home),
            sessions=Sessions(secret, http.session_hours * 3600),
            rates=Rates(http.requests_per_minute),
            sign_ins=Rates(http.sign_ins_per_minute),
            waiting=Places(http.in_work),
        )

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


async def door(request: Request) -> Door:
    """The door of the server that a request came to."""
    found: Door = request.app.state.door
    return found


TheDoor = Annotated[Door, Depends(door)]
