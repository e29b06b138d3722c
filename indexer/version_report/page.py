"""A report as one self-contained HTML page: every text of the shop escaped, pictures by their names only, no script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from packsight.indexer.version_report.summary import TITLES, Summary
from packsight.shared.catalog.told import LIST

SHOWN = 500
"""Rows of a list that are drawn: a browser lays out tens of thousands, a person reads none of them."""


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    title: str
    count: int
    columns: list[str]
    rows: list[list[Any]]


def page(summary: Summary, lists: Mapping[str, pa.Table]) -> str:
    """The page of a report whose lists are tables."""
    return _drawn(summary, {name: table.slice(0, SHOWN).to_pylist() for name, table in lists.items()})


def page_of_lines(summary: Summary, lines: Iterable[Mapping[str, Any]]) -> str:
    """The page of a report that is kept as lines."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        if len(some := rows.setdefault(str(line[LIST]), [])) < SHOWN:
            some.append({name: value for name, value in line.items() if name != LIST})
    return _drawn(summary, rows)


def _drawn(summary: Summary, rows: Mapping[str, list[Mapping[str, Any]]]) -> str:
    sections = [
        _Section(name, title, count, [column.replace("_", " ") for column in some[0]], [list(row.values()) for row in some])
        for name, title in TITLES.items()
        if (count := summary.counts.get(name, 0)) and (some := rows.get(name))
    ]
    return _environment().get_template("catalog.html.j2").render(summary=summary, sections=sections)


@cache
def _environment() -> Environment:
    loader = PackageLoader("packsight.indexer")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
