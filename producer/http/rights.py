"""Who asks, and what they may do: the value that every endpoint is handed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from packsight.producer.http.refusal import Refused
from packsight.shared.contract.errors import ErrorCode


class Right(StrEnum):
    """What a client or a person may be allowed; `admin` includes the others."""

    RECOGNISE = "recognise"
    """Ask about single photos."""
    JOBS = "jobs"
    """Submit jobs, upload photos for them, read their results, stop and repeat them."""
    REVIEW = "review"
    """See answers and say whether they are right."""
    ADMIN = "admin"


class Kind(StrEnum):
    """How somebody was recognised."""

    CLIENT = "client"
    """A program, by its key."""
    PERSON = "person"
    """Somebody who signed in."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks."""

    name: str
    kind: Kind
    rights: frozenset[Right]
    catalogs: frozenset[str] | None
    """Catalogs that they may ask and whose jobs they may see; None = all."""

    @property
    def called(self) -> str:
        """As they are counted, and told of it: a program and a person may have the same name."""
        return f"{self.kind} {self.name}"

    def may(self, right: Right) -> bool:
        """Whether they have a right."""
        return right in self.rights or Right.ADMIN in self.rights

    def sees(self, catalog: str) -> bool:
        """Whether a catalog is one of theirs."""
        return self.catalogs is None or catalog in self.catalogs

    def require(self, right: Right) -> None:
        """Raise Refused (403) without this right."""
        if not self.may(right):
            raise Refused(
                403, ErrorCode.ACCESS_DENIED, f"{self.name} has no right to this: it needs `{right}`",
                remedy=f"Have the operator give it: `packsight {_COMMAND[self.kind]} grant {self.name} --right {right}`.",
            )  # fmt: skip

    def require_catalog(self, catalog: str) -> None:
        """Raise Refused (403) for a catalog that is none of theirs."""
        if not self.sees(catalog):
            raise Refused(
                403, ErrorCode.ACCESS_DENIED, f"{self.name} has no right to the catalog {catalog}",
                remedy=f"Have the operator give it: `packsight {_COMMAND[self.kind]} grant {self.name} --catalog {catalog}`.",
            )  # fmt: skip


_COMMAND = {Kind.CLIENT: "keys", Kind.PERSON: "people"}
