"""Two evaluations of the same labels photo by photo: which photos were won, which were lost, and could that be chance?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from packsight.producer.evaluation.metrics import Answer
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.shares import Share


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    image: str
    product_id: str
    nearest_id: str
    status: Status
    top5: tuple[str, ...]
    confidence: float


class _Earlier(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    rows: list[_Row]


@dataclass(frozen=True, slots=True)
class Change:
    """A photo as it was answered then and as it is now."""

    then: Answer
    now: Answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """The photos judged by one criterion.

    chance: probability that at least as uneven a split of the changed photos arises when neither is better (two-sided sign test).
    """

    then: Share
    now: Share
    won: tuple[Change, ...]
    lost: tuple[Change, ...]
    chance: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed since an earlier evaluation, over the photos that both have with the same label.

    settled: matched and right, or not matched where the catalog lacks the product; first: the first candidate right, whatever
    the status, over listed products.
    """

    file: str
    settled: Verdict
    first: Verdict
    only_then: tuple[str, ...]
    only_now: tuple[str, ...]

    @property
    def photos(self) -> int:
        """How many both have."""
        return self.settled.now.n


def read(path: Path) -> list[Answer]:
    """The answers of an earlier evaluation; raises UserError for a file that cannot be read or is none."""
    try:
        rows = _Earlier.model_validate_json(path.read_bytes()).rows
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Correct --against.") from None
    except ValidationError:
        raise UserError(f"{path} is no evaluation. Name a file that `packsight evaluate --json` has written.") from None
    return [Answer(row.image, row.product_id, row.nearest_id, (), row.status, row.top5, row.confidence) for row in rows]


def compare(file: str, then: Iterable[Answer], now: Iterable[Answer]) -> Comparison:
    """Pair the answers by photo and label; a photo that is asked several times is paired in order."""
    before, after = _by_label(then), _by_label(now)
    pairs: list[Change] = []
    only_then: list[str] = []
    only_now: list[str] = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key, []), after.get(key, [])
        both = min(len(old), len(new))
        pairs += [Change(*one) for one in zip(old, new, strict=False)]
        only_then += [answer.image for answer in old[both:]]
        only_now += [answer.image for answer in new[both:]]
    return Comparison(
        file,
        _verdict(pairs, lambda answer: answer.settled),
        _verdict([pair for pair in pairs if pair.now.present], lambda answer: answer.first_right),
        tuple(only_then),
        tuple(only_now),
    )


def sign_test(won: int, lost: int) -> float:
    """Two-sided exact probability of a split at least as uneven, each change being as likely a gain as a loss.

    Dixon and Mood, The statistical sign test, JASA 41, 1946; 1 where nothing changed.
    """
    changed = won + lost
    tail, ways = 0, 1  # to choose k of those that changed, each from the one before: thousands of changes are counted at once
    for k in range(min(won, lost) + 1):
        tail += ways
        ways = ways * (changed - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << changed))


def _by_label(answers: Iterable[Answer]) -> dict[tuple[str, str], list[Answer]]:
    found: defaultdict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        found[answer.image, answer.product_id].append(answer)
    return found


def _verdict(pairs: Sequence[Change], right: Callable[[Answer], bool]) -> Verdict:
    won = tuple(pair for pair in pairs if right(pair.now) and not right(pair.then))
    lost = tuple(pair for pair in pairs if right(pair.then) and not right(pair.now))
    return Verdict(
        Share(sum(right(pair.then) for pair in pairs), len(pairs)),
        Share(sum(right(pair.now) for pair in pairs), len(pairs)),
        won,
        lost,
        sign_test(len(won), len(lost)),
    )
