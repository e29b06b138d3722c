"""The keys of a stack: generated once, kept in its state file, handed to each process by its role."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from packsight.shared.settings import S3


class Role(StrEnum):
    """Who has keys of its own. The name is also that of the broker's user."""

    OPERATOR = "operator"
    """Whoever types packsight's commands beside the stack: submits, syncs catalogs, looks, decides on dead letters."""
    PRODUCER = "producer"
    """Programs that put photos on the queue and read what became of them."""
    WORKER = "worker"
    INDEXER = "indexer"
    FLOWER = "flower"
    HTTP = "http"
    """The HTTP door, which lets others do what its own keys and passwords allow them."""
    MONITOR = "monitor"
    """Programs that look and change nothing: `packsight status`, health checks."""


_WITHOUT_STORE = frozenset({Role.FLOWER})
"""Roles that have no business in object storage."""


class S3Keys(BaseModel):
    """One pair of keys of object storage."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    access_key: str = Field(default_factory=lambda: secrets.token_hex(10))
    secret_key: str = Field(default_factory=lambda: secrets.token_hex(20))

    def into(self, s3: S3) -> S3:
        """The same object storage with these keys."""
        return s3.model_copy(update={"access_key": self.access_key, "secret_key": SecretStr(self.secret_key)})


class Keys(BaseModel):
    """Keys of one role."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    broker: str = Field(default_factory=lambda: secrets.token_hex(24))
    """Password of the broker's user that is called like the role."""
    store: S3Keys = Field(default_factory=S3Keys)
    """Of the role's identity in object storage, if it has one."""


class Credentials(BaseModel):
    """All keys of a stack; its data would be unreachable, or open to others, if they changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    roles: dict[Role, Keys] = Field(default_factory=dict, validate_default=True)
    access_key: str = Field(default_factory=lambda: secrets.token_hex(10))
    """Of the administrator of object storage, as `secret_key` is."""
    secret_key: str = Field(default_factory=lambda: secrets.token_hex(20))
    flower: str = Field(default_factory=lambda: secrets.token_hex(10))
    """Password of Flower's page."""
    page: str = Field(default_factory=lambda: secrets.token_hex(10))
    """Password by which the stack's owner signs in at the page of the HTTP door."""
    one_password: bool = Field(default=False, exclude=True)
    """Whether they were read from the file of a release whose broker knew a single password."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, content: Any) -> Any:
        """Give keys to roles without one and leave unknown roles out: the file of another release goes on being read."""
        if not isinstance(content, dict):
            return content
        known = {name: value for name, value in content.items() if name != "valkey"}
        roles = {name: keys for name, keys in (known.get("roles") or {}).items() if name in set(Role)}
        for role in Role:
            roles.setdefault(role, Keys())
        return {**known, "roles": roles, "one_password": "valkey" in content}

    def s3(self, role: Role) -> S3Keys | None:
        """Keys of object storage of a role, None for those that need none."""
        if role in _WITHOUT_STORE:
            return None
        return self.roles[role].store

    @property
    def administrator(self) -> S3Keys:
        """Keys by which our bucket is made; no process is given them."""
        return S3Keys(access_key=self.access_key, secret_key=self.secret_key)

    def every(self) -> set[str]:
        """All secrets, for whoever looks for them where they must not be."""
        pairs = filter(None, map(self.s3, Role))
        passwords = {self.flower, self.page, *(keys.broker for keys in self.roles.values())}
        return {self.secret_key, *passwords, *(pair.secret_key for pair in pairs)}
