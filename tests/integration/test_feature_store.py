"""Features in object storage, each part by what made it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from packsight.shared.contract.messages import PARTS, Part
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features, LocalFeatures, make_features

MADE_BY: dict[Part, str] = {"embedding": "resnet-1", "words": "reader-1", "details": "details-1"}


def features(name: str, *, value: float = 0.5, word: str = "CREAM", leading: int | None = 2) -> Features:
    local = LocalFeatures(np.full((3, 2), 0.25, np.float32), np.full((3, 128), 7, np.uint8), leading)
    words = [WordRead(text=word, confidence=0.75, box=[(0, 0), (9, 0), (9, 9), (0, 9)])]
    return make_features(name, (96, 128), np.full(4, value, np.float32), words, local, b"jpeg")


def write_as_the_release_before(store: ObjectStore, models: str, photos: Sequence[Features], folder: Path) -> None:
    """One object with all columns, as that release wrote it."""
    rows = [
        {
            "sha256": photo.sha256,
            "width": photo.width,
            "height": photo.height,
            "embedding": photo.embedding.astype("<f2").tobytes(),
            "words": [
                {"text": w.text, "confidence": w.confidence, "box": [c for corner in w.box for c in corner]}
                for w in photo.words
            ],
            "points": photo.local.points.astype("<f2").tobytes(),
            "descriptors": photo.local.descriptors.tobytes(),
            "thumbnail": photo.thumbnail,
        }
        for photo in photos
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "former.parquet")
    store.write(f"features/{models}/0a1b.parquet", (folder / "former.parquet").read_bytes())


def same(one: Features, other: Features) -> bool:
    whole, local = ("sha256", "width", "height", "embedding", "words", "thumbnail"), ("points", "descriptors", "leading")
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b, names in ((one, other, whole), (one.local, other.local, local))
        for name in names
    )


def test_what_is_put_is_read_again(store: ObjectStore, tmp_path: Path) -> None:
    photos = [features("a"), features("b", value=0.125, word="Крем", leading=None)]
    FeatureStore(store, MADE_BY, tmp_path / "worker").put("s1", photos)
    reader = FeatureStore(store, MADE_BY, tmp_path / "reader")
    view = FeatureView(reader, ["a", "b", "c"])
    assert list(view) == ["a", "b"]
    assert all(same(view[photo.sha256], photo) for photo in photos)
    assert all(same(found, photo) for found, photo in zip(reader.read(["s1"]).values(), photos, strict=True))


@pytest.mark.parametrize("part", PARTS)
def test_another_maker_of_one_part_leaves_the_others_valid(part: Part, store: ObjectStore, tmp_path: Path) -> None:
    FeatureStore(store, MADE_BY, tmp_path).put("s1", [features("a")])
    upgraded = FeatureStore(store, {**MADE_BY, part: "of-tomorrow"}, tmp_path)
    view = FeatureView(upgraded, ["a"])
    assert "a" not in view
    assert view.missing("a") == (part,)
    again = features("a", value=0.25, word="LOTION")
    upgraded.put("s2", [again], [part])
    view.refresh()
    assert view.missing("a") == ()
    assert view["a"].words == (again if part == "words" else features("a")).words
    assert view["a"].embedding[0] == (0.25 if part == "embedding" else 0.5)


def test_a_photo_of_which_a_part_was_never_stored_is_not_there(store: ObjectStore, tmp_path: Path) -> None:
    kept = FeatureStore(store, MADE_BY, tmp_path)
    kept.put("s1", [features("a")], ["embedding", "words"])
    view = FeatureView(kept, ["a"])
    assert (len(view), view.missing("a"), view.missing("b")) == (0, ("details",), PARTS)


def test_features_of_the_release_before_serve_on_where_they_are_made_in_the_same_way(
    store: ObjectStore, tmp_path: Path
) -> None:
    write_as_the_release_before(store, "resnet-1+reader-1+2", [features("a", value=0.25)], tmp_path)
    today = FeatureStore(store, MADE_BY, tmp_path)
    view = FeatureView(today, ["a"])
    assert view.missing("a") == ("details",), "key points are made in another way"
    today.put("s1", [features("a")], ["details"])
    view.refresh()
    assert same(view["a"], features("a", value=0.25))
    for part in PARTS:
        other = FeatureStore(store, {**MADE_BY, part: "of-tomorrow"}, tmp_path)
        assert FeatureView(other, ["a"]).missing("a") == (part,)


def test_of_a_photo_that_stands_in_two_shards_the_first_counts_and_an_unknown_one_is_an_error(
    store: ObjectStore, tmp_path: Path
) -> None:
    kept = FeatureStore(store, MADE_BY, tmp_path)
    kept.put("s2", [features("b", value=0.25), features("a", value=0.25)])
    kept.put("s1", [features("c"), features("a")])
    view = FeatureView(kept, ["a", "b", "c", "d", "e" * 64])
    assert list(view) == ["c", "a", "b"], "in the order of the shards"
    assert view["a"].embedding[0] == 0.5
    for missing in ("d", "e" * 64, "f", "f" * 70):
        assert missing not in view
        with pytest.raises(KeyError, match=missing):
            view[missing]
    assert not FeatureView(kept, [])


def test_knowing_where_a_photo_stands_costs_little_memory(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [sha256(f"{number}".encode()).hexdigest() for number in range(20_000)]
    kept = FeatureStore(store, MADE_BY, tmp_path)
    monkeypatch.setattr(kept, "shards", lambda part: [f"{part}{number}" for number in range(4)])
    monkeypatch.setattr(kept, "photos", lambda key: names[int(key[-1]) :: 4])
    tracemalloc.start()
    view = FeatureView(kept, names)
    bytes_held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(view) == len(names) and names[7] in view
    assert bytes_held < 100 * len(names)
