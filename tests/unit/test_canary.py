"""Canaries: which messages they answer, what the pointer says of them, and what is kept for their sake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from packsight.indexer.canary import give_up, promote
from packsight.indexer.collection.sweep import sweep_parts
from packsight.indexer.gate.parameters import GATE
from packsight.indexer.publish import prune, publish, roll_back
from packsight.indexer.refused import prune_refused
from packsight.indexer.version_report.keeping import Reports
from packsight.shared.catalog.canary import Canary, lot
from packsight.shared.catalog.manifest import Manifest, PlainName, seal
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.signatures import Document
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.storage.objects import Conflict
from tests.trust import UNCHECKED, Shelf, publisher, reader

MINE = Recipe(embedder="e", spotter="s", details="d", matching="m-1")
OTHER = MINE.model_copy(update={"matching": "m-2"})


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def catalogs(shelf: Shelf) -> CatalogStore:
    return CatalogStore(shelf, "default", UNCHECKED)


def put(
    catalogs: CatalogStore, folder: Path, version: str, parent: str | None = None, recipe: Recipe = MINE, share: float = 0.0
) -> None:
    """Publish a version whose only file names it."""
    (folder / version).mkdir(parents=True)
    (folder / version / "content.json").write_text(version)
    manifest = Manifest(
        catalog="default", version=version, parent=parent, created_at=datetime.now(UTC), products=1, photos=1,
        **recipe.model_dump(), dimension=1, projected=1, index="Flat", faiss="1",
    )  # fmt: skip
    publish(catalogs, folder / version, seal(folder / version, manifest), catalogs.current(), lambda: None, share=share)


def pointer(catalogs: CatalogStore) -> Current:
    current = catalogs.current()
    assert current is not None
    return current


def named(catalogs: CatalogStore, recipe: Recipe = MINE) -> tuple[str | None, str | None]:
    canary = pointer(catalogs).canary_for(recipe)
    return pointer(catalogs).version_for(recipe), canary.version if canary is not None else None


def whole(catalogs: CatalogStore) -> set[str]:
    """Versions whose every file is there."""
    held = catalogs.parts.listed().keys()
    return {one.version for one in catalogs.versions() if {entry.stored.sha256 for entry in one.files.values()} <= held}


def test_a_share_of_the_messages_is_drawn_by_their_ids_and_a_larger_one_has_all_of_a_smaller() -> None:
    messages = [f"20260101-120000-abcdef-{number:06d}" for number in range(20_000)]
    small, large = ({one for one in messages if Canary(version="v", share=share).takes(one)} for share in (0.2, 0.5))
    assert 0.19 < len(small) / len(messages) < 0.21
    assert 0.49 < len(large) / len(messages) < 0.51
    assert small < large
    # On every worker, in every release: a message that comes again to another one must draw the same.
    assert lot("20260101-120000-abcdef-000000") == pytest.approx(0.197147, abs=1e-6)
    assert [number for number in range(40) if messages[number] in small] == [0, 3, 5, 9, 16, 21, 25, 29, 36, 37, 38]
    assert {one for one in messages if Canary(version="w", share=0.2).takes(one)} == small


def test_a_canary_stands_beside_the_current_version_of_its_recipe_alone(catalogs: CatalogStore, tmp_path: Path) -> None:
    put(catalogs, tmp_path, "v1", share=0.2)
    assert named(catalogs) == ("v1", None), "beside nothing there is nothing to try"
    put(catalogs, tmp_path, "o1", recipe=OTHER)
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    assert (named(catalogs), named(catalogs, OTHER)) == (("v1", "v2"), ("o1", None))
    assert pointer(catalogs).version == "o1", "what is meant where nobody names a recipe stays"
    assert pointer(catalogs).canaries[MINE.key].share == 0.2
    put(catalogs, tmp_path, "o2", "o1", OTHER)
    assert named(catalogs) == ("v1", "v2"), "publishing for others ends no trial"
    put(catalogs, tmp_path, "v3", "v1")
    assert named(catalogs) == ("v3", None), "publishing for all does"


class FormerPointer(BaseModel):
    """The pointer as the release before reads it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    catalog: str = ""
    version: PlainName
    versions: dict[str, PlainName] = Field(default_factory=dict)
    changed_at: AwareDatetime


def test_workers_of_the_release_before_read_the_current_version_and_its_signature(shelf: Shelf, tmp_path: Path) -> None:
    signing = CatalogStore(shelf, "default", publisher(1))
    put(signing, tmp_path, "v1")
    put(signing, tmp_path, "v2", "v1", share=0.2)
    document = Document.split(shelf.objects["catalogs/default/CURRENT.json"])
    said = FormerPointer.model_validate_json(document.body)
    assert (said.version, said.versions) == ("v1", {MINE.key: "v1"})
    assert named(CatalogStore(shelf, "default", reader(1))) == ("v1", "v2"), "what is signed is the canary too"
    forged = document.body.replace(b"0.2", b"0.9")
    shelf.objects["catalogs/default/CURRENT.json"] = shelf.objects["catalogs/default/CURRENT.json"].replace(document.body, forged)
    with pytest.raises(Exception, match="changed after it was signed"):
        CatalogStore(shelf, "default", reader(1)).current()


def test_signing_anew_and_dropping_other_recipes_keep_a_canary(shelf: Shelf, tmp_path: Path) -> None:
    catalogs = CatalogStore(shelf, "default", publisher(1))
    put(catalogs, tmp_path, "o1", recipe=OTHER)
    put(catalogs, tmp_path, "v1")
    put(catalogs, tmp_path, "v2", "v1", share=0.3)
    catalogs.sign()
    assert named(catalogs) == ("v1", "v2")
    catalogs.drop({OTHER.key}, expected=pointer(catalogs))
    assert named(catalogs) == ("v1", "v2")
    catalogs.drop({MINE.key}, expected=pointer(catalogs))
    assert pointer(catalogs).canaries == {}


def test_promoting_lets_it_answer_all_and_the_version_before_is_what_one_goes_back_to(
    catalogs: CatalogStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1")
    with pytest.raises(UserError, match=r"no canary.*--canary"):
        promote(catalogs)
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    assert promote(catalogs) == ["v2"]
    assert named(catalogs) == ("v2", None)
    assert pointer(catalogs).version == "v2"
    assert prune(catalogs, 2, [MINE]) == []
    assert roll_back(catalogs, None, [MINE]) == ["v1"]


def test_what_is_given_up_is_marked_and_kept_and_what_answered_the_others_goes_on(
    catalogs: CatalogStore, shelf: Shelf, tmp_path: Path
) -> None:
    reports = Reports(shelf, "default")
    put(catalogs, tmp_path, "v1")
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    assert give_up(catalogs, reports) == ["v2"]
    assert named(catalogs) == ("v1", None)
    assert "0.2 of the messages and given up" in catalogs.manifest("v2").refused[0]
    assert prune(catalogs, 1, [MINE]) == []
    assert prune_refused(catalogs, reports, 3, GATE.refused_age * 1000) == []
    assert roll_back(catalogs, "v2", [MINE]) == ["v2"], "it can be let be served all the same"


def test_nothing_is_promoted_or_given_up_over_what_somebody_published_meanwhile(
    catalogs: CatalogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(catalogs, tmp_path, "v1")
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    seen = pointer(catalogs)
    put(catalogs, tmp_path, "v3", "v1")
    monkeypatch.setattr("packsight.indexer.canary._tried", lambda _: seen)
    with pytest.raises(UserError, match="someone else"):
        promote(catalogs)
    with pytest.raises(UserError, match="someone else"):
        give_up(catalogs, Reports(Shelf(), "default"))
    assert named(catalogs) == ("v3", None)


def test_a_pointer_that_was_rewritten_as_it_was_is_promoted_all_the_same(
    catalogs: CatalogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(catalogs, tmp_path, "v1")
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    seen = pointer(catalogs)
    catalogs.drop(set(), expected=seen)
    assert pointer(catalogs).etag != seen.etag
    monkeypatch.setattr("packsight.indexer.canary._tried", lambda _: seen)
    assert promote(catalogs) == ["v2"]
    assert named(catalogs) == ("v2", None)


def test_a_publisher_that_saw_no_canary_does_not_take_its_place(catalogs: CatalogStore, tmp_path: Path) -> None:
    put(catalogs, tmp_path, "v1")
    seen = pointer(catalogs)
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    (tmp_path / "v3").mkdir()
    (tmp_path / "v3" / "content.json").write_text("v3")
    manifest = seal(tmp_path / "v3", catalogs.manifest("v1").model_copy(update={"version": "v3", "parent": "v1"}))
    with pytest.raises(UserError, match="someone else"):
        publish(catalogs, tmp_path / "v3", manifest, seen, lambda: None)
    assert (named(catalogs), whole(catalogs)) == (("v1", "v2"), {"v1", "v2"})


@pytest.mark.parametrize("keep", [1, 2])
def test_collection_keeps_a_canary_what_it_is_tried_beside_and_what_one_goes_back_to(
    catalogs: CatalogStore, tmp_path: Path, keep: int
) -> None:
    for version, parent in (("v1", None), ("v2", "v1"), ("v3", "v2")):
        put(catalogs, tmp_path, version, parent)
    put(catalogs, tmp_path, "v4", "v3", share=0.2)
    prune(catalogs, keep, [MINE])
    sweep_parts(catalogs, lambda: None)
    assert whole(catalogs) == {"v4", "v3", *(["v2"] if keep > 1 else [])}
    assert named(catalogs) == ("v3", "v4")


def test_a_canary_goes_with_the_recipe_that_no_worker_has_any_more(catalogs: CatalogStore, tmp_path: Path) -> None:
    put(catalogs, tmp_path, "v1")
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    put(catalogs, tmp_path, "w1", recipe=OTHER)
    put(catalogs, tmp_path, "w2", "w1", OTHER)
    prune(catalogs, 2, [OTHER])
    assert (named(catalogs), named(catalogs, OTHER)) == ((None, None), ("w2", None))
    assert whole(catalogs) == {"w1", "w2"}


def test_our_own_write_that_arrived_twice_is_no_conflict(
    catalogs: CatalogStore, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(catalogs, tmp_path, "v1")

    def answer_lost(key: str, data: bytes, *, etag: str | None) -> None:
        Shelf.replace(shelf, key, data, etag=etag)
        raise Conflict(ErrorCode.CONFLICT, key)

    monkeypatch.setattr(shelf, "replace", answer_lost)
    put(catalogs, tmp_path, "v2", "v1", share=0.2)
    assert named(catalogs) == ("v1", "v2")
    assert promote(catalogs) == ["v2"]
    assert named(catalogs) == ("v2", None)
