"""Which codebook the codes of key points were made with, told without a numerical library."""

from __future__ import annotations

import hashlib
from pathlib import Path

CODEBOOK_FILE = Path(__file__).with_name("descriptor_codebook.npy")
"""Written by `python -m bench.codebook`."""
CODEBOOK_NAME = hashlib.sha256(CODEBOOK_FILE.read_bytes()).hexdigest()[:12]
"""Changes with any of its values."""
