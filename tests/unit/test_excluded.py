"""Photos that patterns leave out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from packsight.producer.excluded import Excluded
from packsight.shared.contract.errors import UserError


def left_out(pattern: str, source: str, name: str) -> bool:
    return Excluded([pattern]).leaves_out(source, name)


@pytest.mark.parametrize("source", ["shop", "shop/", "./shop", "./shop/"])
def test_a_name_is_compared_with_the_file_and_the_folders_below_the_source(source: str) -> None:
    assert left_out("thumbs", source, "shop/2024/thumbs/1.jpg")
    assert left_out("*_small.*", source, "shop/2024/1_small.jpg")
    assert not left_out("shop", source, "shop/2024/1.jpg")
    assert not left_out("thumb", source, "shop/thumbs/1.jpg")
    assert not left_out("*.PNG", source, "shop/1.png")


def test_a_pattern_with_a_slash_is_compared_with_the_whole_path_below_the_source() -> None:
    assert left_out("2024/*.png", "shop", "shop/2024/old/1.png")
    assert not left_out("2024/*.png", "shop", "shop/old/2024/1.png")
    assert left_out("*/2024/*.png", "shop", "shop/old/2024/1.png")


def test_a_photo_that_is_named_itself_is_known_by_its_file_alone() -> None:
    assert left_out("*.png", "thumbs/1.png", "thumbs/1.png")
    assert not left_out("thumbs", "thumbs/1.png", "thumbs/1.png")
    assert left_out("1.png", "https://example.com/thumbs/1.png?size=2", "https://example.com/thumbs/1.png?size=2")


def test_prefixes_and_addresses_of_lists_are_compared_by_their_paths() -> None:
    assert left_out("thumbs/*", "s3://bucket/shop/", "s3://bucket/shop/thumbs/1.jpg")
    assert left_out("shop-old", "s3://bucket/shop", "s3://bucket/shop-old/1.jpg")
    assert not left_out("bucket", "s3://bucket", "s3://bucket/1.jpg")
    assert left_out("thumbs", "list.csv", "https://example.com/thumbs/1.jpg?sign=ab")
    assert not left_out("example.com", "list.csv", "https://example.com/1.jpg")
    assert left_out("thumbs", "list.csv", "../thumbs/1.jpg")


def test_each_photo_counts_for_the_first_pattern_that_leaves_it_out() -> None:
    excluded = Excluded(["*.png", "thumbs", "nothing"])
    for name in ("a/1.png", "a/thumbs/2.png", "a/thumbs/3.jpg", "a/4.jpg"):
        excluded.leaves_out("a", name)
    assert excluded.counts == {"*.png": 2, "thumbs": 1, "nothing": 0}


def test_a_pattern_that_is_empty_is_an_error() -> None:
    with pytest.raises(UserError, match="empty"):
        Excluded([""])


@pytest.mark.parametrize("patterns", ["thumbs", Path("thumbs"), ["thumbs"], [Path("thumbs")]])
def test_patterns_are_texts_or_paths_one_or_several(patterns: str | Path | list[str | Path]) -> None:
    assert Excluded(patterns).leaves_out("shop", "shop/thumbs/1.jpg")


@pytest.mark.parametrize("pattern", [None, 3, b"thumbs", bytearray(b"thumbs")])
def test_what_is_no_pattern_is_refused_by_what_it_is(pattern: Any) -> None:
    for patterns in (pattern, [pattern]):
        with pytest.raises(UserError, match=f"texts or paths, not {type(pattern).__name__}"):
            Excluded(patterns)
