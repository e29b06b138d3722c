"""The secrets of containers as files, one folder for each role: what compose mounts, and what servers of one's own are given.

Files that are there stay as they are, so a password may be chosen; what follows from them is written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from packsight.deploy.stack import acl, seaweed_files
from packsight.deploy.stack.credentials import Credentials, Keys, Role, S3Keys
from packsight.shared.catalog.signatures import create_key, public_key, read_key
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import EXAMPLE, S3, PublicKey

MOUNTED = "/run/secrets"
"""Where compose shows a service its secrets."""
_BROKER = "broker"
_PROGRAM = r"[a-z][a-z0-9-]*"
_TAKEN = frozenset({*Role, "broker", "s3", "admin", "default"})
_OURS = ("celery", "packsight", "unacked")
"""How keys begin that are not a program's."""
_KEYS = TypeAdapter(list[PublicKey])
_READABLE = 0o444
"""The folder is its owner's alone. In a container a file is read by another user, and compose hands it over with its mode."""


def write(folder: Path, opened: Sequence[str] = (), programs: Sequence[str] = ()) -> Credentials:
    """Write what is missing, and the users of the broker and of object storage; returns all keys.

    opened: PACKSIGHT_FETCH__ALLOWED_PREFIXES. programs: names of other programs that have workers of their own; those that have a
    folder here need not be named again.

    Raises UserError for a file that cannot be read or holds no secret, and for a name that no program can have.
    """
    for name in programs:
        if not re.fullmatch(_PROGRAM, name) or name in _TAKEN or name.startswith(_OURS):
            raise UserError(f"{name} cannot be the name of a program. Choose another of small letters, digits and -.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    new = Credentials()
    keys = Credentials(
        roles={
            role: Keys(broker=_kept(folder / role / _BROKER, made.broker), store=_pair(folder / role, made.store))
            for role, made in new.roles.items()
        },
        flower=_kept(folder / "flower" / "page", new.flower),
        **_pair(folder / "s3" / "administrator", new.administrator).model_dump(),
    )
    for role, own in keys.roles.items():
        _write(folder / role / _BROKER, own.broker)
        if store := keys.s3(role):
            _write_pair(folder / role, store)
    _write_pair(folder / "s3" / "administrator", keys.administrator)
    _write(folder / "flower" / "page", keys.flower)
    passwords = {role: own.broker for role, own in keys.roles.items()}
    others = {}
    for name in sorted({*programs, *(path.parent.name for path in folder.glob(f"*/{_BROKER}"))} - _TAKEN):
        others[name] = _kept(folder / name / _BROKER, Keys().broker)
        _write(folder / name / _BROKER, others[name])
    _write(folder / "broker" / "users.acl", "\n".join(acl.users(passwords, others)))
    for name, text in seaweed_files.files(seaweed_files.identities(keys, S3().bucket, opened), MOUNTED).items():
        # A server may be running with its certificate.
        if not (name.endswith(".pem") and (folder / "s3" / name).exists()):
            _write(folder / "s3" / name, text)
    _write_catalog_keys(folder / "catalog")
    return keys


def _write_catalog_keys(folder: Path) -> None:
    """The key that signs catalogs, and those by which they are known; of these, ones beside it stay."""
    file = folder / "key.pem"
    own = public_key(read_key(file) if file.exists() else create_key(file))
    file.chmod(_READABLE)
    listed = folder / "public-keys"
    try:
        known = _KEYS.validate_json(_kept(listed, "[]"))
    except ValidationError:
        raise UserError(f"{listed} is no list of public keys in JSON. Correct it, or remove it to have it made anew.") from None
    _write(listed, json.dumps(list(dict.fromkeys([own, *known]))))


def _pair(folder: Path, made: S3Keys) -> S3Keys:
    access, secret = _kept(folder / "s3-access-key", made.access_key), _kept(folder / "s3-secret-key", made.secret_key)
    return S3Keys(access_key=access, secret_key=secret)


def _write_pair(folder: Path, keys: S3Keys) -> None:
    _write(folder / "s3-access-key", keys.access_key)
    _write(folder / "s3-secret-key", keys.secret_key)


def _kept(path: Path, made: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return made
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}). Correct or remove it; a new one is written then.") from None
    if not text or text == EXAMPLE or not text.isprintable():
        raise UserError(f"{path} holds no secret. Put one line into it, or remove it; a new one is written then.")
    return text


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f"{text.rstrip()}\n", encoding="utf-8")
    path.chmod(_READABLE)
