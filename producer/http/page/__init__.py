"""The page for people: server-rendered, with one script and one stylesheet of our own."""

from __future__ import annotations

from fastapi import APIRouter

from packsight.producer.http.page import asking, entrance, jobs, pictures, products, review
from packsight.producer.http.page.frame import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)
PARTS = (entrance, asking, jobs, pictures, review, products)
for part in PARTS:
    router.include_router(part.router)
