"""Every number by which a version is built from its photos and words, as values; they name the fit.

What a worker must share with the version stands in packsight.shared.parameters. Where a reason names neither a source nor a
measurement, the number was chosen by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from packsight.indexer.made.parameters import MADE, MadeParameters


@dataclass(frozen=True)
class IndexParameters:
    """When the index is approximate, and how exact it must be then (packsight.indexer.build.index)."""

    exact_photos: int = 20_000
    """Photos up to which every vector is compared: a tenth of a millisecond a query then, and
    nothing to be learned or missed."""
    lists_per_root: int = 8
    """Lists ÷ √photos, of the 4 to 16 that Faiss's guide to choosing an index gives. Among 100,000 invented photos 4 find 0.99
    with 48 lists visited in 1.5 ms for a batch of 16, 8 with eight in 0.7."""
    trained_per_list: int = 40
    """Vectors that the lists are found with, per list: Faiss asks for 39 at least, and 64 find no more photos."""
    rounds: int = 10
    """Of k-means, Faiss's own default: more move the lists hardly."""
    probes: tuple[int, ...] = tuple(dict.fromkeys(round(1.12**step) for step in range(50)))
    """Lists visited per query, of which the fewest that find enough are sought: 1 to 258, each an eighth more than the one before
    at most where they are many."""
    recall: float = 0.9925
    """Share of photos like those of customers whose nearest photo it must find first. 0.99 is wanted of theirs; a quarter of what
    may be missed is left to what sets them apart from those that are made up to ask."""
    sample: int = 4000
    """Photos asked to measure that: at a share of 0.9925 one standard deviation is 0.0014 then."""
    least: float = 0.99
    """Share of them that the index of a later version must find; lists and centroids are learned anew where it does not."""
    sample_later: int = 1000
    """Photos asked to measure that, which every version that adds photos does, while an epoch's first one alone asks so many."""
    sureness: float = 1.64
    """Standard deviations by which what was measured must lie above it: 95 % sure, on one side."""


@dataclass(frozen=True)
class DetailIndexParameters:
    """How key points are compressed (packsight.indexer.build.detail_index)."""

    exact_points: int = 20_000
    """Points below which each is compared: 33 photos, some 10 ms a query."""
    dimension: int = 64
    """Of descriptors after the PCA."""
    bytes: int = 16
    """Of a code, two parts of four bits in each. With 64 dimensions and 16 bytes, votes find as much as with whole descriptors;
    parts of eight bits find no more, at three times the time of a search and ten times that of learning them."""
    lists_per_root: float = 1.0
    """Lists ÷ √points: a quarter of what Faiss's guide to choosing an index gives, since codes of four bits are read faster than
    lists are found."""
    probes: int = 8
    """Lists visited per point: with 4, one photo of 180 is lost (boxed films among 652 photos), with 2 two."""
    trained_per_list: int = 64
    """Points that the lists are found with, per list: Faiss asks for 39 at least."""
    rounds: int = 5
    """Of k-means: more move the lists hardly."""


@dataclass(frozen=True)
class ProjectionParameters:
    """From raw embeddings to vectors (packsight.indexer.build.projection)."""

    min_photos: int = 16
    """Photos below which nothing is learned."""
    max_photos: int = 20_000
    """Photos that a projection is fitted on, and its sizes are compared among, at most: twenty for each of the 1024 values whose
    covariance is estimated, and a hundred times the 200 strips in which siblings stay together."""
    shrinkage: float = 0.1
    """How far eigenvalues are drawn towards their mean."""
    min_variance: float = 1e-9
    """Share of the largest variance below which a direction is none."""
    dimensions: tuple[int, ...] = (32, 64, 128)
    """Sizes that are tried."""
    usual_dimension: int = 64
    """Where no product has two photos, so that nothing can be measured."""
    worth: float = 0.01
    """Mean reciprocal rank that must be gained to double the vectors."""
    max_asked: int = 500
    """Photos that judge the sizes at most."""
    folds: int = 4
    """Parts in which they are left out."""


@dataclass(frozen=True)
class ExampleParameters:
    """Photos left out to learn from (packsight.indexer.build.examples)."""

    max_photos: int = 300
    """Photos asked at most, evenly spread over the catalog, which bounds the time of a build."""
    folds: int = 10
    """Parts in which photos are left out of the projection."""
    max_refitted: int = 1000
    """Photos up to which the projection is fitted without those asked; in larger catalogs one photo moves it by nothing."""


@dataclass(frozen=True)
class WeightParameters:
    """Weights of the evidence (packsight.indexer.build.fit, logit and training_set)."""

    spread: float = 0.2
    """Standard deviation of the normal prior of each weight around what several catalogs together say: photos taken by one
    shop show less of the world than those."""
    prior_spread: float = 2.0
    """The same of the weights that are fitted on several catalogs, around 0; chosen by hand, 1.5 and 3 differ little."""
    max_iterations: int = 500
    """Of L-BFGS-B."""
    candidates: int = 24
    """Candidates of an example that take part in the fit, the likeliest."""
    parts: int = 5
    """Parts of the catalog's products for cross-fitting."""
    absent: float = 0.15
    """Photos of products that are not listed, per photo of one that is."""
    margin: float = 1e-3
    """Loss by which fitted weights must beat the prior."""


@dataclass(frozen=True)
class CalibrationParameters:
    """Thresholds (packsight.indexer.build.calibration)."""

    precision: float = 0.98
    """Estimated precision of `matched` answers."""
    early_precision: float = 0.99
    """The same of answers by details alone: what ends the work must be what asking everything would say."""
    read_precision: float = 0.995
    """The same of answers by all evidence that end the reading: with lines unread, what was read is a part only."""
    significance: float = 0.05
    """Probability of as many wrong answers as a catalog's own photos give below which they raise its threshold."""
    least_sure: float = 0.95
    """Probability below which neither details nor a part of all lines end the work early."""
    least_told: float = 0.93
    """The same of the lines that tell, when the whole name was read. With sets left out one by one, all 219 photos that they
    decide so are answered rightly, and none of 485 whose product was left out is taken for another; from 0.9 on one is, from
    0.8 on four."""
    prior_answers: float = 5.0
    """Answers that the estimate of a threshold's precision starts from: as precise as wanted, or as the model itself says if
    that is more."""
    min_threshold: float = 0.8
    """Confidence below which nothing is matched, however right it was. Chosen by hand after a set of cartons that are all
    siblings was left out: what the others allowed there, 0.5, was right in 0.90 only."""
    rivals: float = 10.0
    """Products that share what confidence a wrong first candidate leaves, when models are compared."""


@dataclass(frozen=True)
class FitParameters:
    """All that decides what a version learns from its photos."""

    index: IndexParameters = IndexParameters()
    details: DetailIndexParameters = DetailIndexParameters()
    projection: ProjectionParameters = ProjectionParameters()
    examples: ExampleParameters = ExampleParameters()
    weights: WeightParameters = WeightParameters()
    calibration: CalibrationParameters = CalibrationParameters()
    made: MadeParameters = MADE
    points: int = 300
    """Key points kept of a photo, spread over it: as many photos are matched rightly as by 400 of them, or by the 600 strongest
    at twice the bytes."""
    local_bytes: int = 2_400_000_000
    """Room for all key points of a version, those of the index too: 40 million, in catalogs of more than 133,000 photos fewer of
    each. Votes among 30 million cost a tenth of what the networks do, and the index is built in memory."""
    min_points: int = 32
    """Key points kept of a photo, whatever the room."""
    thumbnail_quality: int = 85
    """Of a version's JPEGs, whose colours keep their full resolution: some 1,900 bytes on photos of packs. WebP needs 1,300,
    halves that resolution and answers one of 317 photos otherwise."""


FIT = FitParameters()


@dataclass(frozen=True)
class RowParameters:
    """When rows are written again, and what they are made by is learned again (packsight.indexer.build.segments and epoch).

    None of it changes what a version learns from given photos, so that it is no part of the fit's name.
    """

    gone: float = 0.25
    """Share of a segment's rows from which on those that are left go into another. A version weighs a third more than its photos
    at most, and a row that is gone costs three that are written again at most."""
    fan: int = 4
    """Segments of like size that become one; sizes are alike within as great a factor. Each segment takes votes 2 ms or 3: in
    three hundred versions of 200 photos more, 20,000 at first, there are five on the average and nine at most. With six they
    would be seven and twelve, and 1.9 % sent instead of 2.3 (`docs/decisions/28-segments.md`)."""
    smallest: float = 1 / 128
    """Share of the catalog below which all sizes are alike: what so few rows weigh is little more than what each version has of
    its own. With a fan of four that makes three sizes below the half, nine segments and the largest at most."""
    added: float = 1.0
    """Photos that may come in an epoch, per photo that it was learned among. A catalog that grows is sent whole whenever it has
    doubled, so that each photo is sent twice more at most."""
    left: float = 0.5
    """Photos that must be left, as a share of those it was learned among: number of lists and room for key points follow from how
    many there are."""


ROWS = RowParameters()
