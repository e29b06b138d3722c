"""Children × threads never exceed what the container may run."""

from pathlib import Path

import pytest

from packsight.shared.settings import Worker
from packsight.worker.process.cores import divide, processes, usable_cores, usable_memory


@pytest.mark.parametrize(
    ("cores", "worker", "expected"),
    [
        (1, Worker(), (1, 1)),
        (2, Worker(), (2, 1)),
        (8, Worker(), (8, 1)),
        (8, Worker(children=2), (2, 4)),
        (3, Worker(children=2), (2, 1)),
        (2, Worker(children=4), (4, 1)),
        (4, Worker(children=1, threads=3), (1, 3)),
    ],
)
def test_the_cores_are_divided_among_the_children(cores: int, worker: Worker, expected: tuple[int, int]) -> None:
    assert divide(worker, cores, memory=64e9) == expected


def test_a_container_quota_below_the_affinity_wins(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path) == 1


def test_half_a_core_still_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path) == 1


def test_the_older_control_groups_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 1


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "nothing-here") >= 1


def test_where_memory_is_short_fewer_children_take_more_threads() -> None:
    assert divide(Worker(), 8, memory=4e9) == (2, 4)
    assert divide(Worker(), 2, memory=1e9) == (1, 2)
    assert divide(Worker(children=4), 8, memory=1e9) == (4, 2)


def test_a_container_limit_below_the_machine_s_memory_wins(tmp_path: Path) -> None:
    unlimited = usable_memory(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_memory(tmp_path) == unlimited > 1e9
    (tmp_path / "memory.max").write_text("1000000000\n")
    assert usable_memory(tmp_path) == 1e9


def test_spare_children_come_on_top_where_memory_allows() -> None:
    assert processes(Worker(), 2, memory=64e9) == 3
    assert processes(Worker(spare=0), 2, memory=64e9) == 2
    assert processes(Worker(children=1, spare=2), 4, memory=64e9) == 3
    assert processes(Worker(), 2, memory=3e9) == 2
    assert processes(Worker(children=4), 2, memory=3e9) == 4
