"""Whom a process believes about catalogs, and the newest pointer that it has believed.

    <home>/pointers/<catalog>      when the newest signed pointer of a catalog was written, as it says itself
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from packsight.shared.catalog.signatures import Keyring, parse_key
from packsight.shared.settings import Settings
from packsight.shared.storage.files import write_whole

_FOLDER = "pointers"
_BEGUN = ".begun"
"""File beside the pointers, which only whoever signs makes: a worker of the same home may believe a pointer before it."""
NOT_CHECKED = (
    "catalogs are not checked: whoever can write the bucket decides what is answered",
    "Make a key with `packsight catalog keys` and set PACKSIGHT_CATALOG__PUBLIC_KEYS",
)
"""What there is to say where there are no keys, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys, and, for whoever follows or publishes catalogs, a memory: a signed pointer can be put back later by anyone.

    home: folder of the memory; None for who looks once, which then finds nothing odd in an old pointer.
    """

    keyring: Keyring
    home: Path | None = None

    @classmethod
    def of_reader(cls, settings: Settings, home: Path | None = None) -> Trust:
        """For who reads catalogs; it never opens a private key."""
        return cls(Keyring(settings.catalog.public_keys), home)

    @classmethod
    def of_publisher(cls, settings: Settings) -> Trust:
        """For who publishes them; raises UserError when the private key cannot be read."""
        text = settings.catalog.signing_key.get_secret_value()
        private = parse_key(text.encode()) if text else None
        return cls(Keyring(settings.catalog.public_keys, private), settings.home)

    @property
    def is_new(self) -> bool:
        """Whether what stood unsigned before there were keys was not yet looked at from this home."""
        return self.home is not None and not (self.home / _FOLDER / _BEGUN).exists()

    def begin(self) -> None:
        """From now on what is unsigned is somebody else's; raises OSError."""
        if self.home is not None:
            (self.home / _FOLDER).mkdir(parents=True, exist_ok=True)
            (self.home / _FOLDER / _BEGUN).touch()

    def newest(self, catalog: str) -> datetime | None:
        """When the newest pointer was written that was believed here; None for a catalog that is new here."""
        with suppress(OSError, ValueError):
            if self.home is not None:
                return datetime.fromisoformat(self._file(self.home, catalog).read_text())
        return None

    def note(self, catalog: str, changed_at: datetime) -> None:
        """Believe no older pointer from now on; raises OSError."""
        if self.home is not None:
            (self.home / _FOLDER).mkdir(parents=True, exist_ok=True)
            write_whole(self._file(self.home, catalog), changed_at.isoformat())

    @staticmethod
    def _file(home: Path, catalog: str) -> Path:
        return home / _FOLDER / catalog
