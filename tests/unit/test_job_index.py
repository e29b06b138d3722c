"""The index of a job that pages read, as a file of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from packsight.producer.http.page.job_index import JobIndex, Wanted
from packsight.shared.storage.jobs import JobManifest

MANIFEST = JobManifest(job="20260304-050607-abcdef", images=0)
TOGETHER = 8


def test_a_new_file_may_be_opened_by_several_requests_at_once(tmp_path: Path) -> None:
    start = Barrier(TOGETHER)

    def opened(path: Path) -> tuple[int, int]:
        index = JobIndex(path, MANIFEST)
        start.wait()
        return index.revision, index.find(Wanted(), 0, 10).total

    with ThreadPoolExecutor(TOGETHER) as pool:
        for number in range(20):
            assert set(pool.map(opened, [tmp_path / f"{number}.db"] * TOGETHER)) == {(0, 0)}
