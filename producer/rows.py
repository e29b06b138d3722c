"""One image of a job with its ending: what exports, reports, frames and evaluations are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import Field

from packsight.shared.contract.outcomes import Outcome


class _Line(Outcome):
    name: str = ""
    job: str = ""
    index: int = 0
    extra: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """An image of a job: its place in the manifest (from 0), the name it was submitted under, its outcome."""

    job: str
    index: int
    name: str
    outcome: Outcome
    extra: Mapping[str, str] = field(default_factory=dict)
    """The producer's own columns."""

    @cached_property
    def line(self) -> str:
        """One line of JSON: `name`, `job`, `index`, where there are any the own columns, and the outcome's fields with a value.

        Made once, however many files take it.
        """
        about = {"name": self.name, "job": self.job, "index": self.index, **({"extra": dict(self.extra)} if self.extra else {})}
        head = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
        return f"{head[:-1]},{self.outcome.model_dump_json(exclude_none=True)[1:]}"

    @classmethod
    def of_line(cls, line: str | bytes) -> Row:
        """Read a line back; raises pydantic.ValidationError when it is none."""
        read = _Line.model_validate_json(line)
        return cls(read.job, read.index, read.name, read, read.extra)
