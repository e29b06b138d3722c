"""What is mistyped, or left empty by a variable that is not set, is told in a sentence, with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packsight.indexer.feed.source import check_readable
from packsight.producer.broker import _place
from packsight.producer.http import commands
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.rights import Kind
from packsight.producer.http.server import serve
from packsight.producer.lists import read_list
from packsight.producer.watch.command import watch
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import RecognizeOptions, check_catalog_name
from packsight.shared.settings import Http, Settings
from packsight.shared.storage.jobs import JobAbout
from packsight.shared.tables.labels import read_labels

MISTYPED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder to watch": (
        lambda _: watch("", None, RecognizeOptions(), JobAbout(), [], once=True), "to be watched is empty: a shell variable"
    ),
    "a folder for labels": (read_labels, r"labels\.csv cannot be read: Is a directory. Correct the path"),
    "a folder for a list": (lambda path: list(read_list(path)), r"labels\.csv cannot be read: Is a directory. Correct the path"),
    "no feed": (lambda _: check_readable(""), "A feed without a name cannot be read: .*Check the path"),
    "no catalog": (lambda _: check_catalog_name(""), "Nothing is no name of a catalog. Use lower-case"),
    "a client without a name": (lambda path: Accounts(path).add_client("", frozenset(), None), "name: a name has 1 to 63"),
    "a client of two lines": (lambda path: Accounts(path).add_client("a\n", frozenset(), None), "name: a name has 1 to 63"),
    "a host that there is not": (
        lambda _: serve(Settings(_env_file=None, http=Http(host="nosuch.invalid", port=0))), "nosuch.invalid:0 cannot be"
    ),
    "a right": (lambda _: commands.grant(Kind.CLIENT, "shop", ["fly", "jobs"], []), "^fly is no right. There are recognise"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTYPED)
def test_what_is_mistyped_is_told_with_its_remedy(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("packsight.shared.logs.set_up", lambda _: None)  # it is for a whole process
    folder = tmp_path / "labels.csv"
    folder.mkdir()
    do, told = MISTYPED[name]
    with pytest.raises(UserError, match=told):
        do(folder)


def test_a_place_in_ipv6_is_told_in_brackets() -> None:
    assert _place("redis://:secret@[::1]:6379/0") == "[::1]:6379"
    assert _place("redis://here/0") == "here:6379"
