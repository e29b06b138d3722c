"""A small chaos run: one of each fault that needs no networks; `make chaos` runs long ones."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from tests.chaos.plan import BROKER, STORE, Fault, Kind
from tests.chaos.run import Run, document
from tests.chaos.stage import Watch
from tests.chaos.standins import standins

PLAN = [
    Fault(Kind.KILL_CHILD, "worker", 0, 4),
    Fault(Kind.KILL, STORE, 1, 4),
    Fault(Kind.FREEZE_CHILD, "worker-2", 2, 4),
    Fault(Kind.FREEZE, "worker", 2, 4),
    Fault(Kind.CUT, BROKER, 0, 4),
    Fault(Kind.FILL, BROKER, 1, 4),
    Fault(Kind.KILL, BROKER, 0, 4),
    Fault(Kind.STOP, "worker-2", 0, 4),
    Fault(Kind.KILL, "worker", 0, 4),
]
"""Nothing is done to the broker just after a child died: a message that is let go of wrongly would come back all the same."""


def test_every_photo_has_one_right_outcome_whatever_breaks(tmp_path: Path) -> None:
    with standins(tmp_path, ("worker", "worker-2")) as stage:
        stage.send(56, seconds=0.2)
        run, began = Run(stage, PLAN, 120, print), time.time()
        assert run.go()
        judgement = stage.judge(print)
        with closing(Watch(stage)) as watch:
            found = document(run, judgement, watch.ends(), began, in_time=True)
    assert judgement.holds, judgement
    assert not found["died_by_themselves"]
    assert sorted(event["kind"] for event in found["done"]) == sorted(fault.kind for fault in PLAN)
    assert found["photos"] == 224
    assert found["worst_recovery"]["recovered_s"] > 0
