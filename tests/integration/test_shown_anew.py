"""A new price is published as it is: nothing is described, fitted or sent of what matching needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from packsight.indexer.examination import RefusedError
from packsight.indexer.publish import roll_back
from packsight.shared.catalog.shown import is_shown
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from tests.integration.test_sync import RECIPE, Shop, killed_before

pytestmark = pytest.mark.usefixtures("quick_syncs")


class Priced(Shop):
    """A shop whose feed has prices."""

    prices: dict[str, str] = {}  # noqa: RUF012

    def write(self) -> str:
        feed = Path(super().write())
        text = feed.read_text()
        for identity, price in self.prices.items():
            text = text.replace(f'<offer id="{identity}">', f'<offer id="{identity}"><price>{price}</price>')
        feed.write_text(text)
        return str(feed)


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore) -> Priced:
    made = Priced(tmp_path / "shop", live_settings, store)
    made.prices = {"3": "10.00"}
    return made


def test_a_new_price_sends_one_file_and_a_manifest(shop: Priced, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    before, asked = shop.snapshot(), len(shop.extractor.asked)
    shop.prices["3"] = "12.50"
    monkeypatch.setattr("packsight.indexer.phases.built.build_version", None)
    with killed_before(monkeypatch, None) as writes:
        report = shop.sync()
    assert (report.published, report.described, report.fetched, report.changed) == (True, 0, 0, 1)
    assert len(shop.extractor.asked) == asked
    assert [write for write in writes if "catalogs" in write or "parts" in write] == ["upload parts"]
    after = shop.snapshot()
    assert (after.products[2].price, before.products[2].price) == ("12.50", "10.00")
    assert after.manifest.parent == before.manifest.version
    other = {name for name, entry in after.manifest.files.items() if before.manifest.files[name] != entry}
    assert len(other) == 1 and is_shown(*other)
    assert (after.folder / "s0000.index.faiss").samefile(before.folder / "s0000.index.faiss")
    again = shop.sync()
    assert not again.published


def test_a_new_price_of_a_version_that_was_refused_and_let_be_served_all_the_same_is_no_refused_version(shop: Priced) -> None:
    shop.sync()
    for identity in "125678":
        shop.names[identity] = f"Soap of kind {identity}"
    with pytest.raises(RefusedError) as refusal:
        shop.sync()
    roll_back(shop.catalogs, refusal.value.summary.version, [RECIPE])
    assert shop.snapshot().manifest.refused
    shop.prices["3"] = "12.50"
    assert shop.sync().published
    assert (shop.snapshot().products[2].price, shop.snapshot().manifest.refused) == ("12.50", ())


def test_small_losses_are_seen_together_however_often_prices_change_between_them(shop: Priced) -> None:
    """Eight products and a fifth to lose at most: each loss is less, both together are more."""
    shop.settings = shop.settings.model_copy(
        update={"catalog": shop.settings.catalog.model_copy(update={"keep_versions": 3})}
    )
    first = shop.sync()
    shop.remove("8")
    assert shop.sync().published
    for number in range(6):
        shop.prices["3"] = f"{number}.00"
        assert shop.sync().published
    shop.remove("7")
    with pytest.raises(RefusedError) as refusal:
        shop.sync()
    assert any(f"{first.version}" in reason.text for reason in refusal.value.summary.reasons)
    assert len(shop.catalogs.versions()) <= 3 + 2 + 1, "the refused one beside them"


def test_what_is_shown_of_a_product_beside_a_new_photo_is_built_with_it(shop: Priced) -> None:
    shop.sync()
    shop.prices["3"] = "12.50"
    shop.add("9", "Soap", seed=99)
    report = shop.sync()
    assert (report.published, report.described) == (True, 2)
    assert [product.price for product in shop.snapshot().products][2] == "12.50"


def test_building_the_same_again_gives_the_same_parts(shop: Priced) -> None:
    shop.sync()
    before = shop.snapshot().manifest
    shop.sync(force=True)
    after = shop.snapshot().manifest
    assert before.version != after.version
    assert before.files == after.files
