"""The pages of the docs as tests read them: blocks of code, commands, what they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
)  # fmt: skip

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_INNER = re.compile(r"\$\(([^()]*)\)")
_ENDS = re.compile(r"(?<![<>])&&|\|\||[;|]")
"""What ends a command within a line."""
_STARTS = (
    r"packsight",
    r"docker run .*? packsight:\S+",
    r"(?:docker compose run (?:--rm )?.*?)?(?<![/\w-])(?:producer|operator)",
)
"""What comes before the words of packsight's command line: in containers the image or the service stands for it."""


@dataclass(frozen=True)
class Block:
    """A block of code."""

    page: str
    heading: str
    """The nearest above it."""
    language: str
    text: str


def text_of(page: str) -> str:
    """page: as a path from the root of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """All blocks of a page, from top to bottom."""
    text, found = text_of(page), []
    for fence in _FENCE.finditer(text):
        above = [heading[1] for heading in _HEADING.finditer(_blanked(text), 0, fence.start())]
        found.append(Block(page, above[-1] if above else "", fence[1], fence[2]))
    return tuple(found)


def find(page: str, heading: str, language: str = "", holding: str = "") -> Block:
    """The one block of that language below a heading; holding: a text that is in it, where there are several."""
    fitting = [one for one in blocks_of(page) if (one.heading, one.language) == (heading, language) and holding in one.text]
    assert len(fitting) == 1, f"{page} has {len(fitting)} blocks of {language or 'commands'} below {heading!r}"
    return fitting[0]


def block(page: str, heading: str, language: str = "", holding: str = "") -> str:
    """The text of such a block, to be run.

    Tests give all of these as literals: `tests/unit/test_docs.py` finds by their calls which blocks are run.
    """
    return find(page, heading, language, holding).text


def lines_of(script: str) -> list[str]:
    """The commands of a block, without comments; what goes on in the next line is one."""
    joined = re.sub(r"\\\n\s*", "", script)
    return [line for line in (re.sub(r"(^|\s+)#( .*)?$", "", line).strip() for line in joined.splitlines()) if line]


def headings(page: str) -> list[str]:
    """The anchors of a page, as GitHub makes them."""
    made: list[str] = []
    for heading in _HEADING.findall(_blanked(text_of(page))):
        anchor = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        made.append(f"{anchor}-{made.count(anchor)}" if anchor in made else anchor)
    return made


def inline(page: str) -> list[str]:
    """What is set as code in the text, outside of blocks."""
    return [" ".join(found.split()) for found in _INLINE.findall(_blanked(text_of(page)))]


def commands(page: str) -> Iterator[str]:
    """Everything that somebody may type, from blocks and from the text."""
    for one in blocks_of(page):
        if one.language in {"", "bash"}:
            yield from lines_of(one.text)
    yield from inline(page)


def packsight_words(command: str) -> list[list[str]]:
    """The words after `packsight`, of each time that it is called in a command; ellipses and brackets of notation left out."""
    inner = _INNER.findall(command)
    found = [words for one in inner for words in packsight_words(one)]
    for part in _ENDS.split(_INNER.sub("x", command)):
        for start in _STARTS:
            if called := re.match(rf"(?:(?!from ).*\s)?{start}(?:\s+(?P<words>.*))?$", part.strip()):
                words = re.sub(r"[\[\]]|…", " ", called["words"] or "")
                found.append(shlex.split(re.split(r"\s[<>]", words)[0]))
                break
    return found


def _blanked(text: str) -> str:
    """The text with its blocks as empty space, so that places stay."""
    return _FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), text)
