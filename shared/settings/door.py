"""The door that people and other services come in by, and the answers that people look at."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from packsight.shared.settings.section import Secret, Section
from packsight.shared.settings.servers import is_host


def _public_store(text: str) -> str:
    kind, _, host = text.rstrip("/").partition("://")
    if text and (kind not in {"http", "https"} or not is_host(host)):
        raise PydanticCustomError("store", "write it as https://host or http://host:port")
    return text


class Http(Section):
    """The HTTP door, `packsight serve`."""

    host: str = "127.0.0.1"
    """Address of the interface that it listens on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """0 = any that is free."""
    max_body: int = Field(default=40_000_000, gt=0)
    """Bytes of a request: the largest photo (PACKSIGHT_FETCH__MAX_BYTES) with the form around it, or as base64 one of 30 million;
    a table of a hundred thousand addresses."""
    requests_per_minute: int = Field(default=1200, gt=0)
    """Of one client or person, over a minute; what was not used of it can be used at once."""
    sign_ins_per_minute: int = Field(default=10, gt=0)
    """Of one address, of IPv6 one /64: whoever guesses passwords gets no further, whoever mistypes theirs does."""
    in_work: int = Field(default=64, gt=0)
    """Requests that wait for a worker's answer at a time; further ones are refused with 429."""
    large: int = Field(default=24, gt=0)
    """Requests at a time that take in or give out much, or for long: jobs, uploads, streams of results and progress."""
    messages_ahead: int = Field(default=2_000, gt=0)
    """Messages of a job that wait for workers at a time: some 4 MB of the broker. A large job is queued within seconds, so that
    the next one has its turn."""
    body_seconds: float = Field(default=60.0, gt=0)
    """For a request's body to come in: 40 MB at 6 Mbit/s."""
    deadline: float = Field(default=60.0, gt=0)
    """Seconds that a request waits for a worker's answer at most, and unless it says how long; as long as the command does."""
    session_hours: float = Field(default=12.0, gt=0)
    """After which a person has to sign in again: a working day."""
    session_secret: Secret = SecretStr("")
    """Signs sessions; empty: one that is made once below PACKSIGHT_HOME. Several servers of one address need the same."""
    upload_seconds: int = Field(default=3600, gt=0, le=7 * 24 * 3600)
    """For which an address that photos are sent to can be used."""
    store: Annotated[str, AfterValidator(_public_store)] = ""
    """Where object storage is for those who send photos past the server (`https://photos.example.com`); empty: where it is for
    us."""
    proxies: str = ""
    """Addresses of proxies in front, with commas between: who comes through them is who they say in X-Forwarded-For. Empty:
    nobody is believed, and all that come through a proxy count as one when sign-ins are counted."""
    https: bool = False
    """Whether people come over https alone (a proxy in front): then browsers send the session over nothing else."""


class Review(Section):
    """Answers that people look at."""

    sample: float = Field(default=0.05, ge=0, le=1)
    """Share of the `matched` answers that are drawn by lot, by a hash of the photo, and offered for review however sure they are:
    of a thousand photos fifty, which tell 2 % of wrong ones from 10 %."""
    precision: float = Field(default=0.98, gt=0, lt=1)
    """Promised precision of `matched` answers, which is what versions are calibrated for."""
    days: float = Field(default=90.0, gt=0)
    """How far back reviewed answers count for the figure that is held against it: what was mended is forgotten after a season."""
