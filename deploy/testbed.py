"""Servers of one's own for tests and measurements: on free loopback ports, in one folder, ended by their own pids."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from packsight.deploy.stack import services
from packsight.deploy.stack.credentials import Credentials, Role
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.room import scarce
from packsight.deploy.stack.seaweed_files import identities
from packsight.deploy.stack.services import ADMIN, Spec
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import S3, Settings

OPENED = ("s3://elsewhere/opened/",)
"""Prefixes that the policies of roles open beside their bucket."""


class Server:
    """A running server; after `kill`, `start` runs it again on the same port and data. Its log is `NAME.log` in `folder`."""

    def __init__(self, spec: Spec, folder: Path, start_timeout: float = 60) -> None:
        self.spec, self.log = spec, folder / f"{spec.name}.log"
        self._start_timeout = start_timeout
        self.start()

    def start(self) -> None:
        """Start it and return when it answers; raises UserError with the end of its log when it does not."""
        self.process: subprocess.Popen[bytes] = services.start(self.spec, self.log)
        try:
            services.wait_ready(self.spec, self.process, self.log, self._start_timeout)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End it as a loss of power would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end, and kill it when it does not."""
        services.stop(self.process, self.spec.stop_seconds)


@dataclass(frozen=True)
class Servers:
    """A broker and, if it was asked for, an object store.

    address: of the broker; passwords: of its users, the roles and `admin`, who may do anything; s3: where the object store
    answers, its bucket left to the caller.
    """

    broker: Server
    address: str
    passwords: Mapping[str, str]
    objects: Server | None = None
    s3: S3 | None = None
    keys: Credentials = field(default_factory=Credentials)
    """Of the object store."""

    def redis_url(self, database: int, user: str = ADMIN) -> str:
        """Address of one of the broker's 16 databases, with the password of a user."""
        return f"redis://{user}:{self.passwords[user]}@{self.address}/{database}"

    def s3_of(self, role: Role) -> S3:
        """The object store with the keys of a role, which are good for the bucket of this name and for OPENED."""
        keys = self.keys.s3(role)
        assert self.s3 and keys  # noqa: S101 - asked of a testbed that has a store, for a role that has keys
        return keys.into(self.s3)

    def settings(self, home: Path, bucket: str = "", user: str = ADMIN, **sections: Any) -> Settings:
        """Settings that lead here: messages in database 0, results in database 1; `sections` as Settings has them."""
        return Settings(
            _env_file=None,
            broker_url=SecretStr(self.redis_url(0, user)),
            result_url=SecretStr(self.redis_url(1, user)),
            home=home,
            s3=self.s3.model_copy(update={"bucket": bucket}) if self.s3 else S3(),
            **sections,
        )


@contextmanager
def serving(folder: Path, *, objects: bool = True) -> Iterator[Servers]:
    """Run a broker and an object store until the end of the block, also after a failure.

    Raises UserError when the disk of the folder has too little room.
    """
    if lacking := scarce(folder, objects=objects):
        raise UserError(f"{lacking}. Make room.")
    port, *weed_ports = free_ports(1 + (services.SEAWEED_PORTS if objects else 0))
    administrator, keys = secrets.token_hex(12), Credentials()
    passwords = {role: secrets.token_hex(12) for role in Role}
    with ExitStack() as stack:

        def run(spec: Spec) -> Server:
            server = Server(spec, folder)
            stack.callback(server.stop)
            return server

        broker = run(services.valkey(folder / "valkey", port, passwords, administrator))
        address = f"127.0.0.1:{port}"
        users: dict[str, str] = {str(role): password for role, password in passwords.items()} | {ADMIN: administrator}
        if objects:
            stack.callback(services.clear, weed_ports)
            weed = run(services.seaweed(folder / "seaweedfs", weed_ports, identities(keys, S3().bucket, OPENED)))
            s3 = keys.administrator.into(S3(endpoint=f"127.0.0.1:{weed_ports[0]}"))
            yield Servers(broker, address, users, weed, s3, keys)
        else:
            yield Servers(broker, address, users)


def variables(settings: Settings) -> dict[str, str]:
    """Environment in which a process finds the servers and the home of these settings, and no stack of the user's."""
    return {
        "PACKSIGHT_STACK_FILE": os.devnull,
        "PACKSIGHT_BROKER_URL": settings.broker,
        "PACKSIGHT_RESULT_URL": settings.results,
        "PACKSIGHT_HOME": str(settings.home),
        "PACKSIGHT_S3__ENDPOINT": settings.s3.endpoint,
        "PACKSIGHT_S3__ACCESS_KEY": settings.s3.access_key,
        "PACKSIGHT_S3__SECRET_KEY": settings.s3.secret_key.get_secret_value(),
        "PACKSIGHT_S3__BUCKET": settings.s3.bucket,
    }
