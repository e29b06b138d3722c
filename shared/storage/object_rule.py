"""Which objects a reference may name: photos that were put there to be looked at, never what packsight keeps for itself."""

from __future__ import annotations

from collections.abc import Iterable

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.references import shown
from packsight.shared.storage import layout

_SCHEME = "s3://"


def split_prefix(opened: str) -> tuple[str, str]:
    """Bucket and prefix of an entry of PACKSIGHT_FETCH__ALLOWED_PREFIXES, `s3://bucket/` or `s3://bucket/prefix`."""
    bucket, _, prefix = opened.removeprefix(_SCHEME).partition("/")
    return bucket, prefix


class ObjectRule:
    """Rooms of photos in our bucket, and what the operator opened beside them, in any bucket; our other rooms stay closed.

    It judges the worker's own requests, so that a message reaches no further whatever the worker's key may read.
    """

    def __init__(self, bucket: str, opened: Iterable[str]) -> None:
        self._bucket = bucket
        self._opened = [*((bucket, prefix) for prefix in layout.FETCHED), *map(split_prefix, opened)]

    def check(self, bucket: str, key: str) -> None:
        """Raise ImageError REFERENCE_REFUSED for an object outside."""
        # Servers that keep objects as files may take `uploads/../jobs/…`, or `/jobs/…`, for another key than it says.
        plain = not {".", ".."}.intersection(key.split("/"))
        closed = bucket == self._bucket and key.lstrip("/").startswith(layout.CLOSED)
        if plain and not closed and any(bucket == place and key.startswith(prefix) for place, prefix in self._opened):
            return
        raise ImageError(
            ErrorCode.REFERENCE_REFUSED,
            f"{shown(layout.address(bucket, key))} lies where references may not reach",
            remedy=(
                f"Put the photo below s3://{self._bucket}/{layout.INCOMING}, or let the operator open its prefix "
                "by PACKSIGHT_FETCH__ALLOWED_PREFIXES of the workers."
            ),
        )
