"""A photo of a request, however it comes: raw, in a form, as base64, or as an address that workers fetch."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile

from packsight.producer.http.body import read_form, read_object
from packsight.producer.http.refusal import Refused, bad_request
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.references import whole
from packsight.shared.settings import Settings

FORMS = ("image/*", "application/octet-stream", "multipart/form-data", "application/json")
TEXT: dict[str, Any] = {"type": "string"}
FILE: dict[str, Any] = {**TEXT, "format": "binary"}
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_FIELDS = 20
"""Of a form: more than there are options."""
_STANDARD = str.maketrans("-_", "+/")
_NO_DIGIT = re.compile(r"[^A-Za-z0-9+/]")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body holds: bytes or a reference, and what else it says."""

    data: bytes | None = None
    reference: str | None = None
    name: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    """The rest of a form or object: options."""


def described(form: Mapping[str, Any], an_object: Mapping[str, Any], beside: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """How /openapi.json tells of a body that `read` takes in: the fields of a form and of an object one of which is the photo,
    and those that may stand beside it in either.
    """
    kinds = FILE, FILE, _one_of(form, beside), _one_of(an_object, beside)
    content = {kind: {"schema": schema} for kind, schema in zip(FORMS, kinds, strict=True)}
    return {"requestBody": {"required": True, "content": content}}


def _one_of(photo: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    each = [{"required": [name]} for name in photo]
    return {"type": "object", "properties": {**photo, **beside}, **(each[0] if len(each) == 1 else {"oneOf": each})}


async def read(request: Request, settings: Settings) -> Asked:
    """Take in a body. Raises Refused, 415 for another type than FORMS, 400, 413; HTTPException as BodyLimit does."""
    asked = await _read(request)
    if asked.data is not None:
        check_size(asked.data, settings.fetch.max_bytes)
    return asked


def media_type(request: Request) -> str:
    """Of a body, without parameters."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def _read(request: Request) -> Asked:
    kind = media_type(request)
    if kind == "application/json":
        return _of_json(await request.body())
    if kind == "multipart/form-data":
        return await _of_form(request)
    if kind.startswith("image/") or kind in {"", "application/octet-stream"}:
        return Asked(await request.body())
    raise Refused(
        415, ErrorCode.FORMAT_UNSUPPORTED, f"A body of the type {kind[:100]} is not taken",
        remedy=f"Send the photo as {', '.join(FORMS[:2])}, as a file in {FORMS[2]}, or its address or base64 in {FORMS[3]}.",
    )  # fmt: skip


async def _of_form(request: Request) -> Asked:
    form = await read_form(request, max_files=1, max_fields=_FIELDS, max_part_size=4096)
    fields: dict[str, Any] = {}
    photo: UploadFile | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            photo = value
        else:
            fields[name] = value
    data = await photo.read() if photo else None
    name = whole((photo.filename if photo else None) or "")
    await form.close()
    reference = fields.pop("url", None)
    return _one(data, reference, name, fields)


def _of_json(body: bytes) -> Asked:
    fields = read_object(body)
    reference, text = fields.pop("url", None), fields.pop("base64", None)
    if not all(value is None or isinstance(value, str) for value in (reference, text)):
        raise bad_request("`url` and `base64` are texts")
    return _one(None if text is None else _decoded(text), reference, "", fields)


def _one(data: bytes | None, reference: str | None, name: str, fields: dict[str, Any]) -> Asked:
    if (data is None) == (reference is None):
        found = "None is there" if data is None else "Two are there"
        raise bad_request(f"A request has one photo: its file or `base64`, or its `url`. {found}")
    return Asked(data, reference, name, fields)


def _decoded(text: str) -> bytes:
    """Read base64 (RFC 4648) of either alphabet, with or without padding, in lines or in one."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    digits = "".join(text.split()).translate(_STANDARD).rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        odd = _NO_DIGIT.search(digits)
        why = f"its character {odd.start() + 1} is {odd[0]!a}" if odd else f"{len(digits)} characters end within a byte"
        raise bad_request(f"What stands in `base64` is no base64: {why}") from None


def check_size(data: bytes, most: int) -> None:
    """Raise Refused for a photo without content (400), or of more bytes than `most` (413)."""
    if not data:
        raise Refused(400, ErrorCode.FILE_EMPTY, "The photo has no content")
    if len(data) > most:
        raise Refused(413, ErrorCode.FILE_TOO_LARGE, f"The photo has {len(data)} bytes, more than {most}")
