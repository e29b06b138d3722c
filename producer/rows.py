"""One image of a job with its ending: what exports, reports and evaluations are made of."""

from __future__ import annotations

from dataclasses import dataclass

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Failure, Outcome, Status
from packsight.shared.storage.jobs import JobImage


@dataclass(frozen=True, slots=True)
class Row:
    """An image of a job: its place in the manifest (from 0), the name it was submitted under, its outcome."""

    job: str
    index: int
    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of one task; `first` is the place of the first of them in the manifest, `index` that of the batch."""

    task_id: str
    index: int
    first: int
    images: list[JobImage]

    @property
    def job(self) -> str:
        """The job's id, which the task's id starts with."""
        return self.task_id.rpartition("-")[0]

    def rows(self, outcomes: list[Outcome]) -> list[Row]:
        """Pair the images with outcomes in their order."""
        return [
            Row(self.job, self.first + number, image.name, outcome)
            for number, (image, outcome) in enumerate(zip(self.images, outcomes, strict=True))
        ]

    def failed(self, code: ErrorCode, message: str) -> list[Row]:
        """One failed outcome per image, for a task that ended without a result."""
        failure = Failure.of_code(code, message)
        return self.rows(
            [
                Outcome(
                    image=image.reference, status=Status.FAILED, failure=failure, reason=message, sha256=image.sha256
                )
                for image in self.images
            ]
        )
