"""What `packsight backup` and `packsight restore` do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from packsight.deploy.backup import bringing, settings_text, soundness, taking
from packsight.deploy.backup.folder import BackupFolder
from packsight.deploy.stack.state import StackFolder
from packsight.indexer.tables import size
from packsight.shared import advice
from packsight.shared.catalog.signatures import Keyring
from packsight.shared.catalog.trust import NOT_CHECKED
from packsight.shared.contract.errors import StorageAway, UserError
from packsight.shared.progress import steps
from packsight.shared.settings import Settings, load_settings
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

SHOWN = 10
"""Faults that are printed; the others are counted."""
_NEVER_IN_IT = ("secrets", "keys and people of the HTTP door", "the broker with queues and results")
out = Console()


def backup(folder: Path, home: Path, *, uploads: bool, skip: Sequence[str], keep: int) -> None:
    """Take a backup; exit code 1 when what it is a copy of is damaged."""
    stack = StackFolder(home)
    settings, target = _settings(stack), BackupFolder(folder)
    left_out = {_prefix(one) for one in skip} | (set() if uploads else {layout.UPLOADS})
    described = settings_text.text_of(settings, stack.load() if stack.state_file.exists() else None)
    with _reachable(folder, stack), closing(ObjectStore(settings.s3)) as store, target.locked(), steps() as told:
        copied = partial(told, "copied")
        taken = taking.take(settings, store, target, left_out=left_out, describe=described, progress=copied)
        faults = [*taken.faults, *target.unreadable(keep)]
        gone = [] if faults else target.prune(keep)  # those before it may be the last sound ones
    head = taken.head
    new = f"{taken.copied:,} of them new ({size(taken.copied_bytes)})"
    _say(f"Backup {head.name}: {head.objects:,} objects, {size(head.bytes)}, {new}. It is in {folder}.")
    if gone:
        _say(f"Removed {len(gone)} older: {', '.join(gone)}.")
    _say(f"Not in it: {', '.join([*head.left_out, *_NEVER_IN_IT])}.")
    _report(faults)


def restore(folder: Path, home: Path, *, at: str, over: bool, check: bool) -> None:
    """Bring a backup back, or with `check` only say whether it could be; exit code 1 when it is damaged."""
    stack = StackFolder(home)
    settings, source = _settings(stack), BackupFolder(folder)
    name = at or source.latest()
    head, copies = source.read(name)
    keyring = Keyring(settings.catalog.public_keys)
    with _reachable(folder, stack):
        damaged = [f"{one.key} is damaged or missing in {folder}" for one in source.damaged(copies)] if check else []
        found = damaged or [*soundness.faults(source, copies, keyring)]
        if not keyring.checks:
            _say(f"! {NOT_CHECKED[0]}. {NOT_CHECKED[1]}.")
        if check or found:
            _say(f"Backup {name} of {head.taken_at:%Y-%m-%d %H:%M} UTC: {head.objects:,} objects, {size(head.bytes)}.")
            _report(found)
            _say("Every object is there, unchanged, and the catalogs are whole.")
            return
        with closing(ObjectStore(settings.s3)) as store, steps() as told:
            done = bringing.bring(store, source, copies, over=over, progress=partial(told, "restored"))
    _say(f"Restored {name} into the bucket {settings.s3.bucket}: {done.objects:,} objects, {size(done.bytes)}.")
    if done.others:
        _say(f"{done.others:,} objects of the bucket are not the backup's and stay.")
    _say(f"Its settings, without secrets, are in {source.settings_of(name)}.")
    _say("Workers that followed a later catalog refuse this one until `packsight catalog sign` writes its pointer anew.")


def _settings(stack: StackFolder) -> Settings:
    return load_settings(stack.env_file if stack.env_file.exists() else None)


def _prefix(text: str) -> str:
    prefix = f"{text.strip('/')}/"
    if prefix in {"/", layout.CATALOGS}:
        raise UserError(f"--skip {text}: without it nothing could be restored. Name another prefix, say --skip incoming/.")
    return prefix


def _report(found: Sequence[str]) -> None:
    """Say what is wrong; exit code 1 if anything is."""
    for fault in found[:SHOWN]:
        _say(f"✗ {fault}.")
    if len(found) > SHOWN:
        _say(f"✗ and {len(found) - SHOWN:,} more.")
    if found:
        raise typer.Exit(1)


def _say(text: str) -> None:
    out.print(escape(text), highlight=False, soft_wrap=True)


@contextmanager
def _reachable(folder: Path, stack: StackFolder) -> Iterator[None]:
    """Say what to do when object storage does not answer, or the folder cannot be used."""
    try:
        yield
    except StorageAway as error:
        raise UserError(f"{error.message}. {advice.start(stack.root, 's3', 'PACKSIGHT_S3__ENDPOINT')}") from None
    except OSError as error:
        remedy = "Make room, or choose a folder that you may write to; the next run goes on from what was copied."
        raise UserError(f"{error.filename or folder} cannot be used: {error.strerror or error}. {remedy}") from None
