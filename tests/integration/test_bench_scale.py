"""The bench of sizes runs from end to end on a tiny catalog, and its page has what it promises."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench import scale, scale_page, swaps
from bench.invented import Invented

PHOTOS = 38


def here(measured: Callable[..., Any], *arguments: Any) -> Any:
    return measured(*arguments)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("scale")
    app = typer.Typer()
    app.command()(scale.main)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scale, "ask", here)
        patch.setattr(scale, "second_process", lambda *_: 1.0)
        arguments = [str(PHOTOS), "--asked", "10", "--no-networks", "--out", str(folder), "--write", str(folder / "scale.md")]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return (folder / "scale.md").read_text(), json.loads((folder / "scale.json").read_text())


def test_the_page_has_every_part_with_a_figure_for_each_size(page: tuple[str, dict[str, Any]]) -> None:
    text, _ = page
    for part in ("Building a version", "Bytes per photo", "Asking", "Holding and changing", "The same vectors beside others"):
        assert f"## {part}\n" in text
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    for name in (*scale_page.PHASES, "**all**", "opening, ms", "ask whether enough was read, until it was", "thumbnails"):
        assert re.search(r"\d", rows[name].removeprefix(f"| {name}")), name
    assert f"python -m bench.scale {PHOTOS} --asked 10 --write docs/scale.md" in text
    assert any(name.startswith("Faiss IVF") for name in rows)
    for name in ("key points: index", "key points: descriptors", "vectors", "vectors: index", "photos"):
        assert int(rows[name].split("|")[2].replace(",", "")) > 0, f"{name}: files of segments are counted as what they hold"


def test_the_figures_are_of_the_version_that_was_built(page: tuple[str, dict[str, Any]]) -> None:
    [found] = page[1]["sizes"]
    assert (found["photos"], found["products"]) == (PHOTOS, PHOTOS // 2)
    assert sum(found["files"].values()) == pytest.approx(found["bytes_per_photo"] * PHOTOS, abs=PHOTOS)
    assert found["asking"]["photos"] == 9, "8 of listed products, and one of the only family's sibling that is not"
    assert 0 < found["change"]["bytes"] < sum(found["files"].values())
    assert 0.9 <= found["search"][0]["recall"] <= 1


def test_sizes_of_another_run_join_the_page_if_they_were_asked_alike(page: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "scale.json"
    larger = page[1]["sizes"][0] | {"photos": 1_000_000, "commit": "0123456789ab", "change": None}
    file.write_text(json.dumps(page[1] | {"sizes": [larger]}))
    [other] = scale.sizes_of(file, page[1])
    text = scale_page.markdown(page[1] | {"sizes": [*page[1]["sizes"], other]})
    assert "bench.scale 38 1000000 --asked 10" in text
    assert re.search(r"^\| measured \| .* \| \S+, 0123456789ab \|$", text, re.MULTILINE)
    assert re.search(r"^\| brought by a host .* \| .* MB, .*% \| not measured \|$", text, re.MULTILINE)
    with pytest.raises(typer.BadParameter, match="asked 10, not 11: measure it again"):
        scale.sizes_of(file, page[1] | {"asked": 11})
    with pytest.raises(typer.BadParameter, match="another processor"):
        scale.sizes_of(file, page[1] | {"machine": {"cpu": "other"}})


def test_what_a_swap_cost_is_told_with_the_command_that_measured_it(page: tuple[str, dict[str, Any]]) -> None:
    rates = {"photos_per_s": 9.0, "photos_per_s_meanwhile": 8.5}
    swap = rates | {"bytes": 12_000_000, "seconds": 3.25, "copying_seconds": 1.5, "failed": 0}
    swapped = [swap | {"photos": photos, "cpu_seconds": {"host": 1.25, "store": 2}} for photos in (5000, 5001)]
    text = scale_page.markdown(page[1] | {"swaps": swapped})
    assert f"bench.scale {PHOTOS} --asked 10 --swapped 5000 --write" in text
    assert "| all of it | 12.0 MB | 3.25 | 1.50 | 1.25 | 2.00 | 9.00 | 8.50 | 0 |" in text
    assert "Handing a version" not in page[0]


def test_the_rate_of_a_window_is_of_what_ended_in_it_and_files_are_copied_whole(tmp_path: Path) -> None:
    assert swaps.rate([(1.0, 2), (2.0, 2), (3.0, 4)], (1.5, 3.5)) == 3.0
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "part").write_bytes(bytes(3_000_000))
    assert swaps.copy_and_hash(tmp_path / "version", ["part"], tmp_path / "copied") > 0
    assert (tmp_path / "copied" / "part").stat().st_size == 3_000_000


def test_an_invented_catalog_makes_the_same_photo_whenever_it_is_asked() -> None:
    shop = Invented(PHOTOS)
    rows = list(shop.rows)
    assert [row.product_id for row in rows] == [product.id for product in shop.products for _ in range(2)]
    assert shop[rows[5].sha256].words == shop.photo(5).words
    assert rows[-1].sha256 in shop and "0" * 64 not in shop
    assert "p19" not in {product.id for product in Invented(200).products}, "one sibling of a family is not listed"
    changed = [one.sha256 != two.sha256 for one, two in zip(rows, Invented(PHOTOS, edition=1).rows, strict=True)]
    assert sum(changed) == 2, "the photos of one product"
