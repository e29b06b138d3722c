"""Going back: what the pointer holds then, what ends it, and who need not know of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from packsight.indexer.publish import prune, resume, roll_back
from packsight.indexer.refused import prune_refused
from packsight.indexer.undecided import CanaryError, HeldError, keeps_all_back, undecided
from packsight.indexer.version_report.keeping import Reports
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.signatures import Document
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import Conflict
from tests.trust import UNCHECKED, Shelf, publisher, reader
from tests.unit.test_canary import MINE, OTHER, pointer, put, whole


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def catalogs(shelf: Shelf, tmp_path: Path) -> CatalogStore:
    """Three versions of one recipe, and two of another."""
    made = CatalogStore(shelf, "default", UNCHECKED)
    for version, parent, recipe in (
        ("v1", None, MINE), ("v2", "v1", MINE), ("w2", None, OTHER), ("w3", "w2", OTHER), ("v3", "v2", MINE),
    ):  # fmt: skip
        put(made, tmp_path, version, parent, recipe)
    return made


def held(catalogs: CatalogStore) -> dict[str, str]:
    """From which versions somebody went back."""
    keys = {MINE.key: "mine", OTHER.key: "other"}
    return {keys[key]: hold.gone_back_from for key, hold in pointer(catalogs).holds.items()}


def test_who_goes_back_stays_there_and_who_goes_further_back_remembers_where_it_began(catalogs: CatalogStore) -> None:
    assert held(catalogs) == {} and undecided("default", pointer(catalogs)) is None
    roll_back(catalogs, None, [MINE])
    assert held(catalogs) == {"mine": "v3"}
    since = pointer(catalogs).holds[MINE.key].since
    roll_back(catalogs, "v1", [MINE])
    roll_back(catalogs, "v2", [MINE])
    assert held(catalogs) == {"mine": "v3"}, "v2 is what was gone back to first: still not what the feed says"
    assert pointer(catalogs).holds[MINE.key].since == since
    error = undecided("default", pointer(catalogs))
    assert isinstance(error, HeldError)
    assert "stays at v2 for some of the workers, to which somebody went back from v3" in str(error)
    assert "`packsight catalog resume`" in str(error)
    assert [keeps_all_back(error, pointer(catalogs), one) for one in ([MINE], [MINE, OTHER], [OTHER])] == [True, False, False]


@pytest.mark.parametrize("ahead", ["v3", "v4"])
def test_going_forward_again_ends_it(catalogs: CatalogStore, tmp_path: Path, ahead: str) -> None:
    put(catalogs, tmp_path, "v4", "v3")
    roll_back(catalogs, "v3", [MINE])
    roll_back(catalogs, "v1", [MINE])
    assert held(catalogs) == {"mine": "v4"}
    roll_back(catalogs, ahead, [MINE])
    assert held(catalogs) == ({} if ahead == "v4" else {"mine": "v4"})


def test_each_recipe_is_held_by_itself_and_all_are_let_go_of_at_once(catalogs: CatalogStore) -> None:
    roll_back(catalogs, None, [], everyone=True)
    assert held(catalogs) == {"mine": "v3", "other": "w3"}
    roll_back(catalogs, "w3", [], everyone=True)
    assert held(catalogs) == {"mine": "v3"}
    roll_back(catalogs, "w2", [], everyone=True)
    before = resume(catalogs)
    assert before is not None and before.holds.keys() == {MINE.key, OTHER.key}
    assert (held(catalogs), resume(catalogs)) == ({}, None)
    assert pointer(catalogs).versions == {MINE.key: "v2", OTHER.key: "w2"}, "nobody is moved by it"


def test_what_is_published_for_one_recipe_leaves_others_held(catalogs: CatalogStore, tmp_path: Path) -> None:
    roll_back(catalogs, None, [MINE])
    put(catalogs, tmp_path, "w4", "w3", OTHER)
    assert held(catalogs) == {"mine": "v3"}
    put(catalogs, tmp_path, "v4", "v2")
    assert held(catalogs) == {}


def test_a_trial_that_is_given_up_holds_nothing_and_a_trial_is_decided_first(catalogs: CatalogStore, tmp_path: Path) -> None:
    roll_back(catalogs, None, [OTHER])
    put(catalogs, tmp_path, "v4", "v3", share=0.2)
    assert isinstance(undecided("default", pointer(catalogs)), CanaryError)
    catalogs.drop_canaries(expected=pointer(catalogs))
    assert held(catalogs) == {"other": "w3"}
    catalogs.drop({OTHER.key}, expected=pointer(catalogs))
    assert held(catalogs) == {}, "of a recipe that the pointer no longer names"


def test_what_is_served_and_cannot_be_read_is_gone_back_from_by_name(catalogs: CatalogStore, shelf: Shelf) -> None:
    shelf.write(layout.version("default", "v3", "manifest.json"), b"{")
    with pytest.raises(UserError, match=r"(?s)Version v3, which is served, cannot be read.*catalog versions"):
        roll_back(catalogs, None, [MINE])
    roll_back(catalogs, "v2", [MINE])
    assert held(catalogs) == {"mine": "v3"}


def test_a_refused_version_that_was_let_be_served_is_one_to_go_back_to(
    catalogs: CatalogStore, shelf: Shelf, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v4", "v3")
    roll_back(catalogs, "v3", [MINE])
    catalogs.mark_refused("v4", ["it has lost too much"])
    roll_back(catalogs, "v4", [MINE])
    put(catalogs, tmp_path, "v5", "v4")
    prune(catalogs, 3, [MINE])
    prune_refused(catalogs, Reports(shelf, "default"), 0, timedelta())
    assert {"v3", "v4", "v5"} <= whole(catalogs) and "v2" not in whole(catalogs)
    assert roll_back(catalogs, None, [MINE]) == ["v4"]


def test_the_last_name_is_that_of_what_is_there_or_was_left(catalogs: CatalogStore, tmp_path: Path) -> None:
    assert not catalogs.last_name(), "what a name that tells no time is worth nobody knows"
    early, late = "20260101T000000-000abc", "20260102T000000-000abc"
    put(catalogs, tmp_path, early, "v3")
    put(catalogs, tmp_path, late, early)
    assert catalogs.last_name() == late
    roll_back(catalogs, early, [MINE])
    catalogs.remove(late)
    assert catalogs.last_name() == late


def test_a_hold_is_signed_and_signed_anew(tmp_path: Path) -> None:
    shelf = Shelf()
    catalogs = CatalogStore(shelf, "default", publisher(1))
    put(catalogs, tmp_path, "v1")
    put(catalogs, tmp_path, "v2", "v1")
    roll_back(catalogs, None, [MINE])
    catalogs.sign()
    assert held(CatalogStore(shelf, "default", reader(1))) == {"mine": "v2"}


def test_releases_that_know_no_hold_read_the_pointer_all_the_same(catalogs: CatalogStore, shelf: Shelf) -> None:
    class Former(BaseModel):
        model_config = ConfigDict(extra="ignore")
        version: str
        versions: dict[str, str]

    roll_back(catalogs, None, [MINE])
    body = Document.split(shelf.read(layout.pointer("default")).data).body
    assert Former.model_validate_json(body).versions == {MINE.key: "v2", OTHER.key: "w3"}
    written = json.loads(body)
    del written["holds"]
    shelf.write(layout.pointer("default"), json.dumps(written).encode())
    assert held(catalogs) == {}


def test_a_hold_is_not_let_go_of_behind_somebodys_back(catalogs: CatalogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    roll_back(catalogs, None, [MINE])
    seen = pointer(catalogs)
    roll_back(catalogs, "v1", [MINE])
    with pytest.raises(Conflict):
        catalogs.drop_holds(expected=seen)
    monkeypatch.setattr(catalogs, "current", lambda: seen)
    with pytest.raises(UserError, match="published by someone else just now"):
        resume(catalogs)


def test_what_is_held_is_kept_though_none_of_its_workers_is_up(catalogs: CatalogStore, tmp_path: Path) -> None:
    roll_back(catalogs, "v1", [MINE])
    for number in range(4, 10):
        put(catalogs, tmp_path, f"w{number}", f"w{number - 1}", OTHER)
        prune(catalogs, 2, [OTHER])
    assert held(catalogs) == {"mine": "v3"} and "v1" in whole(catalogs)


@pytest.mark.parametrize("body", [b"{", None])
def test_going_back_over_a_pointer_that_is_refused_or_gone_is_held_too(
    catalogs: CatalogStore, shelf: Shelf, body: bytes | None
) -> None:
    key = layout.pointer("default")
    shelf.remove(key)
    if body is not None:
        shelf.write(key, body)
    roll_back(catalogs, "v2", [MINE])
    assert held(catalogs) == {"mine": "v3"}
    shelf.write(key, b"{")
    roll_back(catalogs, "v3", [MINE])
    assert held(catalogs) == {}, "the newest: nothing is left behind"


def test_a_hold_that_was_let_go_of_though_the_answer_was_lost_is_let_go_of(
    catalogs: CatalogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_back(catalogs, None, [MINE])
    drop = catalogs.drop_holds

    def lost(*, expected: Current) -> None:
        drop(expected=expected)
        raise Conflict(ErrorCode.OBJECT_MISSING, "the request was repeated")

    monkeypatch.setattr(catalogs, "drop_holds", lost)
    assert resume(catalogs) is not None and held(catalogs) == {}
