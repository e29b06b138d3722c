"""The measure of case endings, on a small dictionary of its own."""

from __future__ import annotations

import random
from pathlib import Path

from bench.endings import inflected, trial

AFFIXES = """SET UTF-8
SFX A Y 5
SFX A 0 а [пмн]
SFX A 0 у [пмн]
SFX A 0 ом [пмн]
SFX A 0 ами [пмн]
SFX A ть 0 ть
"""
WORDS = "5\nкрап/A\nлимон/A\nсалон/A\nздание\nпарить/A\n"


def test_forms_follow_the_dictionary_and_stems_find_those_that_are_no_misreadings(tmp_path: Path) -> None:
    (tmp_path / "ru.aff").write_text(AFFIXES, "utf-8")
    (tmp_path / "ru.dic").write_text(WORDS, "utf-8")
    forms = dict(inflected(tmp_path / "ru.dic"))
    assert forms["салон"] == ["салон", "салона", "салонами", "салоном", "салону"]
    assert set(forms) == {"крап", "лимон", "салон"}  # no verb, and no word without endings
    alone = {word: [word, f"{word}ами"] for word in forms}
    shares = {rule: found for rule, found, _, _ in trial(alone, 2, random.Random(1))}
    assert shares == {"misread": 0.0, "stem": 1.0, "both": 1.0}
