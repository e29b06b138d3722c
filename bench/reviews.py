"""`python -m bench.reviews SET`: a review in a real browser by keyboard, and what it is worth to photos that nobody reviewed.

A set as bench.sets has it becomes a catalog with one photo a product. Half of its labelled photos, by their hashes, are a job,
and so are the others. Chromium opens the review of the first at a running HTTP door, and what waits is answered as the labels
say by key presses alone. Verdicts are compared with the labels; after the next sync all photos that were not reviewed are asked
again, over the queue.
"""

from __future__ import annotations

import hashlib
import secrets
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import entry
from bench.browser import chromium, sign_in
from bench.photos import PhotoSet
from bench.reviewer import Given, Reviewer, agrees
from bench.set_run import served
from bench.sets import set_in
from bench.testbed import Testbed, door, testbed, worker
from packsight.indexer.examination import RefusedError
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.sync import run_sync
from packsight.producer.client import Client
from packsight.producer.evaluation import local
from packsight.producer.evaluation.labels import TOP_K, answers, items
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.rights import Right
from packsight.producer.reviews.desk import ReviewDesk
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.shares import Share
from packsight.shared.storage.verdicts import Verdict
from packsight.shared.tables.labels import Label

console = Console()
WHO = "ann"


@dataclass(frozen=True)
class _Asked:
    """A job and its answers by the sha256 of each photo."""

    job: str
    answers: Mapping[str, Answer]


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of a set: feed.xml, labels.csv, photos.")],
    reviewed: Annotated[int, typer.Option(help="Photos that are reviewed, if as many wait.")] = 60,
    sample: Annotated[float, typer.Option(help="Share of photos drawn for review, however sure their answers.")] = 0.05,
    out: Annotated[Path, typer.Option(help="Folder for the cache of compiled networks.")] = Path("bench-out"),
) -> None:
    """Review one set and print what that took and what it brought."""
    photos = set_in(folder)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="packsight-reviews-")))
        on = stack.enter_context(testbed(home, (out / "models").resolve()))
        stack.enter_context(worker(on))
        client = stack.enter_context(Client(on.settings))
        base = stack.enter_context(door(on, PACKSIGHT_REVIEW__SAMPLE=str(sample))).spec.url
        run(on, client, photos, base, reviewed)


def run(on: Testbed, client: Client, photos: PhotoSet, base: str, count: int) -> None:
    """Sync, ask, review, sync, ask again, and compare."""
    _publish(on, client, photos)
    catalog = local.Catalog.current(client, photos.name).snapshot
    names = {product.id: product.name for product in catalog.products}
    by_hash = _by_hash(photos, {row.sha256 for row in catalog.photo_table})
    labels = list(by_hash.values())
    half = _ask(client, photos, labels[: len(labels) // 2])
    before = {**half.answers, **_ask(client, photos, labels[len(labels) // 2 :]).answers}
    shown = {sha256: answer.product_id for sha256, answer in before.items()}
    password = secrets.token_hex(12)
    Accounts(on.settings.home).add_person(WHO, password, frozenset(Right), None)
    with chromium() as browser:
        sign_in(browser, base, f"/review?catalog={photos.name}&job={half.job}", WHO, password)
        given = Reviewer(browser, shown, names).review(count)
    verdicts = {sha: review.verdict for sha, review in ReviewDesk(client, photos.name).reviewed().photos.items()}
    console.print(f"{len(before)} labelled photos, {len(half.answers)} of them in the job that is reviewed")
    _show_review(given, verdicts, shown, names)
    report = _publish(on, client, photos)
    for note in report.notes:
        console.print(f"! {note}", highlight=False)
    after = _ask(client, photos, [label for sha256, label in by_hash.items() if sha256 not in verdicts]).answers
    then = local.Catalog.current(client, photos.name).snapshot
    for when, snapshot in (("before", catalog), ("after", then)):
        weights = "own" if snapshot.model.fitted else "prior"
        console.print(f"{when}: {snapshot.manifest.photos} photos, {weights} weights, matched from {snapshot.model.matched:.3f}")
    confirmed = {verdict.product for verdict in verdicts.values()} & set(names)
    for name, shas in (
        ("not reviewed", list(after)), ("of products with a photo reviewed", [one for one in after if shown[one] in confirmed])
    ):  # fmt: skip
        for when, found in (("before", before), ("after", after)):
            console.print(f"{len(shas)} {name}, {when}: {_measured([found[one] for one in shas], names)}")
    for sha256, now in after.items():
        if (was := before[sha256]).automated != now.automated:
            console.print(f"{now.image} of {now.product_id}: {_told(was)}, then {_told(now)}", highlight=False)


def _by_hash(photos: PhotoSet, listed: set[str]) -> dict[str, Label]:
    """Labelled photos in the order of their sha256, without those that are in the catalog."""
    found = {hashlib.sha256(photos.path(label).read_bytes()).hexdigest(): label for label in photos.labels}
    return {sha256: found[sha256] for sha256 in sorted(found) if sha256 not in listed}


def _publish(on: Testbed, client: Client, photos: PhotoSet) -> SyncReport:
    """Sync, and wait until the version is served; one that is refused is told, and published all the same."""
    request = SyncRequest(str(photos.feed), "", photos.name)
    try:
        report = run_sync(request, on.settings)
    except RefusedError as refused:
        console.print(f"! {refused}", highlight=False)
        report = run_sync(replace(request, force=True), on.settings)
    served(client, photos.name, on.settings)
    return report


def _ask(client: Client, photos: PhotoSet, labels: Sequence[Label]) -> _Asked:
    """Ask about labelled photos as a job of the catalog."""
    options = RecognizeOptions(catalog=photos.name, top_k=TOP_K)
    job = client.submit(items(labels, photos.root), options)
    outcomes = [row.outcome for row in sorted(client.run(job), key=lambda row: row.index)]
    return _Asked(job.id, {str(one.sha256): answer for one, answer in zip(outcomes, answers(labels, outcomes), strict=True)})


def _show_review(
    given: Sequence[Given], verdicts: Mapping[str, Verdict], shown: Mapping[str, str], names: Mapping[str, str]
) -> None:
    """What was pressed, for how long, and which verdicts are other than the labels."""
    wrong = [one for one in given if (said := verdicts.get(one.sha256)) is None or not agrees(said, shown[one.sha256], names)]
    ways = ", ".join(f"{count} {way}" for way, count in Counter(one.way for one in given).most_common())
    offered = ", ".join(f"{n} {why.value}" for why, n in Counter(one.offered for one in verdicts.values()).most_common())
    undone = sum(one.undone for one in given)
    console.print(f"{len(given)} reviewed by keyboard ({offered}): {ways}; {undone} undone and done anew")
    if given:
        keys, seconds = [one.keys for one in given], [one.seconds for one in given]
        console.print(f"keys: {statistics.median(keys):g} a photo, {sum(keys)} in all, {max(keys)} at most")
        console.print(f"seconds to the next photo: {statistics.median(seconds):.2f} a photo, {sum(seconds):.0f} in all, "
                      f"{max(seconds):.2f} at most")  # fmt: skip
    console.print(f"{len(wrong)} of {len(given)} verdicts are other than the labels say; {len(verdicts)} are kept")


def _measured(found: Sequence[Answer], names: Mapping[str, str]) -> str:
    present = [one for one in found if one.product_id in names]
    right = sum(one.automated for one in present)
    shares = {
        "automation": Share(right, len(present)), "precision": Share(right, sum(one.matched for one in found)),
        "top-1": Share(sum(one.first_right for one in present), len(present)),
    }  # fmt: skip
    return ", ".join(f"{name} {one.k}/{one.n}" + (f" = {one.value:.3f}" if one.n else "") for name, one in shares.items())


def _told(answer: Answer) -> str:
    return f"{answer.status.value} {answer.predicted} {answer.confidence:.3f}"


if __name__ == "__main__":
    console.print(f"{datetime.now(UTC):%Y-%m-%d}")
    entry.run(main)
