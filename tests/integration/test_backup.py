"""Backups over a real object store: taken, checked, wiped, brought back, and a sync that goes on from there."""

from __future__ import annotations

import gzip
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from packsight.cli import app
from packsight.deploy.backup.folder import BackupFolder
from packsight.deploy.stack.credentials import Role
from packsight.deploy.testbed import Servers, variables
from packsight.shared.catalog.manifest import MANIFEST, read_manifest, seal
from packsight.shared.catalog.signatures import public_key
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import ErrorCode, StorageError, UserError
from packsight.shared.settings import S3, load_settings
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobImage, JobManifest, JobStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from tests.integration.test_sync import Shop, photo
from tests.trust import key, publisher, reader
from tests.unit.test_verdicts import verdict


class Disaster:
    """A shop with a signed catalog, seen with the operator's keys; what befalls its bucket is done with the administrator's."""

    def __init__(self, folder: Path, shop: Shop) -> None:
        self.folder, self.shop, self.store = folder, shop, shop.store
        self.backups = BackupFolder(folder / "backups")

    def run(self, command: str, *options: str) -> Result:
        done = CliRunner().invoke(app, [command, str(self.backups.root), *options])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def wipe(self) -> None:
        for found in list(self.store.list("")):
            self.store.remove(found)

    def content(self, *left_out: str) -> dict[str, bytes]:
        return {found: self.store.read(found).data for found in self.store.list("") if not found.startswith(left_out)}

    @property
    def version(self) -> str:
        current = CatalogStore(self.store, "default", reader(1)).current()
        assert current is not None
        return current.version

    def served(self) -> Snapshot:
        """What a worker of a new host opens, signatures and hashes checked."""
        catalogs = CatalogStore(self.store, "default", reader(1))
        return Snapshot.open(catalogs.download(self.version, self.folder / "host"))

    def publish_again(self, name: str) -> None:
        """What a sync leaves behind that gives one file of the version other content, and collects the version before."""
        before, publisher_ = self.version, CatalogStore(self.store, "default", publisher(1))
        folder = self.folder / "built"
        shutil.copytree(publisher_.download(before, self.folder / "host"), folder / name)
        manifest = read_manifest((folder / name / MANIFEST).read_bytes(), before)
        changed, entry = next(iter(manifest.files.items()))
        (folder / name / changed).unlink()
        (folder / name / changed).write_bytes(name.encode())
        seal(folder / name, manifest.model_copy(update={"version": name}))
        publisher_.upload(folder / name)
        publisher_.point(name, expected=publisher_.current())
        publisher_.remove(before)
        self.store.remove(layout.part("default", entry.stored.sha256))


@pytest.fixture(scope="module")
def published(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, dict[str, bytes]]]:
    """A shop whose catalog was synced twice, and what its bucket holds then."""
    folder = tmp_path_factory.mktemp("backup")
    # The operator's keys are good for the bucket of this name.
    settings = servers.settings(folder / "home", S3().bucket)
    pem = key(1).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    catalog = settings.catalog.model_copy(update={"signing_key": SecretStr(pem)})
    with closing(ObjectStore(settings.s3)) as store:
        store.ensure_bucket()
        shop = Shop(folder / "shop", settings.model_copy(update={"catalog": catalog}), store)
        made = Disaster(folder, shop)
        made.wipe()
        shop.sync()
        shop.names["3"] = "Lotion of roses"
        shop.sync()
        yield shop, made.content()
        made.wipe()


@pytest.fixture
def disaster(
    servers: Servers, published: tuple[Shop, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Disaster:
    shop, content = published
    operator = shop.settings.model_copy(update={"s3": servers.s3_of(Role.OPERATOR).model_copy(update={"bucket": S3().bucket})})
    for name, value in variables(operator).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PACKSIGHT_CATALOG__PUBLIC_KEYS", f'["{public_key(key(1))}"]')
    monkeypatch.setenv("PACKSIGHT_CATALOG__SYNC_SECONDS", "333")
    made = Disaster(tmp_path, shop)
    made.wipe()
    for name, data in content.items():
        shop.store.write(name, data)
    return made


def test_what_was_wiped_is_brought_back_as_it_was_and_the_next_sync_describes_nothing_again(
    disaster: Disaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = JobStore(disaster.store)
    jobs.create(JobManifest(job="j-1", images=1), [JobImage(reference="s3://packsight/incoming/a.jpg", name="a")])
    for name in ("reviews/default/7.json", "uploads/customer", "incoming/queries/1.jpg"):
        disaster.store.write(name, name.encode())
    kept, secret = disaster.content(layout.UPLOADS), load_settings().s3.secret_key.get_secret_value()

    taken = disaster.run("backup")
    assert taken.exit_code == 0
    assert re.match(r"copied 0/(\d+) · .*\ncopied \1/\1 · ", taken.stderr), "what nobody watches on a terminal is not silent"
    assert "Not in it: uploads/, secrets, keys and people of the HTTP door, the broker" in taken.output
    assert disaster.run("restore", "--check").exit_code == 0
    disaster.wipe()
    done = disaster.run("restore")
    assert done.exit_code == 0, done.output
    assert re.match(r"restored 0/(\d+) · .*\nrestored \1/\1 · ", done.stderr)
    assert disaster.content() == kept, "byte for byte, signatures too"
    assert disaster.served().products[2].name == "Lotion of roses"
    assert jobs.images("j-1")[0].name == "a"

    settings = disaster.backups.settings_of(disaster.backups.latest()).read_text()
    assert "PACKSIGHT_CATALOG__SYNC_SECONDS='333.0'" in settings
    assert not any(secret in text for text in (settings, taken.output, done.output))
    assert not any(word in settings for word in ("ACCESS_KEY=", "SECRET_KEY=", "SIGNING_KEY=", "redis://"))

    asked = len(disaster.shop.extractor.asked)
    monkeypatch.setattr(
        disaster.shop, "settings", disaster.shop.settings.model_copy(update={"home": disaster.folder / "another host"})
    )
    monkeypatch.setattr(disaster.shop, "names", {**disaster.shop.names, "3": "Cream number 3"})
    again = disaster.shop.sync()
    assert (again.published, again.fetched, again.described, again.photos) == (True, 0, 0, 16)
    assert len(disaster.shop.extractor.asked) == asked


def test_reviews_of_a_job_that_was_removed_since_count_again(disaster: Disaster) -> None:
    photo_of_it = JobImage(reference="s3://packsight/incoming/a.jpg", name="a")
    JobStore(disaster.store).create(JobManifest(job="j-1", images=1), [photo_of_it])
    reviews = ReviewStore(disaster.store, "default")
    reviews.add([verdict(job="j-1"), verdict(job="j-2", at=datetime.now(UTC))])
    assert disaster.run("backup").exit_code == 0
    JobStore(disaster.store).remove("j-1")
    for job in ("j-1", "j-2"):
        reviews.remove_job(job)
    assert disaster.run("restore").exit_code == 0
    ReviewStore(disaster.store, "default").compact()
    assert [one.job for one in ReviewStore(disaster.store, "default").all()] == ["j-1"]


def test_the_remedy_for_a_key_that_is_not_known_here_is_told(disaster: Disaster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disaster.run("backup").exit_code == 0
    monkeypatch.setenv("PACKSIGHT_CATALOG__PUBLIC_KEYS", f'["{public_key(key(2))}"]')
    told = disaster.run("restore", "--check")
    assert told.exit_code == 1 and "add its public key to PACKSIGHT_CATALOG__PUBLIC_KEYS" in " ".join(told.output.split())


def test_a_second_backup_copies_only_what_is_new_and_one_of_nothing_new_nothing(disaster: Disaster) -> None:
    disaster.run("backup")
    held = {path.name: path.stat().st_mtime_ns for path in disaster.backups.root.glob("objects/*/*")}
    disaster.store.write("incoming/new.jpg", photo(77))
    told = disaster.run("backup").output
    assert "1 of them new" in told
    assert "0 of them new" in disaster.run("backup").output
    after = {path.name: path.stat().st_mtime_ns for path in disaster.backups.root.glob("objects/*/*")}
    assert len(after) == len(held) + 1
    assert {name: after[name] for name in held} == held


def test_a_backup_that_was_broken_off_goes_on_where_it_was(disaster: Disaster, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = ObjectStore.download, [0]

    def failing(store: ObjectStore, name: str, path: Path, **how: Any) -> str:
        count[0] += name.startswith(layout.PHOTOS)
        if count[0] > 5:
            raise StorageError(ErrorCode.FETCH_FAILED, "the line is cut")
        return real(store, name, path, **how)

    monkeypatch.setattr("packsight.deploy.backup.taking.STEP", 4)
    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "download", failing)
        with pytest.raises(StorageError, match="the line is cut"):
            disaster.run("backup")
    assert disaster.backups.names() == [], "no list names half of a backup"
    there = {path.name for path in disaster.backups.root.glob("objects/*/*")}
    assert there
    told = disaster.run("backup").output
    all_of_it = len(disaster.backups.read(disaster.backups.latest())[1])
    new = int(told.split(" of them new")[0].rpartition(", ")[2])
    assert 0 < new < all_of_it
    assert not list(disaster.backups.root.glob("objects/*/*.part"))


def test_a_restore_that_was_broken_off_left_no_pointer_and_goes_on(disaster: Disaster, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = disaster.content()
    disaster.run("backup")
    disaster.wipe()
    real, sent = ObjectStore.upload, [0]

    def failing(store: ObjectStore, name: str, path: str) -> None:
        sent[0] += 1
        if sent[0] > 20:
            raise StorageError(ErrorCode.FETCH_FAILED, "the line is cut")
        real(store, name, path)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "upload", failing)
        with pytest.raises(StorageError, match="the line is cut"):
            disaster.run("restore")
    assert not disaster.store.exists(layout.pointer("default"))
    missing = len(kept) - len(disaster.content())
    assert f"{missing} objects" in disaster.run("restore").output
    assert disaster.content() == kept


def test_a_bucket_with_another_catalog_is_left_alone_unless_it_is_told(disaster: Disaster) -> None:
    kept = disaster.content()
    disaster.run("backup")
    disaster.publish_again("v9")
    disaster.store.write("incoming/of-others.jpg", b"1")
    later = disaster.content()
    with pytest.raises(UserError, match=r"catalogs/default/CURRENT\.json\. Restore into an empty bucket, or say --over"):
        disaster.run("restore")
    assert disaster.content() == later, "nothing was written"
    assert disaster.run("restore", "--over").exit_code == 0
    restored = disaster.content()
    assert {name: restored[name] for name in kept} == kept
    assert restored["incoming/of-others.jpg"] == b"1"
    assert disaster.version != "v9"


def test_damage_in_the_folder_is_found_and_nothing_damaged_is_brought_back(disaster: Disaster) -> None:
    disaster.run("backup")
    one = next(found for found in disaster.backups.read(disaster.backups.latest())[1] if found.key.startswith(layout.PHOTOS))
    place = disaster.backups.place(one.sha256)
    place.write_bytes(b"X" + place.read_bytes()[1:])
    checked = disaster.run("restore", "--check")
    assert checked.exit_code == 1
    assert f"{one.key} is damaged" in checked.output
    disaster.wipe()
    with pytest.raises(UserError, match=f"{one.key} is damaged"):
        disaster.run("restore")
    assert not disaster.store.exists(layout.pointer("default"))


@pytest.mark.parametrize("lost", ["pointer", MANIFEST])
def test_a_pointer_or_manifest_that_the_folder_has_lost_is_named(disaster: Disaster, lost: str) -> None:
    disaster.run("backup")
    key = layout.pointer("default") if lost != MANIFEST else layout.version("default", disaster.version, MANIFEST)
    one = next(found for found in disaster.backups.read(disaster.backups.latest())[1] if found.key == key)
    disaster.backups.place(one.sha256).unlink()
    disaster.wipe()
    done = disaster.run("restore")
    assert done.exit_code == 1
    assert f"{one.key} is damaged or missing in {disaster.backups.root}. Restore an earlier backup" in done.output
    assert not disaster.content()


@pytest.mark.parametrize("harm", ["part", "manifest", "pointer", "photo"])
def test_damage_in_the_bucket_is_told_when_it_is_backed_up(disaster: Disaster, harm: str) -> None:
    manifest = CatalogStore(disaster.store, "default", reader(1)).manifest(disaster.version)
    keys = {
        "part": layout.part("default", next(iter(manifest.files.values())).stored.sha256),
        "manifest": layout.version("default", disaster.version, layout.MANIFEST),
        "pointer": layout.pointer("default"),
        "photo": next(disaster.store.list(layout.PHOTOS)),
    }
    data = disaster.store.read(keys[harm]).data
    changed = data.replace(b"{", b"{ ", 1) if harm in {"manifest", "pointer"} else data[:-1] + b"X"
    disaster.store.write(keys[harm], changed)
    done = disaster.run("backup")
    assert done.exit_code == 1
    words = {"part": "is not what its manifest says", "photo": "is not what its name says"}
    assert words.get(harm, "was changed after it was signed") in done.output.replace("\n", " ")
    if harm != "photo":
        assert disaster.run("restore", "--check").exit_code == 1


def test_a_version_that_lost_a_patch_is_whole_all_the_same(disaster: Disaster) -> None:
    publisher_ = CatalogStore(disaster.store, "default", publisher(1))
    before, folder = publisher_.download(disaster.version, disaster.folder / "host"), disaster.folder / "v9"
    shutil.copytree(before, folder)
    lines = [secrets.token_hex(40) for _ in range(200)]
    for place, text in ((before, lines), (folder, [*lines, "one more"])):
        (place / "said.json").write_text("\n".join(text))
    manifest = read_manifest((before / MANIFEST).read_bytes(), before.name)
    made = seal(folder, manifest.model_copy(update={"version": "v9", "parent": before.name}), parent=before)
    publisher_.upload(folder)
    publisher_.point("v9", expected=publisher_.current())
    patch = made.files["said.json"].patch
    assert patch is not None
    disaster.store.remove(layout.part("default", patch.sha256))
    assert disaster.run("backup").exit_code == 0
    assert disaster.run("restore", "--check").exit_code == 0
    disaster.wipe()
    assert disaster.run("restore").exit_code == 0
    assert (disaster.served().folder / "said.json").read_text().endswith("one more")


def test_a_version_that_a_sync_replaces_meanwhile_is_copied_by_a_second_look(
    disaster: Disaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = ObjectStore.download, [0]

    def busy(store: ObjectStore, name: str, path: Path, **how: Any) -> str:
        if name.startswith(layout.part("default")) and not done[0]:  # pointer and manifests were copied before
            done[0] = 1
            monkeypatch.setattr(ObjectStore, "download", real)
            disaster.publish_again("v9")
        return real(store, name, path, **how)

    monkeypatch.setattr(ObjectStore, "download", busy)
    taken = disaster.run("backup")
    assert taken.exit_code == 0, taken.output
    _, copies = disaster.backups.read(disaster.backups.latest())
    assert layout.version("default", "v9", MANIFEST) in {one.key for one in copies}
    assert disaster.run("restore", "--check").exit_code == 0


def test_older_backups_and_what_only_they_have_are_removed(disaster: Disaster) -> None:
    disaster.store.write("incoming/once.jpg", photo(501))
    disaster.run("backup")
    first = disaster.backups.latest()
    (once,) = [found for found in disaster.backups.read(first)[1] if found.key == "incoming/once.jpg"]
    disaster.store.remove("incoming/once.jpg")
    disaster.run("backup", "--keep", "2")
    assert disaster.backups.place(once.sha256).exists()
    disaster.run("backup", "--keep", "2")
    assert len(disaster.backups.names()) == 2
    assert first not in disaster.backups.names()
    assert not disaster.backups.place(once.sha256).exists()
    assert disaster.run("restore", "--check").exit_code == 0


def test_a_damaged_bucket_pushes_out_no_sound_backup(disaster: Disaster) -> None:
    disaster.run("backup")
    sound = disaster.backups.latest()
    key = next(disaster.store.list(layout.PHOTOS))
    disaster.store.write(key, disaster.store.read(key).data[:-1] + b"X")
    for _ in range(2):
        assert disaster.run("backup", "--keep", "1").exit_code == 1
    assert sound in disaster.backups.names()


def test_what_is_left_out_is_named_and_what_goes_with_the_next_collection_is_not_copied(disaster: Disaster) -> None:
    orphan = layout.part("default", "0" * 64)
    over_http = layout.upload(secrets.token_hex(32))  # named before its bytes came
    for name in (over_http, "uploads/a", "incoming/b", orphan):
        disaster.store.write(name, b"1")
    disaster.run("backup", "--skip", "incoming")
    head, copies = disaster.backups.read(disaster.backups.latest())
    assert head.left_out == ("incoming/", "uploads/")
    assert not {"uploads/a", "incoming/b", orphan} & {one.key for one in copies}
    assert disaster.run("backup", "--uploads").exit_code == 0
    assert {over_http, "uploads/a", "incoming/b"} <= {one.key for one in disaster.backups.read(disaster.backups.latest())[1]}
    with pytest.raises(UserError, match="Name another prefix"):
        disaster.run("backup", "--skip", "catalogs/")


def test_a_list_that_is_cut_or_of_a_newer_release_is_told_and_an_earlier_one_can_be_named(disaster: Disaster) -> None:
    with pytest.raises(UserError, match="holds no backup"):
        disaster.run("restore")
    disaster.run("backup")
    first = disaster.backups.latest()
    disaster.run("backup")
    path = disaster.backups.root / "backups" / f"{disaster.backups.latest()}.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    for damaged in (gzip.compress(b"".join(lines[:-1])), path.read_bytes()[:-9], gzip.compress(b'{"format":2}\n')):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"is damaged.* `--at {first}`"):
            disaster.run("restore", "--check")
    assert disaster.run("restore", "--check", "--at", first).exit_code == 0


def test_after_a_list_that_was_cut_backups_go_on_and_nothing_older_is_removed_before_it_is(disaster: Disaster) -> None:
    disaster.run("backup")
    first = disaster.backups.latest()
    disaster.run("backup")
    path = disaster.backups.root / "backups" / f"{disaster.backups.latest()}.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    done = disaster.run("backup", "--keep", "2")
    assert done.exit_code == 1
    assert f"{path} is damaged" in done.output
    assert " 0 of them new" in done.output
    assert first in disaster.backups.names()
    assert disaster.run("restore", "--check").exit_code == 0
    path.unlink()
    assert disaster.run("backup", "--keep", "2").exit_code == 0
    assert first not in disaster.backups.names()
