"""What `packsight evaluate` refuses before it asks for anything: no server is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from packsight.producer.cli import app
from packsight.producer.evaluation.document import Results, document
from packsight.producer.evaluation.metrics import Answer
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "labels.csv").write_text("image,product_id\na.jpg,1\n")
    return tmp_path / "labels.csv"


@pytest.mark.parametrize("precision", ["nan", "inf", "0", "-0.1", "1.01"])
def test_a_precision_is_a_share_of_more_than_nothing(labels: Path, precision: str) -> None:
    refused = CliRunner().invoke(app, ["evaluate", str(labels), "--precision", precision])
    assert refused.exit_code == 2 and "is no share" in refused.output


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_folder_is_no_file_for_the_measures(labels: Path, tmp_path: Path, option: str) -> None:
    refused = CliRunner().invoke(app, ["evaluate", str(labels), option, str(tmp_path)])
    assert isinstance(refused.exception, UserError)
    assert str(refused.exception) == f"{tmp_path} is a folder. Name a file, in it or elsewhere."


def test_an_earlier_evaluation_of_other_photos_is_refused_before_anything_is_asked(labels: Path, tmp_path: Path) -> None:
    other = Answer("q/b.jpg", "1", "1", (), Status.MATCHED, ("1",), 0.9)
    (tmp_path / "m.json").write_text(json.dumps(document(Results([other]))))
    refused = CliRunner().invoke(app, ["evaluate", str(labels), "--against", str(tmp_path / "m.json")])
    assert isinstance(refused.exception, UserError)
    assert "(there q/b.jpg, here a.jpg)" in str(refused.exception)


def test_contradicting_labels_are_refused_before_anything_is_asked(labels: Path) -> None:
    labels.write_text("image,product_id\na.jpg,1\n./a.jpg,2\n")
    refused = CliRunner().invoke(app, ["evaluate", str(labels)])
    assert isinstance(refused.exception, UserError)
    assert "Labels contradict each other: ./a.jpg in line 3 is a.jpg of line 2" in str(refused.exception)


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_the_measures_are_not_written_over_the_labels(labels: Path, option: str) -> None:
    before = labels.read_bytes()
    refused = CliRunner().invoke(app, ["evaluate", str(labels), option, str(labels.parent / "." / labels.name)])
    assert isinstance(refused.exception, UserError) and "is read by this command" in str(refused.exception)
    assert labels.read_bytes() == before


def test_the_measures_are_not_written_over_those_that_they_are_compared_with(labels: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "m.json"
    earlier.write_text(json.dumps(document(Results([Answer("a.jpg", "1", "1", (), Status.MATCHED, ("1",), 0.9)]))))
    refused = CliRunner().invoke(app, ["evaluate", str(labels), "--against", str(earlier), "--json", str(earlier)])
    assert isinstance(refused.exception, UserError) and f"{earlier} is read by this command" in str(refused.exception)


def test_one_file_cannot_be_both_document_and_page(labels: Path, tmp_path: Path) -> None:
    both = str(tmp_path / "m.out")
    refused = CliRunner().invoke(app, ["evaluate", str(labels), "--json", both, "--html", both])
    assert isinstance(refused.exception, UserError) and "is named twice" in str(refused.exception)
