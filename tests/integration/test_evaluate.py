"""Evaluations over a real broker and object store, by a worker that answers from drawn features."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from packsight.producer.cli import app
from packsight.producer.client import Client
from packsight.producer.evaluation import local
from packsight.producer.evaluation.variants import Variant, match
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.contract.outcomes import Outcome
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables.labels import Label
from packsight.shared.vision.features import Features
from tests.describer import Describer, describing
from tests.trust import UNCHECKED
from tests.unit.matching_catalog import RECIPE, photo, shop

QUERIES = {
    "clear": ("p6", "", photo("clear", ["GRAVELLE", "Eye Serum"], 6)),
    "words": ("p10", "", photo("words", ["KERMOLO", "Beard Oil"], 99)),
    "looks": ("p4", "", photo("looks", [], 4)),
    "misled": ("p2", "", photo("misled", ["DERVINA", "Rose Shampoo"], 3)),
    "stranger": ("", "p5", photo("stranger", ["ZUMBROT", "Floor Wax"], 77)),
}
"""Product, nearest product and features of the labelled photos; one of them shows another product than its label says."""


@dataclass
class Shop:
    labels: Path
    worker: Describer
    catalog: local.Catalog


@pytest.fixture
def here(live_settings: Settings, live_environment: None, store: ObjectStore, tmp_path: Path) -> Iterator[Shop]:
    """A published catalog, labelled photos, and a worker that knows what is on them."""
    snapshot, photos = shop(tmp_path / "version", catalog="default")
    versions = CatalogStore(store, "default", UNCHECKED)
    versions.upload(tmp_path / "version")
    versions.point(snapshot.manifest.version, expected=None)
    own = [features for group in photos.values() for features in group]
    FeatureStore(store, RECIPE.parts, tmp_path / "indexer").put("sync", own)
    folder = tmp_path / "queries"
    folder.mkdir()
    known: dict[str, Features] = {}
    rows = ["image,product_id,nearest_id,kind"]
    for name, (product, nearest, features) in QUERIES.items():
        (folder / f"{name}.jpg").write_bytes(name.encode())
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        known[sha256] = replace(features, sha256=sha256)
        rows.append(f"{name}.jpg,{product},{nearest},drawn")
    (folder / "broken.jpg").write_bytes(b"no picture")
    rows.append("broken.jpg,p1,,broken")
    (folder / "labels.csv").write_text("\n".join(rows))
    with describing(live_settings, snapshot, known) as worker:
        yield Shop(folder / "labels.csv", worker, local.Catalog(snapshot))


def evaluate(file: Path, *arguments: object) -> tuple[str, dict[str, Any]]:
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--json", str(file)])
    assert done.exit_code == 0, done.output
    return done.output, json.loads(file.read_text())


def test_answers_given_here_are_those_that_come_over_the_queue(here: Shop, tmp_path: Path) -> None:
    shown, queued = evaluate(tmp_path / "queued.json", here.labels)
    assert "1 × image_broken: broken.jpg" in shown
    assert not here.worker.described
    asked_before = here.worker.recognised.copy()
    _, answered = evaluate(tmp_path / "here.json", here.labels, "--ablation")
    assert [row | {"stages": []} for row in queued["rows"]] == answered["rows"]
    assert [row["status"] for row in queued["rows"]].count("failed") == 1
    assert {row["predicted"] for row in queued["rows"]} >= {"p6", "p10", "p4"}
    assert set(here.worker.described.values()) == {1}
    assert here.worker.recognised == asked_before


def test_every_way_of_deciding_answers_as_matching_itself(here: Shop) -> None:
    labels = [Label(name, product, product, ()) for name, (product, _, _) in QUERIES.items()]
    seen = [features for _, _, features in QUERIES.values()]
    questions = local.labelled(labels, [""] * len(seen), seen, here.catalog)
    for variant in Variant:
        for features, answer in zip(seen, local.answers(questions, here.catalog, variant), strict=True):
            decision = match(features, here.catalog.snapshot, top_k=5, variant=variant)
            candidates = tuple(candidate.product.id for candidate in decision.candidates)
            assert (answer.status, answer.candidates, answer.confidence) == (
                decision.status, candidates, decision.confidence,
            )  # fmt: skip


def test_ways_of_deciding_are_measured_side_by_side(here: Shop, tmp_path: Path) -> None:
    shown, found = evaluate(tmp_path / "a.json", here.labels, "--ablation")
    assert set(found["variants"]) == {"appearance", "words", "baseline-2020", "details", "everything", "fitted"}
    right = {name: measures["counts"]["top1"]["k"] for name, measures in found["variants"].items()}
    assert right["appearance"] == 2  # clear, looks
    assert right["words"] == 2  # clear, words
    assert right["fitted"] == found["counts"]["top1"]["k"] == 3
    assert "appearance only" in shown.replace("\n", " ")


def test_a_photo_is_never_taken_for_the_product_that_was_dropped(here: Shop, tmp_path: Path) -> None:
    _, found = evaluate(tmp_path / "d.json", here.labels, "--drop-nearest")
    dropped = found["drop_nearest"]
    assert dropped["count"] == 5  # the broken photo asks nothing
    rows = {row["image"].removesuffix(".jpg"): row for row in dropped["rows"]}
    for name, (product, nearest, _) in QUERIES.items():
        assert (product or nearest) not in rows[name]["top5"]
        assert not rows[name]["product_id"]
    assert rows["clear"]["status"] != "matched"
    assert rows["misled"]["status"] == "matched"  # what it really shows is still listed
    assert dropped["k"] == sum(row["status"] != "matched" for row in dropped["rows"])
    assert dropped["rejected"] == pytest.approx(dropped["k"] / 5)


def test_a_catalog_is_asked_about_its_own_photos_without_labels_or_workers(here: Shop, tmp_path: Path) -> None:
    _, found = evaluate(tmp_path / "l.json", "--leave-one-out")
    own = found["leave_one_out"]
    assert own["count"] == found["count"] == 36
    assert own["top1"] == own["top5"] == 1.0
    assert own["calibration_error"] is not None
    assert set(own["variants"]) == {"appearance", "words", "baseline-2020", "details", "everything", "fitted"}
    assert not here.worker.described and not here.worker.recognised


def test_a_photo_that_is_left_out_is_not_found_again(here: Shop) -> None:
    catalog, snapshot = here.catalog, here.catalog.snapshot
    photos = local.own_photos(catalog)
    known = {snapshot.photo_table.sha256(p): photo(f"{p}", [], int(snapshot.photo_product[p])) for p in photos}
    asked = local.leave_one_out(photos, known, catalog, "bucket")
    for question, answer in zip(asked, local.answers(asked, catalog, Variant.APPEARANCE), strict=True):
        assert question.reference != f"s3://bucket/photos/{answer.nearest_photo}"
        assert answer.nearest_photo


def test_a_product_with_one_photo_is_not_asked_about(here: Shop) -> None:
    starts = here.catalog.snapshot.photo_starts.copy()
    starts[1] = 1  # the first product keeps its first photo, the second has the other two as well
    owner = here.catalog.snapshot.photo_product.copy()
    owner[1:3] = 1
    single = local.Catalog(replace(here.catalog.snapshot, photo_starts=starts, photo_product=owner))
    assert local.own_photos(single) == list(range(1, 36))


def test_the_report_shows_wrong_answers_and_loads_nothing_from_elsewhere(here: Shop, tmp_path: Path) -> None:
    page = tmp_path / "e.html"
    evaluate(tmp_path / "e.json", here.labels, "--drop-nearest", "--leave-one-out", "--ablation", "--html", page)
    text = page.read_text(encoding="utf-8")
    assert "misled.jpg" in text
    assert "Castoly Hand Soap" in text and "Dervina Rose Shampoo" in text
    assert text.count("<svg") == 4  # reliability and automation, of the labelled photos and of those left out
    assert text.count('<polyline class="line" points="') == 2
    assert 'src="http' not in text and "<script" not in text


def test_workers_with_other_networks_are_told_apart(here: Shop, tmp_path: Path) -> None:
    here.worker.models["embedder"] = "another-network"
    failed = CliRunner().invoke(app, ["evaluate", str(here.labels), "--ablation"])
    assert isinstance(failed.exception, CatalogError)
    assert "another-network" in str(failed.exception)


def test_labels_of_products_that_the_catalog_lacks_are_named_and_count_in_no_measure(here: Shop, tmp_path: Path) -> None:
    text = here.labels.read_text().replace("words.jpg,p10,", "words.jpg,p-gone,")
    here.labels.write_text(text.replace("stranger.jpg,,p5", "stranger.jpg,,p-lost"))
    for number, options in enumerate(([], ["--drop-nearest"])):
        shown, found = evaluate(tmp_path / f"{number}.json", here.labels, *options)
        assert found["unlisted"]["ids"] == ["p-gone", "p-lost"]
        assert [row["image"] for row in found["unlisted"]["rows"]] == ["words.jpg", "stranger.jpg"]
        assert found["unlisted"]["rows"][0]["predicted"] == "p10"
        assert [row["image"] for row in found["rows"]] == ["clear.jpg", "looks.jpg", "misled.jpg", "broken.jpg"]
        assert (found["count"], found["counts"]["top1"]) == (4, {"k": 2, "n": 4})
        assert "does not hold: p-gone, p-lost" in " ".join(shown.split())
    assert found["drop_nearest"]["count"] == 3


def test_photos_that_several_versions_answered_are_told_on_terminal_and_page(
    here: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = here.worker._outcome
    tried = {hashlib.sha256(name.encode()).hexdigest() for name in ("words", "looks")}

    def by_two(image: str, top_k: int) -> Outcome:
        outcome = answered(image, top_k)
        if outcome.provenance is None or image.rpartition("/")[2] not in tried:
            return outcome
        return outcome.model_copy(update={"provenance": outcome.provenance.model_copy(update={"catalog_version": "v-tried"})})

    monkeypatch.setattr(here.worker, "_outcome", by_two)
    version, page = here.catalog.version, tmp_path / "e.html"
    shown, found = evaluate(tmp_path / "m.json", here.labels, "--html", page)
    assert found["measured"]["versions"] == {version: 3, "v-tried": 2}
    assert found["measured"]["job"] and found["measured"]["at"]
    assert [row["version"] for row in found["rows"]] == [version, "v-tried", "v-tried", version, version, ""]
    for text in (" ".join(shown.split()), page.read_text(encoding="utf-8")):
        assert f"version {version}: 3 photos, version v-tried: 2 photos" in text and "2 versions answered" in text


def test_labels_of_which_the_catalog_holds_none_end_with_an_error_and_leave_the_answers(here: Shop, tmp_path: Path) -> None:
    here.labels.write_text("image,product_id\nclear.jpg,p6.0\nlooks.jpg,p-gone\n")
    files = tmp_path / "m.json", tmp_path / "m.html"
    for options in ([], ["--drop-nearest", "--ablation"]):
        arguments = [str(here.labels), "--json", str(files[0]), "--html", str(files[1])]
        refused = CliRunner().invoke(app, ["evaluate", *arguments, *options])
        assert isinstance(refused.exception, UserError)
        assert "No labelled photo can be measured" in str(refused.exception)
        assert "p6.0 (it holds p6), p-gone" in str(refused.exception)
        assert json.loads(files[0].read_text())["unlisted"]["count"] == 2
        assert "p6.0 (it holds p6), p-gone" in files[1].read_text(encoding="utf-8")


def test_without_the_libraries_that_read_a_catalog_labels_are_measured_and_not_looked_up(
    here: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as absent:
        absent.delitem(sys.modules, "packsight.shared.catalog.tables")
        absent.setitem(sys.modules, "pyarrow", None)
        shown, found = evaluate(tmp_path / "core.json", here.labels)
    assert (found["unlisted"], found["count"]) == (None, 6)
    assert "was not looked up" in " ".join(shown.split()) and "packsight[analysis]" in shown


def test_an_earlier_evaluation_is_compared_photo_by_photo(here: Shop, tmp_path: Path) -> None:
    _, before = evaluate(tmp_path / "before.json", here.labels)
    was = {row["image"]: row for row in before["rows"]}
    assert was["clear.jpg"]["status"] == "matched"
    was["clear.jpg"]["status"] = "ambiguous"
    was["misled.jpg"] |= {"status": "matched", "top5": ["p2"]}
    was["looks.jpg"]["product_id"] = "p7"
    (tmp_path / "then.json").write_text(json.dumps({"rows": list(was.values())}))
    page = tmp_path / "e.html"
    shown, found = evaluate(tmp_path / "now.json", here.labels, "--against", tmp_path / "then.json", "--html", page)
    against = found["against"]
    changed = {(by, how): [one["image"] for one in against[by][how]] for by in ("settled", "first") for how in ("won", "lost")}
    assert (changed["settled", "won"], changed["settled", "lost"]) == (["clear.jpg"], ["misled.jpg"])
    assert (changed["first", "won"], changed["first", "lost"]) == ([], ["misled.jpg"])
    assert (against["photos"], against["settled"]["chance"]) == (5, 1.0)
    assert against["only_then"] == against["only_now"] == ["looks.jpg"]
    printed = "".join(shown.split())  # long paths are broken over lines
    assert all(name in printed for name in ("clear.jpg", "misled.jpg", "looks.jpg", "then.json"))
    assert f"Compared with {tmp_path / 'then.json'}" in page.read_text(encoding="utf-8")


def test_the_best_threshold_keeps_the_precision_that_is_asked_for(here: Shop, tmp_path: Path) -> None:
    shown, strict = evaluate(tmp_path / "a.json", here.labels)
    assert strict["best"]["wanted_precision"] == 0.98 and "(precision 0.98)" in shown
    _, lax = evaluate(tmp_path / "b.json", here.labels, "--precision", "0.01")
    assert lax["best"]["k"] == lax["counts"]["top1"]["k"] == 3  # every right first candidate comes in


def test_files_are_written_before_anything_is_printed(here: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("packsight.producer.evaluation.tables.show", closed)
    files = [tmp_path / name for name in ("m.json", "m.html")]
    arguments = [here.labels, "--json", files[0], "--html", files[1]]
    assert CliRunner().invoke(app, ["evaluate", *map(str, arguments)]).exit_code != 0
    assert all(file.is_file() for file in files)


def test_what_cannot_be_asked_is_told(here: Shop, tmp_path: Path) -> None:
    for arguments, cause in (
        ([], "--leave-one-out"),
        (["--leave-one-out", "--catalog", "other"], "no published version; there are: default."),
        ([here.labels, "--catalog", "other"], "no published version; there are: default."),
        ([here.labels, "--json", tmp_path / "no" / "x.json"], "is no folder"),
        ([here.labels, "--against", here.labels], "is no evaluation"),
    ):
        refused = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
        assert isinstance(refused.exception, UserError), refused.output
        assert cause in str(refused.exception)


def test_a_jobs_photo_is_explained_by_a_part_of_its_name(here: Shop, tmp_path: Path) -> None:
    with Client() as client:
        job = client.submit([str(here.labels.parent)])
        for _ in client.enqueue(job):
            pass
        rows = {Path(row.name).stem: row.outcome for row in client.outcomes(job, wait=True)}
    page, picture = tmp_path / "why.html", tmp_path / "why.png"
    done = CliRunner().invoke(app, ["explain", job.id, "clear.jpg", "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert rows["clear"].reason.split(";")[0][:20] in done.output
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 1 and "Gravelle Eye Serum" in text and "<mark>GRAVELLE</mark>" in text
    assert CliRunner().invoke(app, ["explain", job.id, "misled", "--out", str(picture)]).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert CliRunner().invoke(app, ["explain", job.id, "broken"]).exit_code == 1
    for name, cause in (("queries", "part of 6 photos"), ("nothing-like-it", "No photo of this job")):
        refused = CliRunner().invoke(app, ["explain", job.id, name])
        assert isinstance(refused.exception, UserError)
        assert cause in str(refused.exception)
