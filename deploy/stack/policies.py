"""What each role may do in object storage: policies in the language of AWS IAM, which SeaweedFS and MinIO understand alike.

A role may do what its row says and nothing else: no bucket is made, no policy read and no key listed elsewhere. Reading a
missing object tells that it is missing, since this needs no right to list on either server.

    python -m packsight.deploy.stack.policies FOLDER [BUCKET [s3://other/prefix/ …]]

writes them as files, as `deploy/policies/` holds them for the bucket `packsight`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packsight.deploy.stack.credentials import Role
from packsight.shared.contract.errors import UserError
from packsight.shared.storage import layout
from packsight.shared.storage.object_rule import split_prefix

Policy = dict[str, Any]

_WRITE = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]


@dataclass(frozen=True, slots=True)
class Rights:
    """Prefixes of our bucket in which a role may do something; the empty prefix is the whole bucket."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    list: tuple[str, ...] = ()
    others: bool = False
    """Whether it also reads and lists the prefixes that the operator opened to references."""


RIGHTS = {
    Role.OPERATOR: Rights(("",), ("",), ("",), ("",), others=True),
    Role.PRODUCER: Rights(
        # A photo of the catalog stands beside each answer in a report; who submits asks first whether there is such a catalog.
        # Who reviews an answer looks products up, and reads what a sync told of them.
        read=(layout.UPLOADS, layout.JOBS, layout.INCOMING, layout.PHOTOS, layout.CATALOGS, layout.REVIEWS),
        write=(layout.UPLOADS, layout.JOBS, layout.REVIEWS),
        list=(layout.JOBS, layout.INCOMING, layout.CATALOGS, layout.REVIEWS),
        others=True,
    ),
    # It decodes what strangers send, so it writes features of photos that the indexer asked about, and nothing else.
    Role.WORKER: Rights(
        read=(layout.CATALOGS, layout.MODELS, *layout.FETCHED),
        write=(layout.FEATURES,),
        list=(layout.CATALOGS, layout.MODELS),
        others=True,
    ),
    Role.INDEXER: Rights(
        # Of uploads it keeps those that a person confirmed.
        read=(
            layout.CATALOGS, layout.FEATURES, layout.PHOTOS, layout.MADE, layout.JOBS, layout.INCOMING, layout.REVIEWS,
            layout.UPLOADS,
        ),
        write=(layout.CATALOGS, layout.PHOTOS, layout.MADE, layout.FEATURES, layout.REVIEWS),
        # It collects what nothing needs any more, and puts packs of features, and verdicts, together.
        delete=(layout.CATALOGS, layout.PHOTOS, layout.MADE, layout.FEATURES, layout.UPLOADS, layout.JOBS, layout.REVIEWS),
        list=(
            layout.CATALOGS, layout.PHOTOS, layout.MADE, layout.FEATURES, layout.UPLOADS, layout.JOBS, layout.INCOMING,
            layout.REVIEWS, layout.MODELS,
        ),
        others=True,
    ),
    # It asks who may do what before it does it for them; jobs that they remove go with their uploads.
    Role.HTTP: Rights(
        read=(layout.UPLOADS, layout.JOBS, layout.INCOMING, layout.PHOTOS, layout.CATALOGS, layout.REVIEWS),
        write=(layout.UPLOADS, layout.JOBS, layout.REVIEWS),
        delete=(layout.UPLOADS, layout.JOBS, layout.REVIEWS),
        list=(layout.JOBS, layout.INCOMING, layout.CATALOGS, layout.REVIEWS),
        others=True,
    ),
    # `packsight status` tells what is published.
    Role.MONITOR: Rights(read=(layout.CATALOGS,), list=(layout.CATALOGS,)),
}
"""By role; a role that is missing here has no key."""


def policy(role: Role, bucket: str, opened: Iterable[str] = ()) -> Policy:
    """Policy of a role in a bucket; `opened`: PACKSIGHT_FETCH__ALLOWED_PREFIXES, which are in any bucket.

    Raises UserError for an opened prefix that would give rights in the rooms of our bucket that stay closed.
    """
    rights = RIGHTS[role]
    statements = [
        _objects(["s3:GetObject"], bucket, rights.read),
        _objects(_WRITE, bucket, rights.write),
        _objects(["s3:DeleteObject"], bucket, rights.delete),
        _listing(bucket, rights.list),
    ]
    for other, prefix in map(split_prefix, opened if rights.others else ()):
        if other == bucket and any(room.startswith(prefix) or prefix.startswith(room) for room in layout.CLOSED):
            raise UserError(
                f"{layout.address(other, prefix)} in PACKSIGHT_FETCH__ALLOWED_PREFIXES holds what packsight keeps for itself. "
                "Open a folder of photos alone."
            )
        statements += [_objects(["s3:GetObject"], other, (prefix,)), _listing(other, (prefix,))]
    return {"Version": "2012-10-17", "Statement": [statement for statement in statements if statement]}


def _objects(actions: list[str], bucket: str, prefixes: tuple[str, ...]) -> Policy:
    resources = [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes]
    return {"Effect": "Allow", "Action": actions, "Resource": resources} if prefixes else {}


def _listing(bucket: str, prefixes: tuple[str, ...]) -> Policy:
    if not prefixes:
        return {}
    allowed: Policy = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"]}
    if "" not in prefixes:
        allowed["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}
    return allowed


def files(bucket: str, opened: Iterable[str] = ()) -> dict[str, str]:
    """Policies of all roles that have one, as `mc admin policy create` takes them, by file name."""
    opened = tuple(opened)
    return {f"{role}.json": json.dumps(policy(role, bucket, opened), indent=2) + "\n" for role in RIGHTS}


if __name__ == "__main__":
    target, bucket, *prefixes = [*sys.argv[1:], "packsight"] if len(sys.argv) == 2 else sys.argv[1:]
    for name, text in files(bucket, prefixes).items():
        (Path(target) / name).write_text(text)
