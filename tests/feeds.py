"""Feeds read as a sync reads them."""

from __future__ import annotations

from dataclasses import dataclass

from packsight.indexer.feed.offers import Offer
from packsight.indexer.feed.source import Feed, open_feed
from packsight.indexer.state.database import State, opened
from packsight.indexer.state.intake import offer_of, take_in
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore


@dataclass(frozen=True)
class Offers:
    """All products of a feed by id, in the feed's order, and what an operator should know about the reading."""

    by_id: dict[str, Offer]
    notes: tuple[str, ...]


def read_offers(location: str, settings: Settings) -> Offers:
    """The offers of a feed, taken in by a state that knows nothing yet."""
    with opened() as state, open_feed(location, settings, ObjectStore(settings.s3)) as feed:
        assert feed is not None
        return taken_in(state, feed)


def taken_in(state: State, feed: Feed) -> Offers:
    """What the state says after it has taken in a feed."""
    with state.transaction():
        take_in(state, feed)
    found = state.rows(
        "SELECT p.number, p.id FROM products p WHERE live "
        "ORDER BY (SELECT min(position) FROM offered o WHERE o.product = p.number)"
    )
    return Offers({identity: offer_of(state, number) for number, identity in found.fetchall()}, tuple(state.get("feed_notes")))
