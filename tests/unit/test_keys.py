"""Whatever a sender calls its task, its keys are those of nothing else."""

from __future__ import annotations

import inspect
import re

from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.queue import keys, registry
from packsight.shared.storage.jobs import job_of

ROOMS = {
    **{name: make("") for name, make in inspect.getmembers(keys, inspect.isfunction) if name != "tried"},
    "tried": keys.tried("", "").removesuffix(":"),
    "child": registry.CHILD,
    "replica": registry.REPLICA,
    "served": registry.SERVED,
    "process": registry.PROCESS,
    "group": "celery-taskset-meta-",
}
"""What the keys of a kind begin with."""
SINGLE = {name: value for name, value in vars(keys).items() if name.isupper()}
OURS = {("errands", "errands_failed"), ("errand", "submission"), ("job", "REMOVALS")}
"""Of one room, by names that no sender chooses: kinds of errands, and a job's, which is never empty."""
PARTS = sorted({part for key in (*ROOMS.values(), *SINGLE.values()) for part in re.split(r"([:-])", key)})


def test_no_kind_of_key_lies_in_the_room_of_another() -> None:
    kinds = {**ROOMS, **SINGLE}
    assert {(one, other) for one in ROOMS for other in kinds if one != other and kinds[other].startswith(ROOMS[one])} == OURS


@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=3)).map("".join))
def test_no_id_of_a_task_names_a_key_of_another_kind(task_id: str) -> None:
    named = {"partial": keys.partial(task_id), "task_result": keys.task_result(task_id), "stopped": keys.stopped(job_of(task_id))}
    for kind, key in named.items():
        assert [room for room, start in ROOMS.items() if key.startswith(start)] == [kind]
        assert key not in SINGLE.values()
