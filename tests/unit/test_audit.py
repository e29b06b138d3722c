"""What `make audit` says of pip-audit's answers, and that docs/licences.md is that of the locks."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests import licences
from tests.audit import LOCK, UNKNOWN, audit, command

CLEAN: dict[str, Any] = {"name": "six", "version": "1.17.0", "vulns": []}
HIT: dict[str, Any] = {
    "name": "pillow", "version": "12.0.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["12.1.1"], "aliases": []}],
}  # fmt: skip
SKIPPED: dict[str, Any] = {"name": "numpy", "version": "2.4.6", "skip_reason": "Dependency not found"}


def answering(*releases: dict[str, Any]) -> list[str]:
    return [sys.executable, "-c", f"print({json.dumps(json.dumps({'dependencies': releases}))})"]


def test_no_known_vulnerability_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(answering(CLEAN)) == 0
    assert "1 of 1 releases looked up, 0 vulnerabilities" in capsys.readouterr().out


def test_a_vulnerability_is_named_with_the_release_that_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(answering(CLEAN, HIT, SKIPPED)) == 1
    assert "pillow 12.0.0: PYSEC-2026-1, mended in 12.1.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", [answering(SKIPPED), [sys.executable, "-c", "import sys; sys.exit('no route to host')"], ["/nowhere/uv"]]
)
def test_advisories_that_cannot_be_reached_are_no_good_news(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(line) == UNKNOWN
    assert "could not be found out" in capsys.readouterr().out


def test_the_whole_lock_is_asked_about_by_its_hashes() -> None:
    line = command(LOCK)
    assert {str(LOCK), "--require-hashes", "--disable-pip"} <= set(line)


def test_the_page_of_licences_is_that_of_the_locks() -> None:
    """Renew it with `make licences`."""
    rows = [line.strip("| ").split(" | ") for line in licences.PAGE.read_text(encoding="utf-8").splitlines()]
    stated = {(row[0], row[1]): row[2] for row in rows if len(row) == 4 and row[0] not in {"package", "---"}}
    assert {(one.name, one.version) for one in licences.locked()} == set(stated)
    for (name, _), text in stated.items():
        assert text == (licences.licence(name) or text) != "**not stated**", name


def test_every_bundled_network_is_named_with_its_hash() -> None:
    page = licences.PAGE.read_text(encoding="utf-8")
    for _, terms, carried in licences.NETWORKS:
        file = carried()
        assert f"| {terms} | {file.source} | `{file.path.name}` | `{file.sha256[:16]}…` |" in page
