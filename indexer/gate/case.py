"""What a refusal was about, as one hash: the same shop is not built again every quarter of an hour to be refused again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable

import pyarrow as pa

from packsight.indexer.gate.tables import Tables
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.settings import Catalog

_DECIDING = {
    "max_loss", "max_renamed", "max_repictured", "max_reidentified", "max_shared_picture", "max_placeholder",
    "max_changed_answers",
}  # fmt: skip


def case_of(tables: Tables, made_for: str, parent: Manifest | None, queries: Iterable[str], limits: Catalog) -> str:
    """Hash of all that the gate's answer depends on. made_for: names the recipe and the fit; queries: hashes of their bytes."""
    digest = hashlib.sha256()
    for part in (made_for, parent.version if parent is not None else "", limits.model_dump_json(include=_DECIDING)):
        digest.update(f"{part}\n".encode())
    digest.update("\n".join(sorted(queries)).encode())
    photos = tables.photos.select([name for name in tables.photos.column_names if name != "etag"])
    for table, keys in ((tables.products, ("id",)), (photos, ("product_id", "source", "sha256"))):
        ordered = table.sort_by([(key, "ascending") for key in keys]).combine_chunks()
        with pa.ipc.new_stream(pa.PythonFile(_Sink(digest), "w"), ordered.schema) as writer:
            writer.write_table(ordered)
    return digest.hexdigest()


class _Sink(io.RawIOBase):
    """A file whose content goes into a hash."""

    def __init__(self, digest: hashlib._Hash) -> None:
        self._digest = digest

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._digest.update(view)
        return view.nbytes
