"""The sentence for a person supports the verdict that it comes with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.lacking import Lack
from packsight.shared.contract.outcomes import Candidate, Evidence, Product, Status, WordEvidence
from packsight.shared.matching.decision import Decision
from packsight.shared.matching.reasons import reason
from tests.unit.matching_catalog import Shop, build, photo, product


def candidate(
    name: str,
    confidence: float,
    read: tuple[str, ...] = (),
    missing: tuple[str, ...] = (),
    inliers: int | None = None,
    spanned: float | None = None,
) -> Candidate:
    words = [WordEvidence(read=word, expected=word, rarity=2.0, similarity=1.0) for word in read]
    evidence = Evidence(words=words, missing_words=list(missing), inliers=inliers, spanned=spanned)
    return Candidate(product=Product(id=name, name=name), confidence=confidence, evidence=evidence)


def test_a_match_by_details_says_how_many_agree_how_much_they_span_and_who_is_next() -> None:
    first, second = candidate("Mint", 0.99, inliers=61, spanned=0.8), candidate("Rose", 0.004, inliers=9, spanned=0.1)
    said = reason(Status.MATCHED, [first, second])
    assert said == "61 details lie where its photo has them, spanning 80 % of it; next is Rose with 9."
    alone = reason(Status.MATCHED, [first, candidate("Rose", 0.004, inliers=0)])
    assert alone.endswith("next is Rose with none.")


def test_a_match_by_votes_alone_claims_no_words_and_no_place() -> None:
    said = reason(Status.MATCHED, [candidate("Mint", 0.99, inliers=0)])
    assert "details are found on this product's photos" in said


def test_a_match_is_not_founded_on_scraps_of_words() -> None:
    said = reason(Status.MATCHED, [candidate("Mint", 0.99, ("AA", "ARVELO"), inliers=30), candidate("Rose", 0.004)], sole=2.0)
    assert said.startswith("Reads 'ARVELO', which only this product has; 30 details")
    assert "read" not in reason(Status.MATCHED, [candidate("Mint", 0.99, ("AA",), inliers=30)]).lower()


def test_a_word_that_products_beyond_those_shown_have_is_not_said_to_be_the_first_ones_alone(tmp_path: Path) -> None:
    names = [("Arvelo", "Rosy Cream"), ("Arvelo", "Soap"), ("Arvelo", "Gel"), ("Bontira", "Day Cream"), ("Castoly", "Lip Cream")]
    photos = {f"p{number}": [photo(f"{brand} {name}", [brand, name], number)] for number, (brand, name) in enumerate(names)}
    snapshot = build(tmp_path / "v", [product(number, *name) for number, name in enumerate(names)], photos)
    sure = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 0.0}))
    whole, part = (match(photo("query", ["ARVELO", name], 0), sure, top_k=2) for name in ("Rosy Cream", "Cream"))
    assert whole.reason.startswith("Reads 'Rosy', which only this product has; ")
    assert part.product is not None and part.product.id == "p0"
    assert part.reason.startswith("Reads 'Cream'; ")


def test_several_candidates_are_told_apart_by_what_only_one_of_them_has() -> None:
    first = candidate("Mint", 0.5, ("ARVELO",), ("mint", "of"))
    second = candidate("Rose", 0.4, ("ARVELO",), ("rose",))
    assert reason(Status.AMBIGUOUS, [first, second]) == (
        "Either Mint or Rose: 'mint' would speak for Mint; 'rose' would speak for Rose."
    )


def test_a_word_that_a_rival_has_too_tells_nothing_also_where_it_was_read_badly_there() -> None:
    first, second = candidate("Mint", 0.5, missing=("mint", "soothing")), candidate("Rose", 0.4, missing=("rose",))
    words = {"Mint": {"mint", "soothing"}, "Rose": {"rose", "soothing"}}
    assert reason(Status.AMBIGUOUS, [first, second], words=words) == (
        "Either Mint or Rose: 'mint' would speak for Mint; 'rose' would speak for Rose."
    )


def test_why_is_told_alike_however_few_candidates_are_wanted(catalog: Snapshot) -> None:
    query = photo("query", ["ARVELO", "BONTIRA"], 77)
    wary = replace(catalog, model=catalog.model.model_copy(update={"matched": 1.1, "sure": 1.1}))
    rules = replace(catalog.parameters, decision=replace(catalog.parameters.decision, no_match=1.0))
    one, three = (match(query, replace(wary, parameters=rules), top_k=most) for most in (1, 3))
    assert (len(one.candidates), len(three.candidates)) == (1, 3)
    assert one.reason == three.reason
    assert one.reason.startswith("Either ")


def test_products_of_one_name_are_told_by_their_ids() -> None:
    one, other = candidate("Mint", 0.5, missing=("balm",)), candidate("Mint", 0.4, missing=("soap",))
    other = other.model_copy(update={"product": Product(id="4712", name="Mint")})
    one = one.model_copy(update={"product": Product(id="4711", name="Mint")})
    assert reason(Status.AMBIGUOUS, [one, other, candidate("Rose", 0.4)]) == (
        "Either Mint (4711) or Mint (4712) or Rose: 'balm' would speak for Mint (4711); 'soap' would speak for Mint (4712)."
    )


def test_what_the_photo_lacks_comes_first_with_its_remedy() -> None:
    said = reason(Status.AMBIGUOUS, [candidate("Mint", 0.3)], [Lack.RESOLUTION, Lack.SHARPNESS])
    assert said.startswith("The photo has too few pixels and is blurred, so no product is certain. Send a larger photo.")
    assert "Perhaps it is Mint (0.30)" in said
    assert reason(Status.AMBIGUOUS, [], [Lack.LIGHT]).endswith("Send a photo with more light.")


@pytest.fixture(scope="module")
def catalog(tiny_shop: Shop) -> Snapshot:
    return tiny_shop[0]


def rejected(snapshot: Snapshot, *lines: str, look: int = 77) -> Decision:
    """Whatever is not certain is taken for nothing of the catalog."""
    strict = replace(snapshot.parameters, decision=replace(snapshot.parameters.decision, no_match=-1.0))
    wary = replace(snapshot, parameters=strict, model=snapshot.model.model_copy(update={"matched": 1.1, "sure": 1.1}))
    decision = match(photo("query", list(lines), look), wary, top_k=3)
    assert decision.status is Status.NO_MATCH
    return decision


def test_words_that_no_product_has_speak_against_all(catalog: Snapshot) -> None:
    said = rejected(catalog, "Zyxwov Quantum", "Toothpaste 90 g").reason
    assert said.startswith("Probably not in the catalog: reads 'Zyxwov' and 'Quantum', which no product has")
    assert "looks like its photo" not in said


def test_the_nearest_is_named_with_what_it_has_instead(catalog: Snapshot) -> None:
    said = rejected(catalog, "KERMOLO", "Brilliantine Pomade", look=10).reason
    assert "the nearest, Kermolo Beard Oil, has 'Beard' and 'Oil' where this reads 'Brilliantine' and 'Pomade'" in said
    assert "KERMOLO" not in said, "what agrees with the nearest is no reason against it"


def test_words_that_others_have_speak_against_the_nearest(catalog: Snapshot) -> None:
    decision = rejected(catalog, "KERMOLO", "Beard Oil", "50 ml", "Lotion Shampoo", look=10)
    assert decision.candidates[0].product.id == "p10"
    assert "the nearest, Kermolo Beard Oil, does not have 'Lotion' and 'Shampoo', which this reads" in decision.reason
    assert "no product has" not in decision.reason


def test_words_that_were_not_surely_read_are_not_held_against_a_product(catalog: Snapshot, tmp_path: Path) -> None:
    query = photo("query", ["Zyxwov Quantum", "Toothpaste"], 77)
    doubtful = [word.model_copy(update={"confidence": 0.6}) for word in query.words[:1]]
    model = catalog.model.model_copy(update={"matched": 1.1})
    rules = replace(catalog.parameters, decision=replace(catalog.parameters.decision, no_match=-1.0))
    rules = replace(rules, sight=replace(rules.sight, letters=0, word=0))
    wary = replace(catalog, model=model, parameters=rules)
    said = match(replace(query, words=(*doubtful, *query.words[1:])), wary, top_k=3).reason
    assert "Zyxwov" not in said and "'Toothpaste', which no product has" in said


def test_no_reason_at_all_is_never_an_empty_sentence(catalog: Snapshot) -> None:
    rules = replace(catalog.parameters, decision=replace(catalog.parameters.decision, no_match=-1.0))
    rules = replace(rules, sight=replace(rules.sight, letters=0, word=0))
    wary = replace(catalog, parameters=rules, model=catalog.model.model_copy(update={"matched": 1.1}))
    empty = match(photo("mute", [], 4), wary, top_k=3)
    assert "the nearest, " in empty.reason
    none = match(replace(photo("void", [], 4), embedding=np.zeros(48, np.float32)), wary, top_k=3)
    assert none.candidates == [] and none.reason.startswith("Nothing on this photo")
