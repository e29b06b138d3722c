"""`python -m tests.golden [NAME …]`: write the golden values of today's rules, of all sets or of those named."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.golden.values import GOLDENS

for golden in GOLDENS:
    if golden.name in sys.argv[1:] or not sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            golden.renew(Path(folder))
