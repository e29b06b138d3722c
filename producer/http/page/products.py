"""Products: found by words, with their photos."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from packsight.producer.http.page.frame import PageRoute, Reviewer
from packsight.producer.http.page.review import catalog_of
from packsight.producer.report import web_link

router = APIRouter(route_class=PageRoute)

_SHOWN = 40


@router.get("/products")
def products(who: Reviewer, catalog: str = "", q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Products with these words."""
    catalog = catalog_of(who, catalog)
    known = who.rooms.products(catalog) if catalog else None
    found = [] if known is None else [(row, known.first_photo(row.id)) for row in known.search(q, _SHOWN)]
    return who.page("products.html.j2", catalog=catalog, catalogs=who.catalogs(), q=q, found=found, known=known)


@router.get("/product")
def of_product(who: Reviewer, id: Annotated[str, Query(max_length=500)], catalog: str = "") -> Response:
    """One product."""
    catalog = catalog_of(who, catalog)
    known = who.rooms.products(catalog)
    row = known.get(id)
    return who.page(
        "product.html.j2", catalog=catalog, product=row, photos=known.photos(id), shop=web_link(row.url), version=known.version
    )
