"""Products: found by words, each with all that is known of it; and what wants looking at in a catalog."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Response

from packsight.producer.http.page.frame import PageRoute, Reviewer
from packsight.producer.http.page.review import catalog_of
from packsight.producer.report import web_link
from packsight.shared.catalog.health import LISTS, health_list
from packsight.shared.tables.spreadsheet import csv_lines

router = APIRouter(route_class=PageRoute)

_SHOWN = 40
_ROWS = 200
"""Rows of a list that are shown; all of them are in its file."""


@router.get("/products")
def products(who: Reviewer, catalog: str = "", q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Products with these words; without any what wants looking at."""
    catalog = catalog_of(who, catalog)
    known = who.rooms.products(catalog) if catalog else None
    found = [] if known is None else [(row, known.first_photo(row.id)) for row in known.search(q, _SHOWN + 1)]
    counts = who.rooms.view(catalog).counts() if known is not None and not q.strip() else {}
    return who.page(
        "products.html.j2", catalog=catalog, catalogs=who.catalogs(), q=q, found=found[:_SHOWN], more=len(found) > _SHOWN,
        known=known, counts=counts, lists=LISTS,
    )  # fmt: skip


@router.get("/product")
def of_product(who: Reviewer, id: Annotated[str, Query(max_length=500)], catalog: str = "") -> Response:
    """One product."""
    catalog = catalog_of(who, catalog)
    sheet = who.rooms.view(catalog).sheet(id)
    ends = who.rooms.inbox(catalog).by_product().get(id)
    return who.page("product.html.j2", catalog=catalog, sheet=sheet, shop=web_link(sheet.product.url), ends=ends or {})


@router.get("/products/lists/{name}")
def of_list(who: Reviewer, name: str, catalog: str = "") -> Response:
    """The first rows of a list of what wants looking at."""
    catalog, listed = catalog_of(who, catalog), health_list(name)
    rows = list(islice(who.rooms.view(catalog).rows(name), _ROWS + 1))
    return who.page("list.html.j2", catalog=catalog, listed=listed, rows=rows[:_ROWS], more=len(rows) > _ROWS)


@router.get("/products/lists/{name}/csv")
def list_as_file(who: Reviewer, name: str, catalog: str = "") -> Response:
    """All of such a list."""
    catalog, listed = catalog_of(who, catalog), health_list(name)
    text = "".join(csv_lines(listed.columns, who.rooms.view(catalog).rows(name)))
    headers = {"Content-Disposition": f'attachment; filename="{catalog}-{listed.name}.csv"'}
    return Response(text, media_type="text/csv", headers=headers)
