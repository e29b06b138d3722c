"""Catalog versions in object storage: immutable, hashed, named by one pointer that is compared and set.

    catalogs/<name>/parts/<sha256>                files of the versions, each written once
    catalogs/<name>/versions/<version>/           manifest.json names the version's files; written last
    catalogs/<name>/CURRENT.json                  which version each recipe is served, overwritten only with If-Match
    catalogs/<name>/CURRENT                       the same for workers of releases that knew no recipes: read, never written

A version is made for one recipe (packsight.shared.catalog.recipe), and the pointer names one version for each: workers that
differ in what they decide with, as they do during an upgrade, are each served their own. Beside it, it may name a canary: a
version that answers a share of the messages. Workers of releases that knew none answer all from the other. A recipe that was
gone back for is held there: the indexer's syncs leave it alone until somebody decides, workers need not know.

Two versions have a file in common when it is the same in both: it is sent once, kept once, and brought to a host once
(packsight.shared.catalog.parts). Versions of release 0.1 have their files below their own prefix.

Pointer and manifests are signed where there are keys (packsight.shared.catalog.signatures), and a manifest has the hash of every
other file. What releases left behind that knew no recipes is not: it is read to be told of and to be built upon, never served.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from packsight.shared.catalog.deletion import deleted_at, later_than
from packsight.shared.catalog.manifest import MANIFEST, Manifest, made_at, read_manifest
from packsight.shared.catalog.parts import Parts
from packsight.shared.catalog.pointer import WRITE_ANEW, Current, Pointer
from packsight.shared.catalog.signatures import Document, Kind
from packsight.shared.catalog.trust import Trust
from packsight.shared.contract.errors import CatalogError, ErrorCode, PacksightError, UserError
from packsight.shared.contract.messages import CATALOG_NAME
from packsight.shared.storage import layout
from packsight.shared.storage.objects import Blob, ObjectStore

_FILE = re.compile(r"[a-z0-9_.]+\.(arrow|faiss|lists|npy)")
"""A file of a version, as releases named it that kept them by version; what is told of versions is of other kinds."""
_NOTHING = Current("", {}, None)


class CatalogStore:
    """The versions of one catalog in object storage.

    remembers: a manifest is read once, for who asks often and holds the catalog's lock: nobody else writes one meanwhile.
    """

    def __init__(self, store: ObjectStore, name: str, trust: Trust, *, remembers: bool = False) -> None:
        self._store = store
        self.name = name
        self._trust = trust
        self._read_once: dict[str, Blob] | None = {} if remembers else None

    def current(self) -> Current | None:
        """Read the pointer; None when nothing was ever published.

        Raises CatalogError for one that is not readable, that nobody who is believed signed, or that is older than one
        which was believed before.
        """
        found = self._pointer()
        if found is None:
            former = self.former()
            return None if former is None else Current(former, {}, None)
        document, etag = found
        self._trust.keyring.check(Kind.POINTER, document, f"The pointer of catalog {self.name}")
        pointer = Pointer.parse(document.body, layout.pointer(self.name))
        if not self._trust.keyring.checks:
            return pointer.seen(etag)
        self._require_own(pointer)
        self._require_latest(pointer)
        return pointer.seen(etag, document.key)

    def overwritable(self) -> Current | None:
        """What to overwrite, whatever it is: as `current`, but of a pointer that is refused only its tag."""
        try:
            return self.current()
        except CatalogError:
            found = self._pointer()
            return None if found is None else replace(_NOTHING, etag=found[1])

    def _pointer(self) -> tuple[Document, str] | None:
        blob = self._blob(layout.pointer(self.name))
        return None if blob is None else (Document.split(blob.data), blob.etag)

    def _require_own(self, pointer: Pointer, *names: str) -> None:
        if pointer.catalog not in (self.name, *names):
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"The pointer of catalog {self.name} is that of {pointer.catalog or 'no catalog'}",
                remedy=WRITE_ANEW,
            )

    def _require_latest(self, pointer: Pointer) -> None:
        newest = self._trust.newest(self.name)
        if newest is not None and pointer.changed_at < newest:
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"The pointer of catalog {self.name} is of {pointer.changed_at:%Y-%m-%d %H:%M:%S}, older than one that was "
                f"followed here: somebody put it back, or object storage was restored",
                remedy=f"After a restore `packsight catalog sign` writes it anew as it is. Else: {WRITE_ANEW}",
            )
        if newest is None or pointer.changed_at > newest:
            self._trust.note(self.name, pointer.changed_at)

    def former(self) -> str | None:
        """Version that workers of releases without recipes serve; None when none ever published here."""
        blob = self._blob(layout.former_pointer(self.name))
        return None if blob is None else Pointer.parse(blob.data, layout.former_pointer(self.name)).version

    def served(self) -> set[str]:
        """Versions that any worker is pointed at, canaries and those of releases without recipes included."""
        current, former = self.current(), self.former()
        return {*([] if former is None else [former]), *(() if current is None else current.served())}

    def _blob(self, key: str) -> Blob | None:
        try:
            return self._store.read(key)
        except PacksightError as error:
            if error.code in {ErrorCode.OBJECT_MISSING, ErrorCode.BUCKET_MISSING}:
                return None
            raise

    def manifest(self, version: str) -> Manifest:
        """Read the manifest of a version; raises CatalogError when there is none, or none that is believed."""
        blob = self._manifest(version)
        if blob is None:
            raise CatalogError(
                ErrorCode.CATALOG_MISSING,
                f"Catalog {self.name} has no version {version}",
                remedy=f"`packsight catalog versions --catalog {self.name}` lists those there are.",
                retryable=False,
            )
        document = Document.split(blob.data)
        manifest = self._read(document, version)
        if document.key or not manifest.is_former:
            self._trust.keyring.check(Kind.MANIFEST, document, f"The manifest of version {version} of {self.name}")
        return manifest

    def _manifest(self, version: str) -> Blob | None:
        known = self._read_once if self._read_once is not None else {}
        if version not in known and (blob := self._blob(layout.version(self.name, version, MANIFEST))) is not None:
            known[version] = blob
        return known.get(version)

    def _forget(self, version: str) -> None:
        if self._read_once is not None:
            self._read_once.pop(version, None)

    def _read(self, document: Document, version: str) -> Manifest:
        manifest = read_manifest(document.body, version)
        if (manifest.catalog, manifest.version) != (self.name, version):
            text = f"The manifest of version {version} of {self.name} is that of {manifest.version} of {manifest.catalog}"
            raise CatalogError(ErrorCode.CATALOG_REFUSED, text)
        return manifest

    def versions(self) -> list[Manifest]:
        """Manifests of all whole versions that are believed, oldest first; one without a manifest is unfinished and left out."""
        return self.look()[0]

    def look(self) -> tuple[list[Manifest], list[CatalogError]]:
        """The same, and why the others are not believed."""
        found, refused = [], []
        for version in self._whole():
            try:
                found.append(self.manifest(version))
            except CatalogError as error:
                refused.append(error)
        return found, refused

    def last_name(self) -> str:
        """The name that sorts last of all that were given to versions, as far as that is known; empty where there is none.

        What is earlier is told by names, whose times may come of several clocks: a new one is to sort after it.
        """
        current = self.overwritable()
        left = [hold.gone_back_from for hold in current.holds.values()] if current is not None else []
        return max((name for name in (*self._whole(), *left) if made_at(name) is not None), default="")

    def _whole(self) -> list[str]:
        return [key.split("/")[-2] for key in self._store.list(layout.versions(self.name)) if key.endswith("/" + MANIFEST)]

    def upload(self, folder: Path, *, anew: bool = False) -> None:
        """Upload what is missing of a sealed version, manifest last and signed, and check that every file arrived whole.

        Files that are not in the folder must be there already. anew: files that are there are sent again, which mends them.
        """
        body = (folder / MANIFEST).read_bytes()
        manifest = read_manifest(body, folder.name)
        self.parts.send(folder, manifest, frozenset() if anew else named_parts(self.named()[0]), anew=anew)
        self._write_manifest(manifest.version, body)

    def mark_refused(self, version: str, reasons: Sequence[str]) -> None:
        """Note in the manifest of a version that is there why it is not to be served; raises CatalogError when it is not."""
        marked = self.manifest(version).model_copy(update={"refused": tuple(reasons)})
        self._write_manifest(version, marked.written().encode())

    def _write_manifest(self, version: str, body: bytes) -> None:
        signed = self._trust.keyring.sign(Kind.MANIFEST, body)
        self._forget(version)
        self._store.write(layout.version(self.name, version, MANIFEST), signed, content_type="application/json")

    @property
    def parts(self) -> Parts:
        """The files of all versions."""
        return Parts(self._store, self.name)

    def named(self) -> tuple[list[Manifest], list[CatalogError]]:
        """What all versions say of themselves, whoever signed them, oldest first, and which manifests are not readable."""
        found: list[Manifest] = []
        unreadable: list[CatalogError] = []
        for version in self._whole():
            if (blob := self._manifest(version)) is not None:
                try:
                    found.append(read_manifest(Document.split(blob.data).body, version))
                except CatalogError as error:
                    unreadable.append(error)
        return found, unreadable

    def sign(self) -> list[Manifest]:
        """Sign pointer and versions as they are, those that nobody signed too, with the present key; return the versions.

        For whoever knows that nobody else wrote them. What is not readable or was changed after it was signed stays as it is,
        and so does what releases left behind that knew no recipes: their workers read nothing else. Raises Conflict when
        somebody publishes meanwhile, CatalogError for a pointer that was changed.
        """
        signed = []
        for version in self._whole():
            blob = self._store.read(key := layout.version(self.name, version, MANIFEST))
            document = Document.split(blob.data)
            try:
                manifest = self._read(document, version)
                if document.key:
                    self._trust.keyring.check(Kind.MANIFEST, document, version)
            except CatalogError:
                continue
            if manifest.is_former:
                continue
            if document.key != self._trust.keyring.own:
                self._forget(version)
                self._store.replace(key, self._trust.keyring.sign(Kind.MANIFEST, document.body), etag=blob.etag)
            signed.append(manifest)
        if (found := self._pointer()) is not None:
            document, etag = found
            if document.key:
                self._trust.keyring.check(Kind.POINTER, document, f"The pointer of catalog {self.name}")
            pointer = Pointer.parse(document.body, layout.pointer(self.name))
            self._require_own(pointer, "")
            self._overwrite(pointer.seen(etag))
            self._store.remove(layout.deletion(self.name))  # of a catalog that was brought back
        return signed

    def is_unsigned(self) -> bool:
        """Whether there is a pointer that nobody signed."""
        found = self._pointer()
        return found is not None and not found[0].key

    def point(self, *versions: str, expected: Current | None, share: float = 0.0, hold: bool = False) -> None:
        """Let the pointer name these versions, each for its recipe, if it still is what the caller saw.

        share: of the messages that they are to answer as canaries, where their recipes have versions; else, and with 0, they
        answer all, and whatever was tried for their recipes is over. hold: recipes whose versions are earlier than those that
        they have stay there; else, and where they are not earlier, a hold is over. What it names for other recipes stays.
        Raises Conflict when another publisher won, CatalogError for a version that is not there or that this release does not
        read.
        """
        manifests = [self.manifest(version) for version in versions]
        for manifest in manifests:
            manifest.require_format()
        self._overwrite((expected or _NOTHING).naming(manifests, share=share, hold=hold))

    def drop(self, recipes: Collection[str], *, expected: Current) -> None:
        """Let the pointer name nothing for these recipe keys, if it still is what the caller saw; raises Conflict."""
        self._overwrite(expected.without(recipes))

    def drop_canaries(self, *, expected: Current) -> None:
        """Let the pointer name no canary, if it still is what the caller saw; raises Conflict."""
        self._overwrite(replace(expected, canaries={}))

    def drop_holds(self, *, expected: Current) -> None:
        """Let the pointer hold nothing, if it still is what the caller saw; raises Conflict."""
        self._overwrite(replace(expected, holds={}))

    def drop_former(self) -> None:
        """Remove the pointer of releases without recipes, when no worker of theirs is left."""
        self._store.remove(layout.former_pointer(self.name))

    def _overwrite(self, changed: Current) -> None:
        """Write what a pointer that was seen was changed to, if it is still there as it was seen; raises Conflict."""
        deleted = deleted_at(self._store, self.name, self._trust)
        changed_at = later_than(changed.changed_at, self._trust.newest(self.name), deleted)
        body = changed.written(self.name, changed_at).model_dump_json(indent=1).encode()
        self._store.replace(layout.pointer(self.name), self._trust.keyring.sign(Kind.POINTER, body), etag=changed.etag)
        if self._trust.keyring.own:
            self._trust.note(self.name, changed_at)

    def download(self, version: str, folder: Path) -> Path:
        """Bring a version to `folder/<version>`: to a temporary folder, hashes checked, then renamed into place.

        A copy that is there already serves if it was checked against this very manifest, else it is replaced. Files that
        other versions in `folder` have are linked, not brought again, and of those that are much like the parent's there only the
        difference is.
        """
        manifest = self.manifest(version)
        target = folder / version
        if _copied(target) == manifest:
            return target
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=folder))
        try:
            # One of those that are here: what a manifest says of its parent leads nowhere else.
            before = next((one for one in folder.iterdir() if one.name == manifest.parent and _copied(one) is not None), None)
            self._bring(manifest, part, manifest.files, _copies(folder), before)
            (part / MANIFEST).write_text(manifest.written())
            try:
                part.rename(target)
            except OSError:
                # Where another process of this host was faster, its copy is as good, and may be in use.
                if _copied(target) != manifest:
                    shutil.rmtree(target, ignore_errors=True)
                    part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return target

    def fetch(self, manifest: Manifest, folder: Path, names: Collection[str]) -> None:
        """Bring some files of a version, of whatever format, into a folder; raises CatalogError for one that is damaged."""
        if missing := sorted(set(names) - manifest.files.keys()):
            text = f"Version {manifest.version} of {self.name} has no {', '.join(missing)}"
            raise CatalogError(ErrorCode.CATALOG_REFUSED, text)
        self._bring(manifest, folder, names, {})

    def _bring(
        self, manifest: Manifest, folder: Path, names: Collection[str], copies: Mapping[str, Path], parent: Path | None = None
    ) -> None:
        own = layout.version(self.name, manifest.version)
        keys = {
            name: own + name if manifest.is_former else layout.part(self.name, manifest.files[name].stored.sha256)
            for name in names
        }
        self.parts.bring(folder, manifest, keys, copies, parent)

    def remove(self, version: str) -> None:
        """Remove a version, manifest first, so that no reader meets half of one; its parts stay until they are collected."""
        prefix = layout.version(self.name, version)
        self._forget(version)
        self._store.remove(prefix + MANIFEST)
        for key in list(self._store.list(prefix)):
            self._store.remove(key)

    def unfinished(self) -> list[str]:
        """Versions without a manifest whose own files are there: uploads of releases without parts that never ended."""
        files: dict[str, list[str]] = {}
        for key in self._store.list(layout.versions(self.name)):
            version, _, name = key.removeprefix(layout.versions(self.name)).partition("/")
            files.setdefault(version, []).append(name)
        return [version for version, names in files.items() if MANIFEST not in names and any(map(_FILE.fullmatch, names))]


def _copied(folder: Path) -> Manifest | None:
    """What the files of a local copy were checked against; None when there is none."""
    with suppress(OSError, CatalogError):
        return read_manifest((folder / MANIFEST).read_bytes(), folder.name)
    return None


def named_parts(manifests: Iterable[Manifest]) -> frozenset[str]:
    """Hashes of the parts that versions have."""
    entries = (entry for made in manifests if not made.is_former for entry in made.files.values())
    return frozenset(stored.sha256 for entry in entries for stored in entry.objects)


def _copies(folder: Path) -> dict[str, Path]:
    """Files of the versions in a folder, by the hash against which each was checked."""
    found: dict[str, Path] = {}
    for version in folder.iterdir():
        manifest = None if version.name.startswith(".") else _copied(version)
        found |= {} if manifest is None else {entry.sha256: version / name for name, entry in manifest.files.items()}
    return found


def is_published(store: ObjectStore, name: str) -> bool:
    """Whether a catalog has a pointer, whatever that says."""
    return store.exists(layout.pointer(name)) or store.exists(layout.former_pointer(name))


def published_names(store: ObjectStore) -> str:
    """Names of the catalogs that have a pointer, or "none"."""
    return ", ".join(name for name in catalog_names(store) if is_published(store, name)) or "none"


def unpublished(store: ObjectStore, name: str) -> UserError:
    """What to say of a catalog that nobody has published."""
    known = published_names(store)
    return UserError(f"Catalog {name} has no published version; there are: {known}. Publish one or correct --catalog.")


def catalog_names(store: ObjectStore) -> Iterator[str]:
    """Names of all catalogs that object storage holds; what has no name of a catalog is none.

    Servers that keep files in folders name those of a deleted catalog on, which are empty.
    """
    rooms = list(store.list(layout.CATALOGS, recursive=False))
    deleted = set(store.list(layout.DELETIONS)) if layout.DELETIONS in rooms else frozenset()
    for prefix in rooms:
        name = prefix.removeprefix(layout.CATALOGS).strip("/")
        is_there = layout.deletion(name) not in deleted or next(store.list(prefix), None) is not None
        if re.fullmatch(CATALOG_NAME, name) and is_there:
            yield name
