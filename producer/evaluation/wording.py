"""The measures in words and figures for people, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packsight.producer.evaluation.against import Comparison, Verdict
from packsight.producer.evaluation.automation import PRECISION, best_operation
from packsight.producer.evaluation.metrics import Answer, Summary, band_of, summarise
from packsight.producer.evaluation.stages import Way
from packsight.shared.contract import references
from packsight.shared.contract.outcomes import Status
from packsight.shared.shares import Share

HEADINGS = ("Auto-\nmation", "Preci-\nsion", "Top-1", "Top-5", "Nearest", "Absent\nrejected", "Present\nrejected", "ECE")
NAMES = {
    "appearance": "appearance only",
    "words": "words only",
    "baseline-2020": "formula of 2020",
    "details": "key points only",
    "everything": "everything asked",
    "fitted": "fitted",
}
WAY_HEADINGS = ("Answered by", "Photos", "Share", "Matched and right", "Precision", "Seconds a photo")
VERDICT_HEADINGS = ("", "Then", "Now", "Won", "Lost", "By chance")
SETTLED = (
    "Settled: matched and right, or not matched where the catalog lacks the product. By chance: how probable so uneven a split "
    "is if neither is better (sign test)."
)

_NAMED = 5
"""Photos that are named of each kind of failure."""


def shown(share: Share) -> str:
    """A share for people: `0.94  16/17  (0.73 to 0.99)`."""
    if share.value is None or share.interval is None:
        return "–"
    return f"{share.value:.2f}  {share.k}/{share.n}  ({share.interval[0]:.2f} to {share.interval[1]:.2f})"


def rows(found: Sequence[Answer], precision: float = PRECISION) -> list[tuple[str, str]]:
    """Each measure with its name for people, what can be left to the machine first."""
    total = summarise(found)
    return [
        ("Automation (matched and right)", shown(total.automation)),
        ("Precision of matched", shown(total.precision)),
        (f"Automation at best (precision {precision:g})", _best(found, precision)),
        ("First candidate right (top-1)", shown(total.top1)),
        ("Among the first five (top-5)", shown(total.top5)),
        ("First candidate nearest or right", shown(total.top1_nearest)),
        ("Absent, rightly not matched", shown(total.absent_rejected)),
        ("Present, wrongly not matched", shown(total.present_rejected)),
        ("Expected calibration error", calibration(total.calibration_error, band_of(found))),
    ]


def calibration(error: float | None, band: tuple[float, float] | None) -> str:
    """A calibration error beside what chance alone gives: `0.045  (calibrated: 0 to 0.071)`."""
    return "–" if error is None or band is None else f"{error:.3f}  (calibrated: {band[0]:g} to {band[1]:.3f})"


def _best(found: Sequence[Answer], precision: float) -> str:
    best = best_operation(found, precision)
    return f"{shown(best.automation)}, from {best.threshold:.2f} on" if best else "no threshold reaches it"


def heading(total: Summary) -> str:
    """What was measured."""
    return f"{total.count} photos ({total.present} present, {total.absent} absent, {total.failed} failed)"


def answered_by(catalog: str, versions: Mapping[str, int]) -> str:
    """Which versions answered how many photos: `Catalog default, version v1: 16 photos`."""
    counts = ", ".join(f"version {version}: {_count(photos)}" for version, photos in versions.items())
    return f"Catalog {catalog}, {counts or 'of which no version answered'}"


def mixture(versions: Mapping[str, int]) -> str:
    """What is wrong with figures of several versions; empty where one answered."""
    if len(versions) < 2:
        return ""
    return (
        f"{len(versions)} versions answered, so that the measures are of a mixture: another version was published or rolled back "
        "meanwhile, or one is tried as a canary. Evaluate again when one version answers all; the rows of --json name each "
        "photo's version."
    )


def _count(photos: int) -> str:
    return f"{photos} photo" if photos == 1 else f"{photos} photos"


def failures(found: Sequence[Answer]) -> list[str]:
    """Which photos failed, by why: `2 × image_broken: a.jpg, b.jpg`."""
    names: dict[str, list[str]] = {}
    for answer in found:
        if answer.failed:
            names.setdefault(answer.failure or Status.FAILED.value, []).append(references.shown(answer.image))
    return [
        f"{len(of)} × {code}: {', '.join(of[:_NAMED])}" + (f" and {len(of) - _NAMED} more" if len(of) > _NAMED else "")
        for code, of in sorted(names.items(), key=lambda one: (-len(one[1]), one[0]))
    ]


def shares(summary: Summary) -> tuple[Share, ...]:
    """The shares in the order of HEADINGS."""
    return (
        summary.automation, summary.precision, summary.top1, summary.top5, summary.top1_nearest,
        summary.absent_rejected, summary.present_rejected,
    )  # fmt: skip


def way_cells(way: Way) -> tuple[str, ...]:
    """A way in the order of WAY_HEADINGS."""
    share = "–" if way.share.value is None else f"{way.share.value:.2f}"
    return way.name, str(way.share.k), share, _of(way.automation), _of(way.precision), f"{way.total:.3f}"


def _of(share: Share) -> str:
    return "–" if share.value is None else f"{share.value:.2f}  {share.k}/{share.n}"


def both(comparison: Comparison) -> str:
    """How many photos are compared, and by what."""
    if not comparison.photos:
        return "no photo that both have with the same product, so that nothing is compared."
    return f"{_count(comparison.photos)} that both have. {SETTLED}"


def verdicts(comparison: Comparison) -> list[tuple[str, ...]]:
    """Each criterion in the order of VERDICT_HEADINGS."""
    named = (("Settled", comparison.settled), ("First candidate right", comparison.first))
    return [(name, *_verdict(verdict)) for name, verdict in named]


def _verdict(verdict: Verdict) -> tuple[str, ...]:
    changed = (str(len(verdict.won)), str(len(verdict.lost)))
    return _of(verdict.then), _of(verdict.now), *changed, f"{verdict.chance:.3f}"


def told(answer: Answer) -> str:
    """An answer in a few words: `matched 4711 0.98`."""
    return f"{answer.status.value} {answer.predicted} {answer.confidence:.2f}" if answer.predicted else answer.status.value
