"""Keys of catalogs for tests, and object storage without a server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.signatures import Keyring, public_key
from packsight.shared.catalog.trust import Trust
from packsight.shared.contract.errors import ErrorCode, ObjectMissing, StorageError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import Blob, Conflict, Listed, ObjectStore

UNCHECKED = Trust(Keyring())
"""Where nothing is signed."""


def key(number: int) -> Ed25519PrivateKey:
    """A key that is the same in each run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(str(number).encode()).digest())


def publisher(number: int, home: Path | None = None, *others: int) -> Trust:
    """One who signs with a key, and believes others too."""
    return Trust(Keyring([public_key(key(other)) for other in others], key(number)), home)


def reader(*numbers: int, home: Path | None = None) -> Trust:
    """One who believes these keys and signs nothing."""
    return Trust(Keyring([public_key(key(number)) for number in numbers]), home)


def lay_apart(store: ObjectStore, manifest: Manifest) -> None:
    """Lay the files of a version below its own prefix too, as releases did whose versions had none in common."""
    for name, entry in manifest.files.items():
        data = store.read(layout.part(manifest.catalog, entry.stored.sha256)).data
        if entry.packed:
            data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
        store.write(layout.version(manifest.catalog, manifest.version, name), data)


class Shelf(ObjectStore):
    """Objects in a dictionary: what catalogs ask of object storage, and no more."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: dict[str, datetime] = {}
        """When an object was written, where that was noted."""
        self.bucket = "shelf"

    def read(self, key: str, *, bucket: str | None = None, limit: int | None = None) -> Blob:
        if key not in self.objects:
            raise ObjectMissing(ErrorCode.OBJECT_MISSING, key)
        data = self.objects[key]
        return Blob(data, hashlib.md5(data).hexdigest())

    def write(self, key: str, data: bytes, *, content_type: str = "") -> None:
        self.objects[key] = data

    def replace(self, key: str, data: bytes, *, etag: str | None) -> None:
        if (self.read(key).etag if key in self.objects else None) != etag:
            raise Conflict(ErrorCode.CONFLICT, key)
        self.objects[key] = data

    def exists(self, key: str) -> bool:
        return key in self.objects

    def age(self, key: str) -> timedelta | None:
        now = datetime.now(UTC)
        return now - self.written.get(key, now) if key in self.objects else None

    def size(self, key: str) -> int:
        return len(self.objects[key])

    def list(self, prefix: str, *, bucket: str | None = None, recursive: bool = True) -> Iterator[str]:
        keys = (key for key in sorted(self.objects) if key.startswith(prefix))
        if recursive:
            return keys
        cut = (key[: key.find("/", len(prefix)) + 1] or key for key in keys)
        return iter(dict.fromkeys(cut))

    def listed(self, prefix: str, *, bucket: str | None = None) -> Iterator[Listed]:
        now = datetime.now(UTC)
        return (Listed(key, self.size(key), self.written.get(key, now)) for key in self.list(prefix))

    def upload(self, key: str, path: str) -> None:
        self.objects[key] = Path(path).read_bytes()

    def upload_unchanged(self, key: str, path: Path, sha256: str) -> None:
        self.upload(key, str(path))

    def download(self, key: str, path: Path, *, limit: int | None = None, tagged: bool = True) -> str:
        blob = self.read(key)
        if limit is not None and len(blob.data) > limit:
            raise StorageError(ErrorCode.FILE_TOO_LARGE, key)
        path.write_bytes(blob.data)
        return blob.etag

    def remove(self, key: str) -> None:
        self.objects.pop(key, None)
