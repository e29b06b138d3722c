"""What is written on the page, in reports and in evaluations can be read, light and dark: contrast as WCAG 2.2 counts it."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

import pytest

_PAGE, _FILES = files("packsight.producer.http.page") / "static", files("packsight.producer") / "templates"
_STYLES = (_PAGE / "page.css", _FILES / "report.html.j2", _FILES / "evaluation.html.j2")
_TEXT = ("ink", "soft", "accent", "failed", "ambiguous", "no_match", "matched", "wrong", "right")
_PAIRS = {"page.css": 32, "report.html.j2": 22, "evaluation.html.j2": 15}
"""How many are compared of each style: a colour that is called otherwise would be passed over."""
_BEHIND = ("page", "card", "well", "warn")


def _schemes() -> dict[str, dict[str, str]]:
    """Colours by their names, of each style, light and dark."""
    found: dict[str, dict[str, str]] = {}
    for style in _STYLES:
        parts = re.findall(r":root \{(.*?)\}", style.read_text(encoding="utf-8"), re.S)
        light, dark = (dict(re.findall(r"--([a-z_-]+): (#[0-9a-f]+)", part)) for part in parts)
        found |= {f"{style.name}-light": light, f"{style.name}-dark": light | dark}
    return found


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(("name", "colours"), [pytest.param(*one, id=one[0]) for one in _schemes().items()])
def test_words_and_the_edges_of_fields_stand_out(name: str, colours: dict[str, str]) -> None:
    pairs = [(text, behind, 4.5) for text in _TEXT for behind in _BEHIND]
    pairs += [("on-accent", "accent", 4.5), ("mark-ink", "mark", 4.5), ("edge", "page", 3), ("edge", "card", 3)]
    there = [(one, other, least) for one, other, least in pairs if one in colours and other in colours]
    assert len(there) == _PAIRS[name.rpartition("-")[0]]
    assert [pair for pair in there if _contrast(colours[pair[0]], colours[pair[1]]) < pair[2]] == []


@pytest.mark.parametrize("style", _STYLES, ids=lambda style: style.name)
def test_what_stands_in_empty_fields_is_as_strong_as_its_colour(style: Traversable) -> None:
    rules = re.findall(r"::placeholder[^{}]*\{([^}]*)\}", style.read_text(encoding="utf-8"))
    strengths = [strength for rule in rules for strength in re.findall(r"opacity:\s*([^;\s]+)", rule)]
    assert [strength for strength in strengths if strength not in ("1", "100%")] == []
