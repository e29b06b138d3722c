"""Labelled photos through the queue, as a job like any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packsight.producer.client import Client
from packsight.producer.evaluation.labels import TOP_K, Label, items, unreadable
from packsight.producer.submit import Job
from packsight.producer.upload import Unreadable


def submit(
    client: Client,
    labels: Sequence[Label],
    root: Path,
    *,
    catalog: str,
    batch_size: int = 16,
    read_all: bool = False,
) -> Job:
    """Upload the labelled photos, paths from `root` on, and write the job; raises UserError when one cannot be read."""

    def refuse(one: Unreadable) -> None:
        raise unreadable(one.name, one.reason)

    return client.submit(
        items(labels, root),
        catalog=catalog,
        top_k=TOP_K,
        batch_size=batch_size,
        read_all=read_all,
        unreadable=refuse,
    )
