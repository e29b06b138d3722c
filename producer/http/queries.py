"""What stands after `?` of an address: no more than /openapi.json describes, since what is misspelt would be passed over."""

from __future__ import annotations

from functools import lru_cache

from fastapi import FastAPI, Request

from packsight.producer.http.refusal import bad_request
from packsight.shared.contract.references import printable

_SHOWN = 200


def refuse_unknown(request: Request) -> None:
    """Raise Refused (400) for a parameter that the address does not know."""
    if not request.query_params:
        return
    known = _known(request.app)[request.scope["route"].path, request.method.lower()]
    if unknown := [name for name in request.query_params if name not in known]:
        there = f"it knows {', '.join(known)}" if known else "it knows none"
        raise bad_request(f"This address knows no parameter {printable(', '.join(unknown))[:_SHOWN]}; {there}")


@lru_cache(maxsize=1)
def _known(app: FastAPI) -> dict[tuple[str, str], list[str]]:
    """By path and method."""
    return {
        (path, method): [one["name"] for one in said.get("parameters", ()) if one["in"] == "query"]
        for path, methods in app.openapi()["paths"].items()
        for method, said in methods.items()
    }
