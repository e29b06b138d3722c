"""The demo's shop as it is written to disk: every photo is there, of every kind, and none gives itself away."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import pytest
from lxml import etree

from packsight.deploy.demo.baseline import histogram_top1
from packsight.deploy.demo.shop.dataset import generate
from packsight.deploy.demo.shop.products import items
from packsight.shared.tables.labels import read_labels


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    generate(folder)
    return folder


def test_every_picture_of_the_feed_is_there(shop: Path) -> None:
    offers = etree.parse(shop / "feed.xml").findall(".//offer")
    assert len(offers) >= 48
    for offer in offers:
        pictures = [shop / (picture.text or "") for picture in offer.findall("picture")]
        assert len(pictures) == 3
        assert all(cv2.imread(str(picture)) is not None for picture in pictures)


def test_there_are_query_photos_of_every_kind(shop: Path) -> None:
    labels = read_labels(shop / "labels.csv")
    groups = Counter(label.group for label in labels)
    assert sum(groups.values()) - groups["unreadable"] >= 96
    assert set(groups) == {"present", "sibling", "stranger", "unreadable"}
    listed = {item.id for item in items() if item.listed}
    assert {label.product_id for label in labels if label.group == "present"} == listed
    assert all(not label.product_id for label in labels if label.group != "present")
    assert {label.kinds for label in labels if label.group == "unreadable"} == {
        ("unreadable", fault) for fault in ("text", "truncated", "empty")
    }
    assert any("occluded" in label.kinds for label in labels)


def test_query_photos_have_the_size_of_a_phones_thumbnail(shop: Path) -> None:
    for label in read_labels(shop / "labels.csv"):
        if label.group != "unreadable":
            pixels = cv2.imread(str(shop / label.image))
            assert pixels is not None
            assert 640 <= max(pixels.shape[:2]) <= 900


def test_a_colour_histogram_is_not_enough(shop: Path) -> None:
    assert histogram_top1(shop, read_labels(shop / "labels.csv")) < 0.4
