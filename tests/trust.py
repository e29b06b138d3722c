"""Keys of catalogs for tests."""

from __future__ import annotations

from packsight.shared.catalog.signatures import Keyring
from packsight.shared.catalog.trust import Trust

UNCHECKED = Trust(Keyring())
"""Where nothing is signed."""
