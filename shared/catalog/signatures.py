"""Signed documents: who published a pointer or a manifest can be told by its bytes alone.

    <the document's bytes>
    "ed25519:<first 16 digits of the public key>:<signature, 128 digits>"

Two lines of JSON. The signature stands in the object itself, so that a pointer is still overwritten in one conditional
write, and it is of the exact bytes before it, so that nothing depends on how JSON is read and written again. Ed25519
(RFC 8032): whoever checks holds the public key alone and cannot sign. What is signed begins with the kind of document:
no manifest can pass for a pointer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from packsight.shared.contract.errors import CatalogError, ErrorCode, UserError

_ID = 16
"""Hex digits that name a key in signatures and sentences; of all the keys that one operator has, it names one."""
_LINE = re.compile(rb'\n"ed25519:([0-9a-f]{16}):([0-9a-f]{128})"\n\Z')
_SETTING = "PACKSIGHT_CATALOG__SIGNING_KEY"
_LOOK = "Look who can write the bucket."


class Kind(StrEnum):
    """What a signature is for."""

    POINTER = "pointer"
    MANIFEST = "manifest"
    DELETION = "deletion"

    def message(self, body: bytes) -> bytes:
        """The bytes that are signed."""
        return f"packsight {self} 1\n".encode() + body


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of a document without its last line, and what that line says; empty when nobody signed it."""

    body: bytes
    key: str = ""
    signature: bytes = b""

    @classmethod
    def split(cls, data: bytes) -> Document:
        """Take the signature off; nothing is checked."""
        line = _LINE.search(data)
        return cls(data) if line is None else cls(data[: line.start()], line[1].decode(), bytes.fromhex(line[2].decode()))


class Keyring:
    """The public keys that are believed, and, where catalogs are published, the private one. Without any nothing is checked."""

    def __init__(self, public: Iterable[str] = (), private: Ed25519PrivateKey | None = None) -> None:
        """public: 64 hex digits each; several while one key follows another. The private key's own is added to them."""
        own = [] if private is None else [public_key(private)]
        self._public = {key[:_ID]: Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for key in [*public, *own]}
        self._private = private

    @property
    def checks(self) -> bool:
        """Whether unsigned documents are refused."""
        return bool(self._public)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the keys that are believed."""
        return tuple(self._public)

    def believes(self, key: str) -> bool:
        """Whether what a key of this name signed, or nobody if it is empty, may be served."""
        return not self.checks or key in self._public

    @property
    def own(self) -> str:
        """Name of the key that signs; empty without one."""
        return "" if self._private is None else public_key(self._private)[:_ID]

    def require_own(self) -> None:
        """Raise UserError where signed catalogs are asked for and this process could publish only unsigned ones."""
        if self.checks and self._private is None:
            raise UserError(
                "Catalogs are signed, and there is no key to sign with here. Run this where the indexer runs, or name the file "
                f"of its private key by {_SETTING}_FILE."
            )

    def sign(self, kind: Kind, body: bytes) -> bytes:
        """The document with a line that signs it; as it is where nothing is signed. Raises UserError as `require_own` does."""
        self.require_own()
        if self._private is None:
            return body
        return body + f'\n"ed25519:{self.own}:{self._private.sign(kind.message(body)).hex()}"\n'.encode()

    def check(self, kind: Kind, document: Document, name: str) -> None:
        """Raise CatalogError, saying what to do, unless a believed key signed it; `name` is what people call the document."""
        if not self.checks:
            return
        if not document.key:
            remedy = "If only the indexer could write it, sign it with `packsight catalog sign` where the indexer runs."
            raise _refused(f"{name} is not signed", remedy)
        if document.key not in self._public:
            remedy = f"If that key is yours, add its public key to PACKSIGHT_CATALOG__PUBLIC_KEYS. {_LOOK}"
            raise _refused(f"{name} is signed with the key {document.key}, which is not believed here", remedy)
        try:
            self._public[document.key].verify(document.signature, kind.message(document.body))
        except InvalidSignature:
            remedy = f"Publish again with `packsight catalog sync --force`. {_LOOK}"
            raise _refused(f"{name} was changed after it was signed", remedy) from None


def _refused(message: str, remedy: str) -> CatalogError:
    return CatalogError(ErrorCode.CATALOG_REFUSED, message, remedy=remedy)


def public_key(private: Ed25519PrivateKey) -> str:
    """The public key of a pair, 64 hex digits."""
    return private.public_key().public_bytes_raw().hex()


def create_key(path: Path) -> Ed25519PrivateKey:
    """Make a pair and write the private key to a new file that only its owner can read (PEM, PKCS #8); raises UserError."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise UserError(
            f"{path} is there already. A key that has signed catalogs is needed for their next versions: choose another file."
        ) from None
    except OSError as error:
        raise UserError(f"The key cannot be written to {path}: {error.strerror}. Name a file in a folder of yours.") from None
    return private


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key; raises UserError that names the file and what to do."""
    try:
        return parse_key(path.read_bytes(), f"The key in {path}")
    except FileNotFoundError:
        remedy = f"Make one with `packsight catalog keys {path}`, or correct {_SETTING}_FILE."
        raise UserError(f"There is no key in {path}. {remedy}") from None
    except OSError as error:
        raise UserError(f"The key in {path} cannot be read: {error.strerror}. Correct its rights or {_SETTING}_FILE.") from None


def parse_key(pem: bytes, name: str = "The key that signs catalogs") -> Ed25519PrivateKey:
    """Read a private key from its text; raises UserError that says what to do, and nothing of the text."""
    try:
        private = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise UserError(
            f"{name} is no private key of Ed25519 without a password (PEM). Correct {_SETTING} or {_SETTING}_FILE; "
            "`packsight catalog keys` makes one."
        )
    return private
