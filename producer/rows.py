"""One image of a job with its ending: what exports, reports, frames and evaluations are made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from packsight.shared.contract.outcomes import Outcome


class _Line(Outcome):
    name: str = ""
    job: str = ""
    index: int = 0


@dataclass(frozen=True)
class Row:
    """An image of a job: its place in the manifest (from 0), the name it was submitted under, its outcome."""

    job: str
    index: int
    name: str
    outcome: Outcome

    @cached_property
    def line(self) -> str:
        """One line of JSON: the outcome's fields behind `name`, `job` and `index`. Made once, however many files take it."""
        about = {"name": self.name, "job": self.job, "index": self.index}
        head = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
        return f"{head[:-1]},{self.outcome.model_dump_json()[1:]}"

    @classmethod
    def of_line(cls, line: str | bytes) -> Row:
        """Read a line back; raises pydantic.ValidationError when it is none."""
        read = _Line.model_validate_json(line)
        return cls(read.job, read.index, read.name, read)
