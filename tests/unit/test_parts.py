"""Files of versions in object storage and on a host: each is sent, kept and brought once."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from packsight.shared.catalog import packing
from packsight.shared.catalog.manifest import FORMAT, MANIFEST, PATCHES, Manifest, read_manifest, seal
from packsight.shared.catalog.packing import pack, unpack
from packsight.shared.catalog.versions import CatalogStore, named_parts
from packsight.shared.contract.errors import CatalogError
from packsight.shared.storage.objects import Listed
from tests.trust import UNCHECKED, Shelf


class Counted(Shelf):
    """A shelf that notes what is sent and asked for, and on which all lies as long as is said."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.fetched: list[str] = []
        self.keys: list[str] = []
        self.lain = timedelta(0)

    def listed(self, prefix: str, *, bucket: str | None = None) -> Iterator[Listed]:
        return (replace(found, modified=datetime.now(UTC) - self.lain) for found in super().listed(prefix))

    def upload(self, key: str, path: str) -> None:
        super().upload(key, path)
        self.sent.append(Path(path).name)

    def download(self, key: str, path: Path, *, limit: int | None = None, tagged: bool = True) -> str:
        self.fetched.append(path.name)
        self.keys.append(key.rpartition("/")[2])
        return super().download(key, path, limit=limit, tagged=tagged)


@pytest.fixture
def shelf() -> Counted:
    return Counted()


@pytest.fixture
def catalogs(shelf: Counted) -> CatalogStore:
    return CatalogStore(shelf, "default", UNCHECKED)


def built(folder: Path, format_: int = FORMAT, upon: Path | None = None, /, **files: str) -> Manifest:
    """A sealed version of small files: `index="text"` is index.json; upon: its parent's folder."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.json").write_text(text)
    manifest = Manifest(
        catalog="default", version=folder.name, created_at=datetime.now(UTC), products=1, photos=1, embedder="e", spotter="s",
        details="d", matching="m", dimension=1, projected=1, index="Flat", faiss="1", format=format_,
        parent=None if upon is None else upon.name,
    )  # fmt: skip
    return seal(folder, manifest, parent=upon)


def test_of_a_further_version_only_what_changed_is_sent(catalogs: CatalogStore, shelf: Counted, tmp_path: Path) -> None:
    built(tmp_path / "v1", index="one", words="two", again="two")
    catalogs.upload(tmp_path / "v1")
    assert sorted(shelf.sent) in (["index.json", "words.json"], ["again.json", "index.json"])
    shelf.lain = timedelta(days=400)
    shelf.sent.clear()
    built(tmp_path / "v2", index="one", words="three", again="two")
    catalogs.upload(tmp_path / "v2")
    assert shelf.sent == ["words.json"]
    assert len(catalogs.parts.listed()) == 3


def test_an_old_part_that_no_version_names_is_sent_again_and_a_fresh_one_is_built_upon(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path
) -> None:
    built(tmp_path / "v1", index="one")
    catalogs.upload(tmp_path / "v1")
    catalogs.remove("v1")
    for version, age, sent in (("v2", timedelta(minutes=5), []), ("v3", timedelta(hours=2), ["index.json"])):
        shelf.lain = age
        shelf.sent.clear()
        built(tmp_path / version, index="one")
        catalogs.upload(tmp_path / version)
        assert shelf.sent == sent
        catalogs.remove(version)


def test_a_part_of_another_size_is_mended_and_one_of_the_same_when_all_is_sent_anew(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path
) -> None:
    made = built(tmp_path / "v1", index="one")
    catalogs.upload(tmp_path / "v1")
    (key,) = [key for key in shelf.objects if "/parts/" in key]
    for damage, anew in ((b"on", False), (b"onE", True)):
        shelf.objects[key] = damage
        catalogs.upload(tmp_path / "v1", anew=anew)
        catalogs.fetch(made, tmp_path, ["index.json"])
        (tmp_path / "index.json").unlink()


WORDS = "\n".join(f"line {number} of what is printed" for number in range(5000))
"""What becomes a fraction when it is packed."""
NOISE = "".join(chr(33 + byte % 90) for byte in random.Random(0).randbytes(5000))


def test_what_becomes_less_is_stored_packed_and_comes_as_it_was(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path
) -> None:
    made = built(tmp_path / "v1", words=WORDS, noise=NOISE, few="one")
    assert {name: entry.packed is not None for name, entry in made.files.items()} == {
        "words.json": True, "noise.json": False, "few.json": False,
    }  # fmt: skip
    catalogs.upload(tmp_path / "v1")
    stored = {key.rpartition("/")[2]: data for key, data in shelf.objects.items() if "/parts/" in key}
    assert {hashlib.sha256(data).hexdigest() for data in stored.values()} == stored.keys(), "each is named by its bytes"
    assert len(stored[made.files["words.json"].stored.sha256]) < len(WORDS) / 10
    catalogs.download("v1", tmp_path / "host")
    for name, text in (("words", WORDS), ("noise", NOISE), ("few", "one")):
        assert (tmp_path / "host/v1" / f"{name}.json").read_text() == text
    assert sorted(file.name for file in (tmp_path / "host/v1").iterdir()) == ["few.json", MANIFEST, "noise.json", "words.json"]
    assert {file.name for file in (tmp_path / "v1").iterdir()} == {file.name for file in (tmp_path / "host/v1").iterdir()}

    shelf.sent.clear()
    shelf.fetched.clear()
    built(tmp_path / "v2", words=WORDS, few="two")
    catalogs.upload(tmp_path / "v2")
    catalogs.download("v2", tmp_path / "host")
    assert (shelf.sent, shelf.fetched) == (["few.json"], ["few.json"])


@pytest.mark.parametrize("damage", [b"x" * 9, None, WORDS.encode()], ids=["noise", "cut off", "not packed"])
def test_what_is_packed_and_damaged_is_refused(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path, damage: bytes | None
) -> None:
    made = built(tmp_path / "v1", words=WORDS)
    catalogs.upload(tmp_path / "v1")
    (key,) = [key for key in shelf.objects if "/parts/" in key]
    shelf.objects[key] = shelf.objects[key][:-9] if damage is None else damage[: made.files["words.json"].stored.size]
    with pytest.raises(CatalogError, match=r"words\.json of version v1 is damaged"):
        catalogs.download("v1", tmp_path / "host")
    assert not list((tmp_path / "host").iterdir())


LINES = [f"{line} {hashlib.sha256(line.encode()).hexdigest()}" for line in WORDS.splitlines()]
"""What is long though it is packed."""
OTHER_LINES = [*LINES[:2000], "another", *LINES[2000:]]


@pytest.fixture
def followed(catalogs: CatalogStore, shelf: Counted, tmp_path: Path) -> Manifest:
    """The second of two versions, whose words are much like those of the first, which this host has."""
    built(tmp_path / "v1", words="\n".join(LINES), few="one")
    catalogs.upload(tmp_path / "v1")
    catalogs.download("v1", tmp_path / "host")
    made = built(tmp_path / "v2", FORMAT, tmp_path / "v1", words="\n".join(OTHER_LINES), few="two")
    shelf.sent.clear()
    catalogs.upload(tmp_path / "v2")
    shelf.fetched.clear()
    return made


def brought(shelf: Counted, made: Manifest, host: Path) -> list[str]:
    """Parts that came of the second version, which is as it was built."""
    assert (host / made.version / "words.json").read_text().splitlines() == OTHER_LINES
    assert sorted(one.name for one in (host / made.version).iterdir()) == ["few.json", MANIFEST, "words.json"]
    return sorted(shelf.keys)


def test_a_host_with_the_parent_fetches_what_is_other_and_one_without_it_the_whole(
    catalogs: CatalogStore, shelf: Counted, followed: Manifest, tmp_path: Path
) -> None:
    words, few = followed.files["words.json"], followed.files["few.json"]
    assert words.patch is not None and words.patch.size < words.stored.size / 100 and few.patch is None
    assert sorted(shelf.sent) == ["few.json", "words.json", "words.json"]
    for host, stored in (("host", words.patch), ("other", words.stored)):
        shelf.keys.clear()
        catalogs.download("v2", tmp_path / host)
        assert brought(shelf, followed, tmp_path / host) == sorted([few.stored.sha256, stored.sha256])


@pytest.mark.parametrize("fault", ["noise", "cut off", "gone", "longer", "another parent", "empty parent"])
def test_where_a_patch_or_the_parent_is_damaged_the_whole_is_fetched(
    catalogs: CatalogStore, shelf: Counted, followed: Manifest, tmp_path: Path, fault: str
) -> None:
    words = followed.files["words.json"]
    assert words.patch is not None
    key = f"catalogs/default/parts/{words.patch.sha256}"
    patch = shelf.objects[key]
    if "parent" in fault:
        (tmp_path / "host/v1/words.json").chmod(0o644)
        (tmp_path / "host/v1/words.json").write_text("\n".join(LINES[::-1]) if fault == "another parent" else "")
    else:
        damage = {"noise": NOISE.encode()[: len(patch)], "cut off": patch[:-20], "longer": patch + b"x", "gone": b""}[fault]
        shelf.objects[key] = damage
    if fault == "gone":
        del shelf.objects[key]
    shelf.keys.clear()
    catalogs.download("v2", tmp_path / "host")
    assert words.stored.sha256 in brought(shelf, followed, tmp_path / "host")


def test_a_patch_is_a_part_that_is_neither_collected_nor_sent_twice(
    catalogs: CatalogStore, shelf: Counted, followed: Manifest, tmp_path: Path
) -> None:
    words = followed.files["words.json"]
    assert words.patch is not None and {words.patch.sha256, words.stored.sha256} <= named_parts([followed])
    shelf.sent.clear()
    catalogs.upload(tmp_path / "v2")
    assert shelf.sent == []
    (tmp_path / "v3").mkdir()
    third = seal(tmp_path / "v3", followed.model_copy(update={"version": "v3", "parent": "v2"}), followed.files, tmp_path / "v2")
    assert third.files["words.json"] == words.model_copy(update={"patch": None}), "it was one of v1's"
    del shelf.objects[f"catalogs/default/parts/{words.patch.sha256}"]
    catalogs.upload(tmp_path / "v2")
    assert shelf.sent == ["words.json"] and words.patch.sha256 in catalogs.parts.listed()


def test_what_is_the_parents_as_it_is_has_no_patch(tmp_path: Path) -> None:
    """A host with the parent links it: there is a file of texts for every 2,048 products, and few of them change."""
    built(tmp_path / "v1", words="\n".join(LINES), others="\n".join(LINES[:3000]))
    made = built(tmp_path / "v2", FORMAT, tmp_path / "v1", words="\n".join(OTHER_LINES), others="\n".join(LINES[:3000]))
    assert [name for name, entry in made.files.items() if entry.patch is not None] == ["words.json"]
    assert [file.name for file in (tmp_path / "v2" / PATCHES).iterdir()] == ["words.json"]


def test_a_version_is_sealed_though_a_file_of_its_parent_is_damaged(tmp_path: Path) -> None:
    built(tmp_path / "v1", words="\n".join(LINES))
    np.save(tmp_path / "v1/row.starts.npy", np.arange(9000))
    (tmp_path / "v2").mkdir()
    np.save(tmp_path / "v2/row.starts.npy", np.arange(1, 9001))
    (tmp_path / "v1/row.starts.npy").write_bytes(b"")
    made = seal(tmp_path / "v2", read_manifest((tmp_path / "v1" / MANIFEST).read_bytes(), "v1"), parent=tmp_path / "v1")
    assert made.files["row.starts.npy"].patch is None and sorted(one.name for one in (tmp_path / "v2").iterdir()) == [
        MANIFEST, "row.starts.npy",
    ]  # fmt: skip


def test_no_more_is_unpacked_than_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(bytes(50_000_000))
    assert pack(tmp_path / "bomb", tmp_path / "packed")
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        unpack(tmp_path / "packed", tmp_path / "out", 1000)
    assert (tmp_path / "out").stat().st_size <= 1000


def test_a_part_that_is_no_longer_packed_as_it_was_is_told_of(
    catalogs: CatalogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(tmp_path / "v1", words=WORDS)
    monkeypatch.setattr(packing, "_LEVEL", 19)
    with pytest.raises(CatalogError, match="no longer packed as it was") as told:
        catalogs.upload(tmp_path / "v1")
    assert "sync --force" in told.value.remedy


def test_a_version_is_not_published_that_lacks_a_part(catalogs: CatalogStore, shelf: Counted, tmp_path: Path) -> None:
    built(tmp_path / "v1", index="one")
    (tmp_path / "v1" / "index.json").unlink()
    with pytest.raises(CatalogError, match=r"index\.json is neither built nor a part"):
        catalogs.upload(tmp_path / "v1")
    assert shelf.objects == {}


def test_a_manifest_that_nobody_can_read_stops_no_upload(catalogs: CatalogStore, shelf: Counted, tmp_path: Path) -> None:
    shelf.objects["catalogs/default/versions/v0/manifest.json"] = b"{"
    built(tmp_path / "v1", index="one")
    catalogs.upload(tmp_path / "v1")
    assert [made.version for made in catalogs.versions()] == ["v1"]


def test_a_host_fetches_what_no_version_of_its_own_has_and_links_the_rest(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    for version, words in (("v1", "two"), ("v2", "three")):
        built(tmp_path / version, index="one", words=words)
        catalogs.upload(tmp_path / version)
        catalogs.download(version, host)
    assert sorted(shelf.fetched) == ["index.json", "words.json", "words.json"]
    assert (host / "v1/index.json").samefile(host / "v2/index.json")
    assert (host / "v2/words.json").read_text() == "three"
    assert not (host / "v2/index.json").stat().st_mode & 0o222


@pytest.mark.parametrize("written", ["onE", "on"])
def test_what_was_written_since_it_was_checked_is_fetched_again(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path, written: str
) -> None:
    host = tmp_path / "host"
    for version in ("v1", "v2"):
        built(tmp_path / version, index="one", words=version)
        catalogs.upload(tmp_path / version)
    catalogs.download("v1", host)
    (host / "v1/index.json").chmod(0o644)
    (host / "v1/index.json").write_text(written)
    catalogs.download("v2", host)
    assert (host / "v2/index.json").read_text() == "one"


def test_where_the_disk_knows_no_links_all_is_fetched(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    for version in ("v1", "v2"):
        built(tmp_path / version, index="one")
        catalogs.upload(tmp_path / version)
        catalogs.download(version, tmp_path / "host")
    assert shelf.fetched == ["index.json"] * 2


def test_a_version_of_an_older_or_a_newer_release_is_refused(tmp_path: Path) -> None:
    made = built(tmp_path / "v1", index="one")
    made.require_format()
    for other, age in ((4, "older"), (5, "older"), (FORMAT + 1, "newer")):
        with pytest.raises(CatalogError, match=f"{age} release"):
            made.model_copy(update={"format": other}).require_format()


@pytest.mark.parametrize("number", [5, FORMAT])
def test_a_version_whose_files_lie_by_their_hash_is_read_from_there(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path, number: int
) -> None:
    built(tmp_path / "v1", number, index="one")
    catalogs.upload(tmp_path / "v1")
    catalogs.download("v1", tmp_path / "host")
    assert (tmp_path / "host/v1/index.json").read_text() == "one"
    assert shelf.fetched == ["index.json"]


@pytest.mark.parametrize("number", [2, 4])
def test_files_of_a_version_that_is_too_old_to_be_served_are_still_read_from_its_own_folder(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path, number: int
) -> None:
    made = built(tmp_path / "v1", number, index="one")
    for path in (tmp_path / "v1").iterdir():
        shelf.objects[f"catalogs/default/versions/v1/{path.name}"] = path.read_bytes()
    catalogs.download("v1", tmp_path / "host")
    assert read_manifest((tmp_path / "host/v1/manifest.json").read_bytes(), "v1") == made
    assert (tmp_path / "host/v1/index.json").read_text() == "one"


def test_of_a_version_with_a_damaged_part_nothing_stays_on_the_host(
    catalogs: CatalogStore, shelf: Counted, tmp_path: Path
) -> None:
    made = built(tmp_path / "v1", **{f"file{number}": str(number) for number in range(30)})
    catalogs.upload(tmp_path / "v1")
    shelf.objects[f"catalogs/default/parts/{made.files['file7.json'].stored.sha256}"] = b"x"
    with pytest.raises(CatalogError, match=r"file7\.json of version v1 is damaged"):
        catalogs.download("v1", tmp_path / "host")
    assert list((tmp_path / "host").iterdir()) == []


class Watched(Counted):
    """A shelf of which another process of the host brings the same version while the first one does."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: list[Path] = []
        self.others: list[os.stat_result] = []

    def download(self, key: str, path: Path, *, limit: int | None = None, tagged: bool = True) -> str:
        found = super().download(key, path, limit=limit, tagged=tagged)
        if self.hosts:
            self.others.append(CatalogStore(self, "default", UNCHECKED).download("v1", self.hosts.pop()).stat())
        return found


def test_a_copy_that_another_process_brought_meanwhile_stays_since_it_may_be_in_use(tmp_path: Path) -> None:
    shelf = Watched()
    built(tmp_path / "v1", index="one", words="two")
    CatalogStore(shelf, "default", UNCHECKED).upload(tmp_path / "v1")
    shelf.hosts.append(tmp_path / "host")
    there = CatalogStore(shelf, "default", UNCHECKED).download("v1", tmp_path / "host").stat()
    assert [other.st_ino for other in shelf.others] == [there.st_ino]
    assert [folder.name for folder in (tmp_path / "host").iterdir()] == ["v1"]


@pytest.mark.parametrize("left", ["{}", None])
def test_what_is_no_copy_of_the_version_is_replaced(catalogs: CatalogStore, tmp_path: Path, left: str | None) -> None:
    built(tmp_path / "v1", index="one")
    catalogs.upload(tmp_path / "v1")
    target = tmp_path / "host/v1"
    target.mkdir(parents=True)
    (target / "index.json").write_text("another")
    if left is not None:
        (target / MANIFEST).write_text(left)
    assert (catalogs.download("v1", tmp_path / "host") / "index.json").read_text() == "one"
    assert [folder.name for folder in (tmp_path / "host").iterdir()] == ["v1"]
