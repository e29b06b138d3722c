"""What `packsight worker` tells Celery."""

from __future__ import annotations

import pytest

from packsight.shared.contract.messages import DESCRIBE_QUEUE, WORKER_QUEUES
from packsight.worker.commands import arguments


@pytest.mark.parametrize(("describe_only", "queues"), [(False, WORKER_QUEUES), (True, (DESCRIBE_QUEUE,))])
def test_a_worker_takes_from_all_queues_unless_it_only_describes(describe_only: bool, queues: tuple[str, ...]) -> None:
    line = arguments("recognizer@%h", describe_only=describe_only)
    assert line[line.index("--queues") + 1].split(",") == list(queues)
