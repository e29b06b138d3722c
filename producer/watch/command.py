"""What `packsight watch` does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import typer
from rich.markup import escape

from packsight.producer.client import Client
from packsight.producer.excluded import Excluded
from packsight.producer.watch.arrivals import Folder, Prefix
from packsight.producer.watch.watcher import SUFFIX, Watcher
from packsight.shared.contract.errors import SOME_FAILED, UserError
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.references import plain
from packsight.shared.progress import console
from packsight.shared.storage.jobs import JobAbout


def watch(
    source: str, out: Path | None, options: RecognizeOptions, about: JobAbout, exclude: Iterable[str], *, once: bool
) -> None:
    """Submit what arrives below a folder or prefix, until Ctrl-C or SIGTERM; with `once` until all is answered."""
    if not source:
        raise UserError("What is to be watched is empty: a shell variable may not be set. Name a folder or s3://bucket/prefix/.")
    with Client() as client:
        if source.startswith("s3://"):
            if out is None:
                raise UserError("Name a folder for the results with --out: they cannot lie beside photos in object storage.")
            place: Folder | Prefix = Prefix(source, client.store, Excluded(exclude))
        elif Path(source).is_dir():
            place, out = Folder(Path(source), Excluded(exclude)), out or Path(source)
        else:
            raise UserError(f"{source} is no folder. Name one, or s3://bucket/prefix/.")
        about = about.model_copy(update={"source": place.name})
        with closing(Watcher(client, place, out, options, about, _tell)) as watcher, _told_to_stop() as stop:
            _tell(f"Watching {source}; results go to {out}, each as NAME{SUFFIX}. Ctrl-C ends it.")
            watcher.run(stop, once=once)
            if stop.is_set():
                left = f"{watcher.in_work:,} photos are with the workers; the same command goes on with them."
                _tell(f"Stopped. {left if watcher.in_work else ''}".strip())
            if once and watcher.failed:
                raise typer.Exit(SOME_FAILED)


def _tell(sentence: str) -> None:
    console.print(escape(plain(sentence)), soft_wrap=True)


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that nothing is cut off in its middle; a second one ends the process at once."""
    stop = threading.Event()

    def hear(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, hear)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
