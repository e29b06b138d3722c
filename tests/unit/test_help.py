"""The help of the command line: what there is, by what it is for."""

from __future__ import annotations

import re

from typer.main import get_group
from typer.testing import CliRunner

from packsight.cli import SECTIONS, app


def test_every_command_stands_in_one_section_of_the_help() -> None:
    told = CliRunner().invoke(app, ["--help"], terminal_width=100).output
    sections = re.findall(r"^(\w[^:\n]*):\n((?:  [^\n]+\n)+)", told, re.MULTILINE)
    shown = {heading: re.findall(r"^  (\w[\w-]*) +[A-Z]", lines, re.MULTILINE) for heading, lines in sections}
    assert shown.pop("Options") == []
    assert list(shown) == ["Photos and jobs", "The catalog", "People and keys", "Running it"]
    assert {heading: tuple(names) for heading, names in shown.items()} == SECTIONS
    assert sorted(name for names in shown.values() for name in names) == sorted(get_group(app).commands)
