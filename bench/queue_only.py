"""(d) A worker without networks: transport, `Batch`, messages and results are the real ones, the answers are not.

Its outcomes are those of real photos, kept in the file BENCH_OUTCOMES, under the references that are asked for.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from packsight.shared.contract.messages import RECOGNIZE, RecognizeRequest, parse_request
from packsight.shared.contract.outcomes import Outcome, RecognizeResult
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.process import take_over_logging
from packsight.shared.queue.pulse import Pulse, pulse
from packsight.shared.settings import settings
from packsight.worker.queue.delivery import Batch, BatchKind
from packsight.worker.queue.request import BatchTask

log = logging.getLogger(__name__)
take_over_logging()
app = make_app("bench-queue-only", settings(), include=["bench.queue_only"])


@lru_cache(maxsize=1)
def _books() -> tuple[Ledger, DeadLetters, Pulse]:
    return Ledger(settings()), DeadLetters(settings()), pulse()


@lru_cache(maxsize=1)
def _outcomes() -> list[Outcome]:
    return [Outcome.model_validate_json(line) for line in Path(os.environ["BENCH_OUTCOMES"]).read_text().splitlines()]


def _look(request: RecognizeRequest, _: str) -> list[Outcome]:
    known = islice(cycle(_outcomes()), len(request.images))
    return [outcome.model_copy(update={"image": image}) for image, outcome in zip(request.images, known, strict=True)]


KIND = BatchKind(RECOGNIZE, RecognizeRequest, Outcome, _look)


@app.task(name=RECOGNIZE, bind=True, base=BatchTask, typing=False)  # type: ignore[untyped-decorator]
def recognize(self: BatchTask, raw: dict[str, Any]) -> RecognizeResult:
    """As worker.queue.tasks.recognize, with a stand-in for the pipeline."""
    request = parse_request(RecognizeRequest, raw)
    outcomes = Batch(KIND, self.request.id, request, *_books(), self.deadline).answer()
    for outcome in outcomes:
        details = {"action": outcome.status.value, "task_id": self.request.id, "image": outcome.image}
        log.info("%s: %s", outcome.status.value, outcome.image, extra=details)
    return RecognizeResult.of(outcomes)
