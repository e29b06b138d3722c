"""How well a catalog is recognised: labelled photos through the queue, as a job like any other.

The table of labels has the columns `image` and `product_id` (empty: the catalog does not hold the product), and may
have `nearest_id` (the product that comes closest) and `kind` (several, `;` between them). docs/evaluate.md lists the
keys of the JSON; shares are 0 to 1, and None where there is nothing to divide by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from producer.client import Client, Idle
from producer.metrics import Answer, Share, Summary, by_kind, summarise
from producer.rows import Row
from producer.sources import Item, read_table
from producer.submit import Job
from producer.upload import Unreadable
from shared.errors import UserError

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Label:
    """What a photo shows; `product_id` is empty when the catalog does not hold it."""

    image: str
    product_id: str
    nearest_id: str
    kinds: tuple[str, ...]


def read_labels(path: Path, *, kind: str = "kind") -> list[Label]:
    """Read a table of labels; `kind` is the column of kinds. Raises UserError when a column or all rows are missing."""
    labels = []
    for number, row in enumerate(read_table(path), start=2):
        if missing := {"image", "product_id"} - row.keys():
            raise UserError(f"{path} has no column {' and '.join(sorted(missing))}; it has {', '.join(row)}.")
        if not row["image"].strip():
            raise UserError(f"{path}, line {number}: the image is empty. Every row must name a photo.")
        product = row["product_id"].strip()
        kinds = tuple(dict.fromkeys(part.strip() for part in row.get(kind.lower(), "").split(";") if part.strip()))
        labels.append(Label(row["image"].strip(), product, row.get("nearest_id", "").strip() or product, kinds))
    if not labels:
        raise UserError(f"{path} has no rows. Each row names a photo and its product.")
    return labels


def submit(client: Client, labels: Sequence[Label], root: Path, *, catalog: str, batch_size: int = 16) -> Job:
    """Upload the labelled photos, paths from `root` on, and write the job; raises UserError when one cannot be read."""
    items = [Item(label.image, label.image if "://" in label.image else root / label.image) for label in labels]
    for item in items:
        if isinstance(item.where, Path) and not item.where.is_file():
            raise UserError(f"{item.where} does not exist. Correct the labels or name the photos' folder with --root.")

    def refuse(one: Unreadable) -> None:
        raise UserError(f"{one.name} cannot be read: {one.reason}. All labelled photos must be readable.")

    return client.submit(items, catalog=catalog, top_k=TOP_K, batch_size=batch_size, unreadable=refuse)


def answers(labels: Sequence[Label], rows: Iterable[Row]) -> list[Answer]:
    """Pair labels with outcomes by their place in the job, in the order of the labels."""
    return [
        Answer(
            image=labels[row.index].image,
            product_id=labels[row.index].product_id,
            nearest_id=labels[row.index].nearest_id,
            kinds=labels[row.index].kinds,
            status=row.outcome.status,
            candidates=tuple(candidate.product.id for candidate in row.outcome.candidates),
            confidence=row.outcome.confidence,
            failure=row.outcome.failure.code.value if row.outcome.failure else "",
        )
        for row in sorted(rows, key=lambda row: row.index)
    ]


def evaluate(
    client: Client, labels: Sequence[Label], root: Path, *, catalog: str = "default", idle: Idle | None = None
) -> list[Answer]:
    """Recognise all labelled photos; returns one answer per label, in their order."""
    job = submit(client, labels, root, catalog=catalog)
    return answers(labels, client.run(job, idle=idle))


def document(found: Sequence[Answer]) -> dict[str, Any]:
    """The JSON of an evaluation: the measures over all photos, the same for each kind, and one row per photo."""
    return {
        **_measures(summarise(found)),
        "by_kind": {kind: _measures(summary) for kind, summary in by_kind(found).items()},
        "rows": [_row(answer) for answer in found],
    }


def _measures(summary: Summary) -> dict[str, Any]:
    shares = {
        name: getattr(summary, name)
        for name in ("top1", "top5", "top1_nearest", "absent_rejected", "present_rejected", "precision", "recall")
    }
    return {
        **{name: share.value for name, share in shares.items()},
        "count": summary.count,
        "present": summary.present,
        "absent": summary.absent,
        "failed": summary.failed,
        "calibration_error": summary.calibration_error,
        "counts": {name: {"k": share.k, "n": share.n} for name, share in shares.items()},
        "intervals": {name: list(share.interval) if share.interval else None for name, share in shares.items()},
    }


def _row(answer: Answer) -> dict[str, Any]:
    row = asdict(answer)
    return {
        "image": row["image"],
        "product_id": row["product_id"],
        "nearest_id": row["nearest_id"],
        "kind": ";".join(row["kinds"]),
        "status": answer.status.value,
        "predicted": answer.predicted,
        "top5": list(answer.candidates[:5]),
        "in_top5": answer.present and answer.product_id in answer.candidates[:5],
        "confidence": answer.confidence,
        "correct": answer.correct,
        "failure": answer.failure,
    }


def shown(share: Share) -> str:
    """A share for people: `0.94  16/17  (0.73 to 0.99)`."""
    if share.value is None or share.interval is None:
        return "–"
    return f"{share.value:.2f}  {share.k}/{share.n}  ({share.interval[0]:.2f} to {share.interval[1]:.2f})"
