"""What the docs tell people to type is there: commands, options, targets, modules, settings, files, links; and blocks are run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

import packsight
from packsight.cli import app
from packsight.shared.settings import Settings
from tests import settings_page
from tests.pages import (
    PAGES,
    ROOT,
    Block,
    blocks_of,
    commands,
    find,
    headings,
    inline,
    lines_of,
    packsight_words,
    text_of,
)

GENERATED = {"docs/accuracy.md", "docs/licences.md", "docs/reliability.md", "docs/scale.md", "docs/settings.md"}
"""Pages that programs write, each with a test of its own."""
DRAWINGS = {"mermaid"}
NOT_RUN: dict[tuple[str, ...], str] = {
    ("README.md", "packsight", "", "make demo"): "the suite itself, and the demo, which judges itself",
    ("CONTRIBUTING.md", "Contributing"): "the suite itself, and what takes longer than it",
    ("CONTRIBUTING.md", "Run one part"): "ends with Ctrl-C; tests/acceptance/test_upgrade.py runs such a worker",
    ("docs/capacity.md", "Measure"): "takes a quarter of an hour; tests/acceptance/test_bench.py runs `--quick`",
    ("docs/embedders.md", "Is it any good?"): "a suite, a benchmark and a change of networks; each has tests of its own",
    ("docs/models.md", "Alphabets"): "takes a GPU; tests/integration/test_training_alphabet.py trains a small head",
    ("docs/models.md", "Further recognisers"): "settings; tests/integration/test_spotters_further_recogniser.py sets both",
    ("docs/models.md", "8-bit integers"): "takes minutes for a network; tests/integration/test_quantise.py",
    ("docs/operations.md", "With Docker Compose"): "needs a container engine: `make compose-test`",
    ("docs/operations.md", "A new release"): "needs a container engine: `make compose-test FROM=COMMIT`",
    ("docs/operations.md", "Images behind a mirror"): "needs a container engine: `make compose-test`",
    ("docs/operations.md", "Kubernetes"): "needs a cluster; tests/unit/test_kubernetes.py renders it",
    ("docs/operations.md", "Upgrades and restores in a cluster", "", "apply"): "needs a cluster",
    ("docs/operations.md", "Upgrades and restores in a cluster", "", "scale"): "needs a cluster",
}
"""Blocks by what finds them, and why no test runs them."""
ROOMS = ("shared", "worker", "producer", "indexer", "deploy", "training", "tests", "bench", "docs", "examples", "packsight")
OTHERS = {"--help", "--user", "--write"}
"""Options of other programs, or of every one, that the text names without the program."""
TODAY = tuple(page for page in PAGES if page != "CHANGELOG.md")
"""Pages that say how it is; the changelog also names what is gone."""


@cache
def tree() -> Any:
    return get_command(app)


def problem(words: list[str], *, whole: bool) -> str | None:
    """What the command line has against these words; whole: whether what must be there has to be."""
    return next(problems(words, whole=whole), None)


def problems(words: list[str], *, whole: bool) -> Iterator[str]:
    command, called = tree(), "packsight"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            yield f"{called} has no command {words[0]}"
            return
        command, called, words = command.commands[words[0]], f"{called} {words[0]}", words[1:]
    known = {option: one for one in command.params for option in (*one.opts, *one.secondary_opts)}
    arguments, given = [], set()
    pending = iter(word for word in words if word != "--help")
    for word in pending:
        if not word.startswith("-") or word == "-":
            arguments.append(word)
        elif word not in known:
            yield f"{called} has no option {word}"
            return
        else:
            given.add(known[word])
            if not known[word].is_flag and next(pending, None) is None and whole:
                yield f"{called} {word} wants a value"
    takes = [one for one in command.params if one.param_type_name == "argument"]
    if len(arguments) > len(takes) and not any(one.nargs == -1 for one in takes):
        yield f"{called} takes {len(takes)} arguments"
    if whole and len(arguments) < sum(one.required for one in takes):
        yield f"{called} wants more arguments"
    if whole:
        yield from (f"{called} wants {one.opts[0]}" for one in command.params if one.required and one not in (*takes, *given))


def typed(page: str) -> Iterator[tuple[list[str], bool]]:
    """Words for packsight's command line, and whether they stand in a block, to be typed as they are."""
    for one in blocks_of(page):
        if one.language in {"", "bash"}:
            for line in lines_of(one.text):
                yield from ((words, "…" not in line) for words in packsight_words(line))
    for code in inline(page):
        yield from ((words, False) for words in packsight_words(code))
        if " " in code and code.split()[0] in tree().commands:  # the program's name left out
            yield from ((words, False) for words in packsight_words(f"packsight {code}"))


def test_every_command_is_one_that_the_program_knows() -> None:
    found = [(page, problem(words, whole=whole)) for page in PAGES for words, whole in typed(page)]
    assert len(found) > 250
    assert [one for one in found if one[1]] == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("packsight jobs remove JOB", "packsight jobs has no command remove"),
        ("DOOR=x KEY=$(packsight key add shop)", "packsight has no command key"),
        ("packsight submit photos/ --dry-run | tail", "packsight submit has no option --dry-run"),
        ("packsight catalog sync feed.xml", "packsight catalog sync takes 0 arguments"),
        ("packsight catalog sync", "packsight catalog sync wants --feed"),
        ("docker compose run --rm --user \"$(id -u)\" operator catalog look", "packsight catalog has no command look"),
        ("docker run --rm packsight:0.2.0 secrets", "packsight secrets wants more arguments"),
    ],
)
def test_a_command_that_is_wrong_is_noticed(wrong: str, told: str) -> None:
    assert [problem(words, whole=True) for words in packsight_words(wrong)] == [told]


@cache
def everything_typed() -> tuple[str, ...]:
    return tuple(command for page in PAGES for command in commands(page))


def options() -> set[str]:
    def walk(command: Any) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    return set(walk(tree()))


def test_every_option_that_stands_alone_is_one_of_ours() -> None:
    alone = {code.split()[0].split("=")[0] for page in PAGES for code in inline(page) if code.startswith("--")}
    assert alone - options() - OTHERS == set()
    assert alone >= OTHERS


def test_every_target_of_make_and_its_variables_are_there() -> None:
    makefile = text_of("Makefile")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"\$\(([A-Z]+)\)", makefile))
    for command in everything_typed():
        for called in re.finditer(r"(?:^|\s)make((?: [A-Z]+=\S*| [a-z-]+)+)", command):
            words = called[1].split()
            assert {word for word in words if "=" not in word} <= targets, command
            assert {word.partition("=")[0] for word in words if "=" in word} <= variables, command


def test_every_module_that_is_run_is_there_and_has_the_options() -> None:
    for command in everything_typed():
        for called in re.finditer(r"python -m ((?:packsight|tests|bench|training)[\w.]*)([^|;&]*)", command):
            place = ROOT / called[1].replace(".", "/")
            files = [place / "__main__.py"] if place.is_dir() else [place.with_suffix(".py")]
            assert files[0].is_file(), command
            texts = "".join(file.read_text() for file in (place.rglob("*.py") if place.is_dir() else files))
            for option in re.findall(r"\s--([a-z-]+)", called[2]):  # named by itself, or after a parameter
                assert re.search(rf'"--{option}["/]|\b{option.replace("-", "_")}: ', texts), command


def settings(model: type[BaseModel] = Settings, prefix: str = "PACKSIGHT_") -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{variable}__")


def named_settings(text: str) -> Iterator[str]:
    """Variables as they are meant: `…__NAME` is of the section that was named last."""
    section = ""
    for found in re.finditer(r"PACKSIGHT_([A-Z0-9_]+?)(?=[^A-Z0-9_]|$)(?!…)|…__([A-Z0-9_]+)(?!…)", text):
        if found[1] and not found[1].endswith("_"):
            section = found[1].partition("__")[0] if "__" in found[1] else section
            yield f"PACKSIGHT_{found[1]}"
        elif found[1]:
            section = found[1].rstrip("_").partition("__")[0]
        else:
            yield f"PACKSIGHT_{section}__{found[2]}"


def test_the_page_of_settings_has_all_of_them_with_what_they_mean() -> None:
    """Renew it with `python -m tests.settings_page`."""
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page()
    rows = [line.strip("| ").split(" | ") for line in settings_page.page().splitlines() if line.startswith("| `")]
    sections = {name for name in settings() if any(other.startswith(f"{name}__") for other in settings())}
    assert {name.strip("`") for name, _, _ in rows} == set(settings()) - sections
    assert [name for name, _, meaning in rows if not meaning.strip()] == []


BESIDE = {"PACKSIGHT_STACK_FILE"}
"""Where the settings are, which is none itself."""


def test_every_variable_is_a_setting() -> None:
    known = {*settings(), *BESIDE}
    named = [(page, name) for page in TODAY for name in named_settings(text_of(page))]
    assert ("docs/operations.md", "PACKSIGHT_CATALOG__PICTURE_LAST_SECONDS") in named, "as …__PICTURE_LAST_SECONDS"
    assert [(page, name) for page, name in named if not {name, name.removesuffix("_FILE")} & known] == []


def test_every_path_is_there() -> None:
    paths = re.compile(rf"({'|'.join(ROOMS)})/[a-z0-9_/.-]+\.[a-z]+(:\w+)?")
    named = [(page, code.partition(":")[0]) for page in TODAY for code in inline(page) if paths.fullmatch(code)]
    assert len(named) > 50
    assert [(page, path) for page, path in named if not (ROOT / path).exists() and not (ROOT / f"{path}.example").exists()] == []


def test_every_module_and_method_that_programs_are_told_of_is_there() -> None:
    modules, methods = [], []
    for page in TODAY:
        for code in inline(page):
            modules += re.findall(r"packsight\.(?:shared|worker|producer|indexer|deploy)[\w.]*\w", code)
            methods += re.findall(r"\bclient\.(\w+)\(", code)
    places = [(ROOT / module.replace(".", "/")) for module in modules]
    assert len(places) > 4 and [place for place in places if not (place.is_dir() or place.with_suffix(".py").is_file())] == []
    assert len(methods) > 4 and [method for method in methods if not hasattr(packsight.Client, method)] == []


def test_every_link_leads_somewhere() -> None:
    wrong = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
            path, _, anchor = target.partition("#")
            file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
            if "://" not in target and not (
                file.exists() and (not anchor or anchor in headings(str(file.relative_to(ROOT))))
            ):
                wrong.append((page, target))
    assert wrong == []


def test_images_are_named_by_this_release() -> None:
    named = [found for page in TODAY for found in re.findall(r"packsight(?:-producer)?:(\d[\w.]*\d)", text_of(page))]
    assert set(named) == {packsight.__version__}


def test_every_page_is_linked_from_the_readme() -> None:
    linked = re.findall(r"\]\((docs/[\w-]+\.md)\)", text_of("README.md"))
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")} == set(linked)


def run_by_tests() -> Iterator[Block]:
    """The blocks that tests take from pages, by `block("page", "heading", …)`."""
    for file in sorted((ROOT / "tests").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "from tests.pages import" not in text or file == Path(__file__):
            continue
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "block":
                named = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
                yield find(*map(ast.literal_eval, call.args), **named)


def test_every_block_is_run_by_a_test_or_said_why_not() -> None:
    blocks = [one for page in TODAY if page not in GENERATED for one in blocks_of(page) if one.language not in DRAWINGS]
    run, left = set(run_by_tests()), {find(*where): why for where, why in NOT_RUN.items()}
    assert [(one.page, one.heading, one.text) for one in blocks if one not in run and one not in left] == []
    assert [one for one in left if one in run or one not in blocks] == []
    assert len(run) > 20
