"""From what is known of a photo and what the catalog says to it, to its outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Outcome, Provenance, Status
from packsight.shared.matching.decision import Decision
from packsight.worker.pipeline.extracted import Extracted


@dataclass(frozen=True, slots=True)
class Answer:
    """Makes the outcomes of a batch, which all rest on the same."""

    catalog: str
    embedder: str
    spotter: str
    version: str | None = None

    def by(self, snapshot: Snapshot) -> Answer:
        """The same from this version of the catalog."""
        return replace(self, version=snapshot.manifest.version)

    def of(self, photo: Extracted, decision: Decision, *further: Decision) -> Outcome:
        """Outcome of a photo that was decided about; `further` are those of less sure products on it."""
        features = photo.features
        if features is None:
            raise ValueError(f"{photo.reference} was decided about without features")
        products = [one.candidates[0] for one in (decision, *further) if one.status is Status.MATCHED]
        return Outcome(
            image=photo.reference,
            status=decision.status,
            product=decision.product,
            region=products[0].region if products else None,
            confidence=decision.confidence,
            products=products,
            candidates=decision.candidates,
            reason=decision.reason,
            lacking=list(decision.lacking),
            words=list(features.words),
            words_complete=features.complete,
            size=(features.width, features.height),
            sha256=photo.sha256,
            provenance=self._provenance(),
            timings=_rounded(photo.timings),
        )

    def failed(self, photo: Extracted) -> Outcome:
        """Outcome of a photo that cannot be answered."""
        return Outcome(
            image=photo.reference,
            status=Status.FAILED,
            reason=photo.failure.message if photo.failure else "",
            sha256=photo.sha256 or None,
            failure=photo.failure,
            provenance=self._provenance(),
            timings=_rounded(photo.timings),
        )

    def _provenance(self) -> Provenance:
        return Provenance(
            catalog=self.catalog, catalog_version=self.version, embedder=self.embedder, spotter=self.spotter
        )


def _rounded(timings: dict[str, float]) -> dict[str, float]:
    """Seconds as they are told: to 10 µs."""
    return {stage: round(seconds, 5) for stage, seconds in timings.items()}
