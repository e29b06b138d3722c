"""A shop's answers reviewed at the terminal: from outcomes to verdicts, files and figures; a product's sheet; health."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from packsight.indexer import cli as indexer_cli
from packsight.indexer import commands, looking
from packsight.producer import display
from packsight.producer.catalog_view import CatalogView, outcomes_by_product
from packsight.producer.cli import app
from packsight.producer.client import Client
from packsight.producer.reviews.desk import ReviewDesk
from packsight.producer.reviews.inbox import is_drawn
from packsight.shared.catalog.health import LISTS
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import RecognizeRequest
from packsight.shared.contract.outcomes import (
    Candidate,
    Evidence,
    Outcome,
    Product,
    Provenance,
    RecognizeResult,
    Status,
)
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.verdicts import Kind
from tests.integration.test_reviewed_sync import view
from tests.integration.test_sync import Shop, photo
from tests.recognizer import StandIn, running

pytestmark = pytest.mark.usefixtures("live_environment")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def answered(self: StandIn, raw: dict[str, Any]) -> RecognizeResult:
    """Drawn photos are matched, of the others every second one is ambiguous."""
    outcomes = []
    for number, image in enumerate(RecognizeRequest.model_validate(raw).images):
        sha = image.rpartition("/")[2]
        status = Status.MATCHED if is_drawn(sha, 0.5) else (Status.AMBIGUOUS, Status.NO_MATCH)[number % 2]
        confidence = {Status.MATCHED: 0.99, Status.AMBIGUOUS: 0.5, Status.NO_MATCH: 0.001}[status]
        product = Product(id="1", name="Cream number 1")
        outcomes.append(Outcome(
            image=image, status=status, confidence=confidence, sha256=sha, product=product if status is Status.MATCHED else None,
            candidates=[Candidate(product=product, confidence=confidence, evidence=Evidence())],
            provenance=Provenance(catalog="default", catalog_version="v1", embedder="e", spotter="s"),
        ))  # fmt: skip
    return RecognizeResult(outcomes=outcomes)


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore) -> Shop:
    """Three products, the first two with a second photo, published."""
    made = Shop(tmp_path / "shop", live_settings, store)
    for identity in list(made.names)[3:]:
        made.remove(identity)
    for identity in "1", "2":
        (made.folder / "extra" / f"code{identity}" / "1.png").write_bytes(view(int(identity), 0))
    (made.folder / "extra" / "code3" / "1.png").unlink()
    made.sync()
    return made


@pytest.fixture
def job(shop: Shop, tmp_path: Path, live_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A job of twelve photos that has ended."""
    monkeypatch.setenv("PACKSIGHT_REVIEW__SAMPLE", "0.5")
    monkeypatch.setattr(StandIn, "recognize", answered)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.jpg").write_bytes(photo(3000 + number))
    with running(live_settings), Client() as client:
        made = client.submit([str(folder)])
        list(client.run(made))
        yield made.id


def test_answers_are_reviewed_at_the_terminal(job: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display.page, "_width", 40)  # what is to be typed and read is whole on any screen
    waiting = [json.loads(line) for line in run("review", "list", "--json", "--limit", 99).stdout.splitlines()]
    sampled = [one["index"] for one in waiting if one["offered"] == "sample"]
    unsure = [one["index"] for one in waiting if one["offered"] == "unsure"]
    assert sampled and unsure and not set(sampled) & set(unsure)
    listed = run("review", "list", job, "--limit", 99).stdout
    assert "drawn by lot" in listed and "…" not in listed.replace("right|other|…", "")
    for one in waiting:
        assert f"{job} {one['index']}  {one['status']} " in listed and one["name"] in listed

    assert "Cream number 2" in run("review", "search", "cream", "2").stdout
    said = run("review", "say", job, unsure[0], "other", "--product", "2", "--by", "Ann").stdout
    assert "shows 2" in said
    with pytest.raises(UserError, match="no product 99"):
        CliRunner().invoke(app, ["review", "say", job, str(unsure[0]), "other", "--product", "99"], catch_exceptions=False)
    given = [json.loads(line) for line in run("review", "show", "--json").stdout.splitlines()]
    assert [(one["verdict"], one["product_id"], one["by"], one["offered"]) for one in given] == [("other", "2", "Ann", "unsure")]
    told = run("review", "show").stdout
    assert given[0]["id"] in told and f"{given[0]['at']:.10} " in told and "Ann · answered" in told and "…" not in told
    monkeypatch.setattr(display.page, "_width", 200)
    assert unsure[0] not in [json.loads(line)["index"] for line in run("review", "list", "--json").stdout.splitlines()]
    run("review", "undo", given[0]["id"], "--by", "Bob")
    assert "No answer of catalog default has been reviewed" in run("review", "show").stdout

    table = tmp_path / "waiting.csv"
    run("review", "export", table, "--waiting")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["verdict"] = "not_listed" if int(row["index"]) == sampled[0] else "right"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert f"{len(rows)} verdicts taken in" in run("review", "import", table, "--by", "Ann").stdout
    assert f"0 verdicts taken in, {len(rows)} said before" in run("review", "import", table, "--by", "Ann").stdout
    figures = json.loads(run("review", "figures", "--json").stdout)
    assert (figures["reviewed"], figures["wrong"], figures["promise"]) == (len(sampled), 1, "open")
    assert figures["reviewed_for_other_reasons"] == len(unsure)
    run("review", "export", tmp_path / "all.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert len(lines) == len(rows) + 2 and [line["counts"] for line in lines[:2]] == ["no", "no"]
    for name in ("all.jsonl", "all.csv"):
        run("review", "export", tmp_path / name)
        again = run("review", "import", tmp_path / name, "--by", "Bob").stdout
        assert f"0 verdicts taken in, {len(rows)} said before, 2 rows without one, 0 wrong" in again, name

    other = tmp_path / "others.csv"
    other.write_text(f"job,index,verdict,product_id\n{job},{sampled[0]},right,\n{job},99,right,\n{job},{unsure[0]},other,77\n")
    wrong = run("review", "import", other, "--by", "Bob", code=1)
    assert "1 verdicts taken in, 0 rows without one, 2 wrong" in wrong.stdout
    told = " ".join(wrong.stderr.split())  # lines are broken where the folder's name lets them end
    assert "catalog default has no product 77" in told and "there is no outcome 99" in told
    assert "Bob says shows 1, as answered, Ann: not in the catalog" in " ".join(wrong.stderr.split()), "a conflict is told"
    with Client() as client:
        assert len(ReviewDesk(client, "default").reviewed().disputed) == 1
        first = ReviewDesk(client, "default").waiting([job])[0]
        assert first.row.index == sampled[0] and first.review is not None, "what is disputed comes first"


def test_a_promise_that_is_surely_broken_is_an_alarm(job: str) -> None:
    with Client() as client:
        desk = ReviewDesk(client, "default")


        for one in desk.waiting():
            desk.give(one.row, Kind.ABSENT, by="Ann", offered=one.offered)
    assert "THE PROMISE IS BROKEN" in run("review", "figures", code=1).stdout


def test_a_product_and_the_catalogs_health_are_seen(
    shop: Shop, live_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = CatalogView(shop.store, live_settings, "default")
    counts = found.counts()
    assert set(counts) == set(LISTS) and (counts["one_photo"], counts["no_photo"]) == (1, 0)
    assert list(found.rows("one_photo")) == [{"id": "3", "name": "Cream number 3"}]
    sheet = found.sheet("3")
    assert (sheet.product.name, len(sheet.photos), sheet.reviewed) == ("Cream number 3", 1, 0)
    assert sheet.photos[0].words == (f"word{sheet.photos[0].row.sha256[:6]}",), "as it was read"
    assert any(line.startswith("Another view") for line in sheet.advice)
    assert LISTS["one_photo"].title in sheet.findings
    assert [row.id for row in found.products().search("cream number")] == ["1", "2", "3"]
    assert [row.id for row in found.products().search("crea 2")] == ["2"] and found.products().search("soap") == []
    assert [row.id for row in found.products().search("code3")] == ["3"]
    with pytest.raises(UserError, match="no product 9"):
        found.sheet("9")
    assert outcomes_by_product([]) == {}

    monkeypatch.setattr(commands, "settings", lambda: live_settings)
    monkeypatch.setattr(looking, "settings", lambda: live_settings)
    monkeypatch.setattr(commands.out, "_width", 200)

    def health(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(indexer_cli.app, ["catalog", "health", *words])
        assert result.exit_code == code, result.output
        return result.stdout

    assert "Products with a single photo" in health()
    assert "Cream number 3" in health("one_photo")
    health("one_photo", "--csv", str(tmp_path / "one.csv"))
    assert (tmp_path / "one.csv").read_text("utf-8-sig") == "id,name\n3,Cream number 3\n"
    with pytest.raises(UserError, match="There is no list nonsense"):
        CliRunner().invoke(indexer_cli.app, ["catalog", "health", "nonsense"], catch_exceptions=False)
    before = found.products().version
    (shop.folder / "feed.xml").write_text("")
    shop.names["3"] = "Cream number 3"
    feed = Path(shop.write())
    feed.write_text(feed.read_text().replace("<name>Cream number 3</name>", "<name>Cream number 3</name><price>7</price>"))
    shop.write = lambda: str(feed)  # type: ignore[method-assign]
    assert shop.sync().published and found.products().version != before
    assert found.counts()["one_photo"] == 1, "a new price changes nothing of that"
