"""Every number that decides how a photo is answered, as values: they enter the names of what was made with them.

Functions get them as arguments or from what carries them (a snapshot, a vocabulary), so that a test or a measurement varies
one by passing `replace(MATCHING, …)`. Where a reason names neither a source nor a measurement, the number was chosen by
hand, and all that is said is what it does. The spotter's numbers stand in packsight.worker.networks.spotters.ppocr.parameters,
those of building a version in packsight.indexer.build.parameters.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def digest(*parameters: DataclassInstance) -> str:
    """12 hex digits that change with any name or value."""
    text = json.dumps([asdict(one) for one in parameters], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class DetailParameters:
    """Key points and thumbnails (packsight.worker.pipeline.local_features).

    What was measured: docs/decisions/06-key-points.md.
    """

    query_scale: tuple[int, int] = (320, 400)
    """Copy of a photo that is asked about: longer side in pixels, and the strongest key points kept. One copy is a quarter of the
    price of three, and finds as much."""
    further_scales: tuple[tuple[int, int], ...] = ((240, 200), (480, 200))
    """Copies of a catalog photo beside that one, so that packs that fill a query and packs that are small on it both find their
    size among them."""
    indexed: int = 200
    """Key points of a catalog photo with which its closest relatives are looked for."""
    contrast: float = 0.02
    """Of a blob, on the scale 0 to 1: half of SIFT's default, for blurred photos have no stronger ones."""
    scale: int = 512
    """Of descriptors, whose values are 0 to 1, as bytes; what comes above 255 is clipped."""
    thumbnail_side: int = 128
    """Pixels of the longer side: colours of a pack, no print."""
    thumbnail_quality: int = 90
    """Of the JPEG, whose colours keep their full resolution."""


@dataclass(frozen=True)
class WordParameters:
    """Which words stand on which product, and which of them a reading may mean (packsight.shared.catalog.words)."""

    one_edit_from: int = 4
    """Letters from which one misread letter still makes it this word."""
    two_edits_from: int = 8
    """Letters from which two do."""
    prefix: int = 7
    """Letters that take part in deletions, as in SymSpell's own default."""
    max_finds: int = 64
    """Terms compared per word at most; the most frequent strings of a large catalog would yield thousands."""
    min_split: int = 6
    """Letters of a word that is taken for two that were read without the gap."""
    min_part: int = 2
    """Letters of the shorter part where both stand in names."""
    min_read_part: int = 3
    """The same where a part stands in no product's name: short words that were only read on photos are mostly misread."""
    correct_from: int = 6
    """Letters from which a word of a product's name is recognised in a misreading on the product's own photo."""
    correct_similarity: float = 0.7
    """How alike they must be: more is forgiven here than on a query, since the product is known."""
    min_confidence: float = 0.5
    """Of a line on a catalog photo whose words are taken into the index."""
    name_weight: float = 0.5
    """A word of the feed counts like half a photo that shows it: 13 of 50 names of a real feed contradict the pack."""
    prior_photos: float = 1.0
    """Photos on which a word was not read that every product is credited with."""
    rarity_smoothing: float = 0.5
    """Added to the number of products that have a word: the half of Robertson & Spärck Jones (1976)."""


@dataclass(frozen=True)
class CandidateParameters:
    """Which products are weighed at all (packsight.shared.matching.candidates)."""

    near_photos: int = 64
    """Catalog photos nearest to the query whose products are candidates."""
    by_words: int = 32
    """Products that share the rarest words read."""
    max_postings: int = 30_000
    """Postings that propose products, those of the words that tell most first; how many a catalog has changes nothing then."""
    proposed: int = 2048
    """Products proposed whose own words are all weighed where not all postings were read. With 30,000 postings the right one
    is among the candidates as often as when all are read: docs/decisions/24-index.md."""


@dataclass(frozen=True)
class LookParameters:
    """What of a photo that is asked about is embedded beside the whole of it (packsight.worker.pipeline.middle)."""

    middle: float = 0.6
    """Share of its sides, around its centre. Measured, with others: docs/decisions/15-two-looks.md."""


@dataclass(frozen=True)
class EvidenceParameters:
    """What speaks for and against each candidate (packsight.shared.matching.evidence)."""

    word_letters: int = 4
    """Letters from which a word that the catalog does not know is taken for a word, not for a scrap."""
    mass_half: float = 1.0
    """Mass of words explained, in words that only one product has, at which `word_mass` is a half."""
    unread_words: float = 0.5
    """Added to all that was read where `word_lead` is a share of it, in words that only one product has. With 1 instead of 0.5 as
    many are matched (docs/decisions/40-cut-off-words.md)."""
    surely_seen: float = 0.5
    """Share of a product's photos that show a word from which its absence begins to count in `replaced_words`."""
    outweighed: float = 0.9
    """Part of what words say against a candidate that is taken back where its `surplus` is 1 and its print contradicts nothing:
    stylised titles are misread, or not read, where the print itself agrees. With sets left out one by one, and words of the name
    that were missed at their full weight, 0.92 of boxed films are matched and right instead of 0.96 from the same confidence on,
    of bottles and cartons as many."""
    replaced_full: float = 2.0
    """Words replaced, in words that only one product has, at which `replaced_words` is 1: one may be a misreading."""


@dataclass(frozen=True)
class SpreadParameters:
    """Which key points of a photo are worth most (packsight.shared.matching.worthiest).

    What was measured: docs/decisions/27-bytes-of-a-photo.md.
    """

    place: float = 0.02
    """Share of a photo's sides within which two key points may be the same blob, seen in two copies of it: pixels of the smallest
    copy are a quarter of that. With 0.01 and 0.03 as many photos are matched."""
    alike: float = 0.9
    """Cosine from which on their descriptors say so; 0.8 does as well. Without, directions of one blob are lost with its copies:
    of 317 photos 272 were matched instead of 276."""


@dataclass(frozen=True)
class VoteParameters:
    """Which products the key points vote for (packsight.shared.matching.votes)."""

    large: int = 10_000_000
    """Key points of a catalog beyond which only some of a photo vote: 33,000 photos of 300. Below, all 400 do: probabilities hold
    a little better then."""
    voters: int = 200
    """Those worth most, which vote then: a third faster, and better where a catalog keeps few points of each photo
    (docs/decisions/12-details-first.md)."""
    neighbours: int = 11
    """Nearest points of the catalog that each point of a photo looks at, the last of which says how near chance comes:
    10 and one, as McCann & Lowe (2012)."""
    spare: int = 20
    """Neighbours looked at beyond that when a photo or product is left out, whose points take places."""
    prominence: float = 0.3
    """Standard deviation, in sides of the photo, of the bell around its middle by which points count: people put what they
    ask about there. From 0.2 to 0.4 all does equally well, and better than without."""
    candidates: int = 6
    """Products with the most votes that become candidates, and are laid over the photo by the pairs of points that voted. With 5
    and with 8, sets left out one by one are answered alike."""
    half: float = 0.05
    """Votes, in units of a descriptor's squared length, that count as none: a photo of no product gives as many to several."""
    floor: int = 8
    """Rank of the votes that show what chance gives in this catalog."""


@dataclass(frozen=True)
class GeometryParameters:
    """When two photos show the same flat print (packsight.shared.matching.geometry)."""

    ratio: float = 0.85
    """Of the distances to the nearest and the next descriptor below which a pair counts; Lowe (2004) used 0.8."""
    reprojection: float = 0.015
    """How far an inlier may lie from where the homography puts it, as a share of the query's sides."""
    elsewhere: float = 0.03
    """How far, as a share of a photo's sides, the next descriptor must lie to be another place: one place is described at
    several scales."""
    min_inliers: int = 8
    """Twice what a homography needs; with fewer it says nothing."""
    max_iterations: int = 500
    """Samples drawn at most, which bounds the time: likeliest pairs first, 292 of 316 labelled photos lie under their own
    product's; 294 with 1,000 at 1.5 times the price, 277 where pairs are drawn without order."""
    min_turn: float = 1e-3
    """Area that two neighbouring sides of a laid photo span at least: less is folded, mirrored or shrunk to nothing."""
    hull_growth: float = 1.1
    """How much the hull of the inliers is grown, since a print reaches beyond its last key point."""


@dataclass(frozen=True)
class ColourParameters:
    """Colours of packs laid over each other (packsight.shared.matching.colours)."""

    side: int = 64
    """Pixels; thumbnails are squeezed to a square, in which positions are shares of width and height. With 96, sets left out one
    by one are answered no better, for 2.25 times the pixels."""
    blur: float = 1.0
    """Standard deviation in pixels by which colours are blurred, for what the homography misses by."""
    min_covered: float = 0.02
    """Share of the query that a photo must cover to be compared."""
    far: float = 40.0
    """Difference in CIE Lab (ΔE, CIE 1976) from which colours have nothing in common."""
    near: float = 8.0
    """ΔE up to which two candidates' colours do not differ: light and camera explain as much."""
    step: int = 2
    """Every second pixel is enough to fit the light: the blur makes neighbours alike."""
    rounds: int = 3
    """Fits of the light, each to the better half of the pixels."""
    gain: tuple[float, float] = (0.5, 2.0)
    """Least and greatest factor between the light of two photos."""
    min_difference: float = 1.0
    """Sum of ΔE above `near` from which two candidates are compared at all."""
    prior_area: float = 0.01
    """Share of the square in which candidates are held to differ by `far` without telling anything, so that a few pixels
    decide little."""


@dataclass(frozen=True)
class CloseParameters:
    """How the few best candidates are laid over the photo and compared (packsight.shared.matching.close)."""

    voted: int = 3
    """Candidates laid over the photo by all key points: those that these vote for most. With 8 of them, 4 `likely` ones and two
    photos of each, a question costs half as much again. Of sets left out one by one, 0.57 of cartons are matched and right then
    instead of 0.50 (precision 0.90 and 0.88), 0.89 of drawn packs instead of 0.98, of all others as many."""
    likely: int = 3
    """Candidates laid over it beside those: the likeliest without it."""
    kin: int = 3
    """Products most like a candidate that are looked at: one of them may be left out."""
    full_inliers: int = 100
    """Key points in agreement at which `inliers` is 1."""
    hull_share: float = 0.5
    """Share of the most inliers of any candidate from which a photo helps to say where the print is."""
    distinctive_half: float = 0.25
    """Added to the sum of distinctive words read, so that a faint one alone is not all of them."""
    missing_half: float = 1.0
    """Sum of distinctive words missed at which their evidence is a half."""
    contradicting_half: float = 0.1
    """Sure words that stand where another one should, at which the print contradicts by half. Above 0.3 are 1 to 2 of 100 right
    products on photos of boxed films, bottles, cartons and cosmetics, and 20 to 60 of those that key points take for them."""


@dataclass(frozen=True)
class CutOffParameters:
    """Words of which the beginning or the end was not read (packsight.shared.matching.cut_off)."""

    letters: int = 3
    """Of a word that must be left; with 4, two photos of 317 fewer were matched (docs/decisions/40-cut-off-words.md)."""
    share: float = 0.5
    """Of its letters, those that must be left. Nothing below was tried."""
    off: float = 0.15
    """Of the length of a line, by which a part may begin or end elsewhere than its letters would: `rose` in the middle of where
    `dogrose` stands begins 0.2 before its end does. With 0.25 photos of four sets are answered alike."""


@dataclass(frozen=True)
class RegionParameters:
    """Where on a photo a product is (packsight.shared.matching.region)."""

    telling: float = 0.5
    """Of the word that speaks most for a product, what another one must reach for its line to be a part of the pack."""


@dataclass(frozen=True)
class SeveralParameters:
    """How several products are found on one photo (packsight.worker.pipeline.several)."""

    growth: float = 1.1
    """How much the place of a pack is grown before it is looked at, since print reaches beyond key points: with 1.25 more of its
    neighbours comes in, and a tenth less of drawn packs is told from its siblings."""
    further: int = 3
    """Places looked at beyond the number of products wanted: of packs that the catalog lacks, or that stay undecided."""


@dataclass(frozen=True)
class DecisionParameters:
    """What a ranking means (packsight.shared.matching.decision); thresholds of confidence are fitted for each version."""

    no_match: float = 0.5
    """Probability of none of the products above which the answer is `no_match`: likelier than all of them together."""
    overruled: float = 0.5
    """Contradiction from which details decide nothing. With two lines cut out, 3 of 153 photos that they decide rightly in four
    sets go on to the networks by it, and one of two that they decide wrongly."""
    seen: float = 0.5
    """How surely a word is to be seen, and how surely it was read, to count as expected and as read."""


@dataclass(frozen=True)
class BarcodeParameters:
    """How barcodes are read on a photo, and what one says of its product (packsight.shared.catalog.barcodes)."""

    cell: int = 12
    """Pixels of the squares by which regions of parallel bars are sought: a few cover the smallest symbol that is legible."""
    magnitude: float = 10.0
    """Mean gradient of a cell in grey levels from which it may belong to bars. It is not the mean square that counts, in which
    the outline of a logo outdoes a field of fine bars."""
    coherence: float = 0.7
    """Of a cell's gradients, 0 to 1, from which they are parallel."""
    least_cells: int = 8
    """Of a region that is looked at."""
    regions: int = 3
    """Looked at per photo, the most striking: with 2 one reading of 172 is lost, with 4 one more is won (drawn photos)."""
    margin: int = 40
    """Pixels added at both ends of the bars, since a reader wants to see blank paper beside them."""
    strip: int = 200
    """Pixels along the bars that are read at most, around their middle."""
    enlarged: float = 2.0
    """Times as large as on the photo, so that turning bars of one pixel doesn't blur them; with 1 a tenth less is read."""
    longest: int = 1000
    """Pixels across the bars, above which they are enlarged less."""
    unsharp: float = 1.0
    """How much of the difference to a blurred copy is added: with 0 a sixth less is read, with 1.5 a fiftieth more, but
    four wrong numbers beside 170 right ones instead of one (drawn photos)."""
    unsharp_radius: float = 2.0
    """Standard deviation of that blur in pixels of the enlarged strip."""
    readings: int = 2
    """Times that a UPC-E must be read: read once, 5 of 200 were other numbers, read twice none of 150 (drawn photos)."""
    reduced: float = 0.6
    """Scale of the copy on which a UPC-E that was read on the photo as it stands is read again."""
    confidence: float = 0.998
    """Of the product that alone has the code: on 2,399 photos no number was read that a shop may list beside the right one,
    which bounds the share at 0.13 %."""
    most_products: int = 8
    """Products that may share a code; one that more have was filled in for want of a real one."""


@dataclass(frozen=True)
class TellingParameters:
    """Which lines are read of a photo that key points do not decide (packsight.shared.matching.telling)."""

    likely: float = 0.05
    """Share of the first product's probability from which others may be meant too."""
    products: int = 5
    """Products among which lines must tell, the likeliest."""
    photos: int = 3
    """Of those, how many say where lines are."""
    together: float = 0.5
    """Probability that it is one of those products below which no line is looked for: a search of all text is needed then."""
    lines: int = 4
    """Lines read at most: a fifth of what a search of all text finds, and nothing to be searched."""
    checked: int = 2
    """The same where details decide: the name, which a product that is not listed has not. Four would find the other wrong one
    too, for 5 right ones that go on and twice the price."""
    unnamed: float = 0.01
    """What a word counts that the feed's name does not have: lines of small print are read where no name stands."""
    shared: float = 0.1
    """What a word counts that all of those products have: that it is one of them is to be read too."""
    margin: float = 0.02
    """Of the photo's sides by which a line may stick out."""
    growth: float = 1.1
    """Times a line's box that is cut out: a photo never lies over another to the pixel."""


@dataclass(frozen=True)
class SightParameters:
    """Whether a product could have been seen on a photo (packsight.shared.matching.sight)."""

    word: int = 5
    """Letters and digits read surely from which a good picture could be read: a label may show its brand alone."""
    letters: int = 20
    """The same of a poor picture: of listed products on spoilt photos it is hardly ever as many (python -m bench.unseen)."""
    surely: float = 0.8
    """Confidence of a line from which its letters count: what is seen in a blur is read with less."""
    small: int = 128
    """Pixels of the shorter side below which there are too few to tell siblings apart: at 96, half of the lines are lost."""
    few: float = 0.02
    """Share of the thumbnail's pixels that may be brighter than its light and darker than its shade, or edges stranger."""
    dark: float = 60.0
    """Grey level that nearly all of the thumbnail is darker than when it is too dark."""
    bright: float = 240.0
    """Grey level that most of the thumbnail is brighter than when it is overexposed, as it is before a white ground too."""
    veiled: float = 150.0
    """Grey level that nearly all of it is brighter than then: before a white ground, print and shadows are darker."""
    contrast: float = 30.0
    """Grey levels between shade and light from which there are edges whose sharpness can be judged."""
    sharp: float = 0.2
    """Sharpness of the thumbnail's edges below which the photo is blurred."""


@dataclass(frozen=True)
class MatchingParameters:
    """All that decides between a photo and its answer, beside the rules of words."""

    barcodes: BarcodeParameters = BarcodeParameters()
    candidates: CandidateParameters = CandidateParameters()
    looks: LookParameters = LookParameters()
    spread: SpreadParameters = SpreadParameters()
    votes: VoteParameters = VoteParameters()
    evidence: EvidenceParameters = EvidenceParameters()
    geometry: GeometryParameters = GeometryParameters()
    colours: ColourParameters = ColourParameters()
    close: CloseParameters = CloseParameters()
    cut_off: CutOffParameters = CutOffParameters()
    region: RegionParameters = RegionParameters()
    several: SeveralParameters = SeveralParameters()
    decision: DecisionParameters = DecisionParameters()
    sight: SightParameters = SightParameters()
    telling: TellingParameters = TellingParameters()


@dataclass(frozen=True)
class ExplanationParameters:
    """How much of the evidence an answer shows (packsight.shared.matching.explain); decides nothing, so enters no name."""

    words: int = 12
    """Words read that are listed per candidate, the most telling first."""
    missing_words: int = 5
    """Words expected but not read that are listed."""
    read: float = 0.5
    """How surely a word was read, from which it is not missing."""
    expected: float = 0.5
    """How surely a word is to be seen from which its absence is worth telling."""
    rivals: int = 2
    """Candidates that the sentence names beside the first."""
    rival_share: float = 0.1
    """Part of the first candidate's confidence from which another is named."""
    told: int = 3
    """Words that the sentence quotes for the first candidate."""
    told_apart: int = 2
    """Words that it quotes for each of several, and against a product."""
    surely_read: float = 0.8
    """Confidence from which a word is quoted against products, or looked for on a pack: one that was misread stands on none."""
    contradicted: float = 0.3
    """Sure words from which print is said to contradict."""
    little: float = 0.5
    """Share of a product's photo below which it is said that only so much lies over what is asked."""


DETAILS = DetailParameters()
WORDS = WordParameters()
MATCHING = MatchingParameters()
EXPLANATION = ExplanationParameters()
