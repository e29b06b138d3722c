"""Reports in object storage, beside the versions that they are about (packsight.shared.catalog.told)."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from packsight.indexer.version_report.summary import Summary, Verdict
from packsight.shared import advice
from packsight.shared.catalog.told import (
    ANSWERS,
    LIST,
    LISTS,
    PAGE,
    SUMMARY,
    AnswerLine,
    Asked,
    read_answers,
    read_lists,
    read_told,
)
from packsight.shared.contract.errors import UserError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

_ROWS = 1000
"""Turned into lines at a time."""


class Reports:
    """The reports of one catalog."""

    def __init__(self, store: ObjectStore, catalog: str) -> None:
        self._store, self._catalog = store, catalog

    def write(self, summary: Summary, lists: Mapping[str, pa.Table], asked: Iterable[Asked], page: str) -> None:
        """Keep a report, its summary last: without it there is none."""
        answers = (AnswerLine(photo=photo, answer=answer).model_dump_json() for photo, answer in asked)
        for name, lines in ((LISTS, lines_of(lists)), (ANSWERS, answers), (PAGE, (page,))):
            self._store.write(self._key(summary.version, name), _packed(lines), content_type="application/gzip")
        self.judge(summary)

    def judge(self, summary: Summary) -> None:
        """Keep a summary alone, in the place of the one before."""
        data = summary.model_dump_json(indent=1).encode()
        self._store.write(self._key(summary.version, SUMMARY), data, content_type="application/json")

    def summary(self, version: str) -> Summary | None:
        """That of a version; None when there is none that can be read."""
        data = read_told(self._store, self._catalog, version, SUMMARY)
        try:
            return None if data is None else Summary.model_validate_json(data)
        except ValidationError:
            return None

    def answers(self, version: str) -> list[Asked]:
        """What a version was asked, and what it answered; nothing when that is not known."""
        return read_answers(self._store, self._catalog, version)

    def lines(self, version: str) -> Iterator[dict[str, Any]]:
        """The lists of a version, a line each."""
        return read_lists(self._store, self._catalog, version)

    def tables(self, version: str) -> dict[str, pa.Table]:
        """The lists of a version by their names, each as a table."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for line in self.lines(version):
            rows.setdefault(str(line.pop(LIST)), []).append(line)
        return {name: pa.Table.from_pylist(some) for name, some in rows.items()}

    def versions(self) -> list[str]:
        """Of which there are reports, oldest first."""
        prefix = layout.reports(self._catalog)
        return [key.removeprefix(prefix).partition("/")[0] for key in self._store.list(prefix) if key.endswith(f"/{SUMMARY}")]

    def unbuilt(self) -> list[Summary]:
        """Those of versions that were refused before they were built, oldest first."""
        found = (self.summary(version) for version in self.versions())
        return [one for one in found if one is not None and one.verdict is Verdict.EMPTY]

    def require_built(self, *versions: str) -> None:
        """Raise UserError for a version that was refused before it was built: there is a report of it and nothing else."""
        for version in versions:
            if (summary := self.summary(version)) is not None and summary.verdict is Verdict.EMPTY:
                of = advice.of_catalog(self._catalog)
                raise UserError(
                    f"{version} was refused before anything was built: `packsight catalog report {version}{of}` says why. "
                    "If the shop is right as it is, sync with --force."
                )

    def prune(self, kept: Collection[str]) -> None:
        """Remove the reports on all other versions."""
        prefix = layout.reports(self._catalog)
        for key in list(self._store.list(prefix)):
            if key.removeprefix(prefix).partition("/")[0] not in kept:
                self._store.remove(key)

    def _key(self, version: str, name: str) -> str:
        return layout.reports(self._catalog, version, name)


def lines_of(lists: Mapping[str, pa.Table]) -> Iterator[str]:
    """A line of JSON for each row of each list."""
    for name, table in lists.items():
        for batch in table.to_batches(max_chunksize=_ROWS):
            yield from (as_text({LIST: name, **row}) for row in batch.to_pylist())


def as_text(line: Mapping[str, Any]) -> str:
    """A row of a list as it is written."""
    return json.dumps(line, ensure_ascii=False)


def _packed(lines: Iterable[str]) -> bytes:
    buffer = io.BytesIO()
    with gzip.open(buffer, "wt", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return buffer.getvalue()
