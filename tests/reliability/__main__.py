"""`python -m tests.reliability [FILE OR FOLDER …]`: keep figures of what long runs wrote there, and write docs/reliability.md."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.reliability.figures import keep, kept, of_one_commit, summaries
from tests.reliability.page import PAGE, page

files = [file for name in sys.argv[1:] for file in (sorted(Path(name).glob("*.json")) if Path(name).is_dir() else [Path(name)])]
runs = of_one_commit(kept() | summaries(files))
keep(runs)
PAGE.write_text(page(runs), encoding="utf-8")
print(f"wrote {PAGE.name} with {len(runs)} runs")
