"""Whoever can write the bucket can still not decide what is answered: what is not signed as it should be is refused."""

from __future__ import annotations

import json
import random
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest

from packsight.shared.catalog.manifest import Manifest, seal
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.signatures import Document, Keyring, Kind, create_key, public_key, read_key
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, ErrorCode, PacksightError, UserError
from packsight.shared.settings import load_settings
from packsight.shared.storage.objects import Blob
from tests.trust import UNCHECKED, Shelf, key, publisher, reader

SEED = 14
RECIPE = Recipe(embedder="e", spotter="s", details="d", matching="m")
POINTER = "catalogs/default/CURRENT.json"


def manifest_key(version: str, catalog: str = "default") -> str:
    return f"catalogs/{catalog}/versions/{version}/manifest.json"


def put(
    shelf: Shelf, folder: Path, version: str, trust: Trust, catalog: str = "default", recipe: Recipe = RECIPE
) -> Manifest:
    """Publish a version of one file."""
    folder.mkdir(parents=True)
    (folder / "index.faiss").write_text(version)
    made = seal(
        folder,
        Manifest(
            catalog=catalog, version=version, created_at=datetime.now(UTC), products=1, photos=1, **recipe.model_dump(),
            dimension=1, projected=1, index="Flat", faiss="1",
        ),
    )  # fmt: skip
    catalogs = CatalogStore(shelf, catalog, trust)
    catalogs.upload(folder)
    catalogs.point(version, expected=catalogs.current())
    return made


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf()
    put(made, tmp_path / "v1", "v1", publisher(1))
    return made


def refusal(act: Callable[[], object]) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        act()
    assert caught.value.code is ErrorCode.CATALOG_REFUSED
    assert caught.value.remedy
    return caught.value


def test_what_is_signed_is_its_bytes_and_a_line_that_json_tools_read_too(shelf: Shelf) -> None:
    data = shelf.objects[POINTER]
    document, signature = Document.split(data).body, data.splitlines()[-1]
    assert json.loads(document)["catalog"] == "default"
    assert data == document + b"\n" + signature + b"\n"
    assert json.loads(signature).split(":")[:2] == ["ed25519", public_key(key(1))[:16]]


def test_readers_believe_every_key_that_they_were_given_and_sign_nothing(shelf: Shelf) -> None:
    for trust in (reader(1), reader(2, 1), publisher(1), publisher(2, None, 1)):
        catalogs = CatalogStore(shelf, "default", trust)
        current = catalogs.current()
        assert current is not None
        assert current.version == catalogs.manifest("v1").version == "v1"
        assert current.key == public_key(key(1))[:16]
    with pytest.raises(UserError, match="SIGNING_KEY_FILE"):
        CatalogStore(shelf, "default", reader(1)).point("v1", expected=current)


def test_of_another_key_and_of_nobody_nothing_is_believed(shelf: Shelf, tmp_path: Path) -> None:
    strange = CatalogStore(shelf, "default", reader(2))
    for act in (strange.current, lambda: strange.manifest("v1")):
        error = refusal(act)
        assert public_key(key(1))[:16] in error.message
        assert "PACKSIGHT_CATALOG__PUBLIC_KEYS" in error.remedy
    put(shelf, tmp_path / "v2", "v2", UNCHECKED)
    mine = CatalogStore(shelf, "default", reader(1))
    for act in (mine.current, lambda: mine.manifest("v2")):
        error = refusal(act)
        assert "is not signed" in error.message
        assert "packsight catalog sign" in error.remedy


def test_without_keys_signed_and_unsigned_catalogs_are_read(shelf: Shelf, tmp_path: Path) -> None:
    catalogs = CatalogStore(shelf, "default", UNCHECKED)
    assert catalogs.manifest("v1").version == "v1"
    put(shelf, tmp_path / "v2", "v2", UNCHECKED)
    assert [manifest.version for manifest in catalogs.versions()] == ["v1", "v2"]


def test_a_document_of_another_kind_catalog_or_version_is_refused_though_it_is_signed(shelf: Shelf, tmp_path: Path) -> None:
    put(shelf, tmp_path / "other", "v9", publisher(1), "other")
    mine = CatalogStore(shelf, "default", reader(1))
    good = dict(shelf.objects)
    shelf.objects[POINTER] = good["catalogs/other/CURRENT.json"]
    assert "that of other" in refusal(mine.current).message
    shelf.objects[manifest_key("v1")] = good[manifest_key("v9", "other")]
    assert "that of v9 of other" in refusal(lambda: mine.manifest("v1")).message
    shelf.objects[POINTER] = good[manifest_key("v1")]
    assert "changed after it was signed" in refusal(mine.current).message


def test_an_old_pointer_that_is_put_back_is_refused_by_whoever_saw_a_newer_one(shelf: Shelf, tmp_path: Path) -> None:
    home = tmp_path / "home"
    follower, former = CatalogStore(shelf, "default", reader(1, home=home)), shelf.objects[POINTER]
    put(shelf, tmp_path / "v2", "v2", publisher(1))
    assert follower.current() is not None
    shelf.objects[POINTER] = former
    error = refusal(follower.current)
    assert "older than one that was followed here" in error.message
    assert "packsight catalog rollback VERSION" in error.remedy
    late = CatalogStore(shelf, "default", reader(1, home=tmp_path / "elsewhere"))
    assert late.current() is not None, "who never saw a newer one cannot know"


def test_rolling_back_writes_a_newer_pointer_whatever_the_clock_says(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = CatalogStore(shelf, "default", reader(1, home=tmp_path / "home"))
    put(shelf, tmp_path / "v2", "v2", publisher(1))
    before = follower.current()

    slow = Mock(now=Mock(return_value=datetime(2020, 1, 1, tzinfo=UTC)))
    monkeypatch.setattr("packsight.shared.catalog.deletion.datetime", slow)
    CatalogStore(shelf, "default", publisher(1)).point("v1", expected=before)
    now = follower.current()
    assert before is not None and now is not None and before.changed_at and now.changed_at
    assert now.version == now.versions[RECIPE.key] == "v1"
    assert now.changed_at - before.changed_at == timedelta(microseconds=1)


def test_signing_anew_takes_up_what_nobody_signed_and_what_a_former_key_did_but_nothing_that_was_changed(
    shelf: Shelf, tmp_path: Path
) -> None:
    put(shelf, tmp_path / "v3", "v3", publisher(1), recipe=RECIPE.model_copy(update={"matching": "m2"}))
    put(shelf, tmp_path / "v2", "v2", UNCHECKED)
    shelf.objects[manifest_key("v3")] = shelf.objects[manifest_key("v3")].replace(b'"products": 1', b'"products": 9')
    shelf.objects[manifest_key("v4")] = b"junk"
    signed = CatalogStore(shelf, "default", publisher(2, None, 1)).sign()
    assert [manifest.version for manifest in signed] == ["v1", "v2"]
    mine = CatalogStore(shelf, "default", reader(2))
    current = mine.current()
    assert current is not None and current.version == "v2"
    found, refused = mine.look()
    assert [manifest.version for manifest in found] == ["v1", "v2"]
    assert len(refused) == 2


def test_a_pointer_that_was_changed_is_not_signed_anew(shelf: Shelf) -> None:
    shelf.objects[POINTER] = shelf.objects[POINTER].replace(b'"v1"', b'"v7"')
    with pytest.raises(CatalogError, match="changed after it was signed"):
        CatalogStore(shelf, "default", publisher(1)).sign()
    assert CatalogStore(shelf, "default", publisher(1)).overwritable() is not None


def test_a_version_of_a_release_that_signed_nothing_can_be_built_upon(shelf: Shelf, tmp_path: Path) -> None:
    put(shelf, tmp_path / "v0", "v0", UNCHECKED)
    shelf.objects[manifest_key("v0")] = shelf.objects[manifest_key("v0")].replace(b'"format": 8', b'"format": 2')
    manifest = CatalogStore(shelf, "default", reader(1)).manifest("v0")
    assert manifest.is_former
    with pytest.raises(CatalogError, match="older release"):
        manifest.require(manifest.recipe)


NAMES = [b"v1", b"index.faiss", b"default"]


class Generous(Shelf):
    """Object storage in which somebody has put something under every name that is asked for."""

    def read(self, key: str, *, bucket: str | None = None, limit: int | None = None) -> Blob:
        version = key.removeprefix("catalogs/default/versions/").removesuffix("/manifest.json")
        if key not in self.objects and version != key:
            data = self.objects[manifest_key("v1")].replace(b'"v1"', json.dumps(version).encode())
            return Blob(data, "tag")
        return super().read(key)

    def download(self, key: str, path: Path, *, limit: int | None = None, tagged: bool = True) -> str:
        parts = {name: data for name, data in self.objects.items() if "/parts/" in name}
        path.write_bytes(parts.get(key) or next(iter(parts.values())))
        return "tag"


def mutations(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Something near a document: bits, bytes and lines changed, lost, doubled, moved, or taken from other documents."""
    place = chance.randrange(len(data))
    line = data.splitlines(keepends=True)
    other = chance.choice(others).splitlines(keepends=True)
    name = chance.choice([b"../../../out", b"/tmp/out", b".", b"a/b", b"v2\\u0000", b"", b"..\\\\out"])
    return chance.choice(
        [
            data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :],
            data[:place],
            data[:place] + data[place + chance.randrange(1, 5) :],
            data[:place] + bytes(chance.choices(b'"{}[]:, \n0az/.\\', k=chance.randrange(1, 4))) + data[place:],
            b"".join([*line[:-1], other[-1]]),
            b"".join([*other[:-1], line[-1]]),
            data + chance.choice([b"\n", b" ", line[-1], data]),
            b"".join([*line[:-1], line[-1].upper()]),
            data.replace(chance.choice(NAMES), name, 1),
            b"".join(line[:-1]),
            b"".join(line[:-1]).replace(chance.choice(NAMES), name, 1),
        ]
    )


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("trust", [reader(1), UNCHECKED], ids=["checked", "unchecked"])
def test_every_mutation_is_refused_and_nothing_is_written_outside_of_the_catalogs_folder(
    shelf: Shelf, tmp_path: Path, trust: Trust
) -> None:
    """Where there are no keys, what still reads as a document may be followed, but leads nowhere else."""
    put(shelf, tmp_path / "other", "v2", publisher(1), "other")
    put(shelf, tmp_path / "strange", "v1", publisher(2), "strange")
    good, chance, shelf = dict(shelf.objects), random.Random(SEED), Generous()
    documents = [POINTER, manifest_key("v1")]
    others = [data for name, data in good.items() if name.endswith(".json")]
    folder = tmp_path / "a" / "b" / "home" / "versions"
    folder.mkdir(parents=True)
    before, refused = tree(tmp_path), 0
    for _ in range(900):
        name = chance.choice(documents)
        mutated = mutations(chance, good[name], others)
        if mutated == good[name]:
            continue
        shelf.objects = {**good, name: mutated}
        catalogs = CatalogStore(shelf, "default", trust)
        try:
            current = catalogs.current()
            assert current is not None
            for version in [*current.versions.values(), current.version]:
                catalogs.download(version, folder)
        except PacksightError as error:
            assert error.code in {ErrorCode.CATALOG_REFUSED, ErrorCode.CATALOG_MISSING, ErrorCode.OBJECT_MISSING}
            assert error.remedy
            refused += 1
            if trust.keyring.checks:
                assert type(error) is CatalogError and error.code is ErrorCode.CATALOG_REFUSED, mutated
        else:
            assert not trust.keyring.checks, mutated
        assert [path for path in tree(tmp_path) - before if not path.startswith("a/b/home/versions/")] == []
    assert refused > 300


def test_a_key_file_is_its_owners_alone_and_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "catalog.pem"
    made = create_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert public_key(read_key(file)) == public_key(made)
    with pytest.raises(UserError, match="is there already"):
        create_key(file)
    assert public_key(read_key(file)) == public_key(made)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "There is no key"), (b"no key", "no private key"), (b"\xff\x00", "no private key")],
)
def test_a_key_file_that_cannot_be_used_is_named_with_what_to_do(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "catalog.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        read_key(file)
    assert str(file) in str(caught.value)
    assert "PACKSIGHT_CATALOG__SIGNING_KEY_FILE" in str(caught.value)


def test_the_private_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    file = tmp_path / "catalog.pem"
    pem = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem)
    with pytest.raises(UserError, match="no private key of Ed25519"):
        read_key(file)


def test_keys_come_from_the_settings_and_the_private_one_only_to_who_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "catalog.pem"
    own = public_key(create_key(file))
    monkeypatch.setenv("PACKSIGHT_CATALOG__SIGNING_KEY_FILE", str(file))
    monkeypatch.setenv("PACKSIGHT_CATALOG__PUBLIC_KEYS", json.dumps([public_key(key(7))]))
    settings = load_settings(tmp_path / "none")
    assert Trust.of_publisher(settings).keyring.ids == (public_key(key(7))[:16], own[:16])
    monkeypatch.delenv("PACKSIGHT_CATALOG__SIGNING_KEY_FILE")
    monkeypatch.setenv("PACKSIGHT_CATALOG__SIGNING_KEY", file.read_text())
    assert Trust.of_publisher(load_settings(tmp_path / "none")).keyring.own == own[:16]
    monkeypatch.setenv("PACKSIGHT_CATALOG__SIGNING_KEY", "secret text")
    with pytest.raises(UserError, match="no private key") as caught:
        Trust.of_publisher(load_settings(tmp_path / "none"))
    assert "secret text" not in str(caught.value)
    file.unlink()
    assert Trust.of_reader(settings).keyring.ids == (public_key(key(7))[:16],)
    monkeypatch.setenv("PACKSIGHT_CATALOG__PUBLIC_KEYS", '["short"]')
    with pytest.raises(UserError, match="PACKSIGHT_CATALOG__PUBLIC_KEYS"):
        load_settings(tmp_path / "none")


def test_a_signature_is_for_one_kind_of_document() -> None:
    signed = Document.split(Keyring(private=key(1)).sign(Kind.MANIFEST, b"{}"))
    reader(1).keyring.check(Kind.MANIFEST, signed, "It")
    with pytest.raises(CatalogError):
        reader(1).keyring.check(Kind.POINTER, signed, "It")
