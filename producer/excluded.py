"""Photos that patterns of names leave out of a job, or of what is watched."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePath

from packsight.producer.sources import each
from packsight.shared.contract.errors import UserError

Pattern = str | os.PathLike[str]


class Excluded:
    """Patterns, texts or paths, or one, as shells have them (`*`, `?`, `[…]`, case counts), and how many photos each left out.

    One with a slash is compared with the whole path below its source, of which `*` may stand for several names; one without a
    slash with every name on that path, so that `thumbs` leaves out all that lies in folders of this name.

    Raises UserError for an empty pattern, and for what is none.
    """

    def __init__(self, patterns: Pattern | Iterable[Pattern] = ()) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(map(_text, each(patterns)), 0))
        """Photos by pattern; one that two patterns leave out counts for the first."""
        if "" in self.counts:
            raise UserError("A pattern to leave photos out is empty: a shell variable may not be set. Name one, or none.")

    def leaves_out(self, source: str, name: str) -> bool:
        """Whether a photo of this name, which came of this source, is left out; counts it then."""
        path = _below(source, name)
        names = path.split("/")
        for pattern in self.counts:
            compared = [path] if "/" in pattern else names
            if any(fnmatchcase(one, pattern) for one in compared):
                self.counts[pattern] += 1
                return True
        return False

    def anew(self) -> Excluded:
        """The same patterns, which have left nothing out yet."""
        return Excluded(self.counts)

    def __str__(self) -> str:
        return ", ".join(f"{count:,} × {pattern}" for pattern, count in self.counts.items())


def _text(pattern: object) -> str:
    found = os.fspath(pattern) if isinstance(pattern, os.PathLike) else pattern
    if isinstance(found, str):
        return found
    raise UserError(f"Patterns to leave photos out are texts or paths, not {type(pattern).__name__}. Name one, or none.")


def _below(source: str, name: str) -> str:
    """The part of a photo's name that its source does not tell, without what follows the path of an address.

    Of a photo that is a source itself it is the file's name.
    """
    folder = f"{source.removesuffix('/') if '://' in source else PurePath(source)}/"
    if name.startswith(folder):
        return name.removeprefix(folder)
    # A prefix may end within a name, and a list tells nothing of the addresses in it.
    path = name.partition("://")[2].partition("?")[0].partition("/")[2] if "://" in name else name.removeprefix("/")
    return path.rpartition("/")[2] if name == source else path
