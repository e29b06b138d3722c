"""Every number by which a version is built from its photos and words, as values; they name the fit.

What a worker must share with the version stands in packsight.shared.parameters. Where a reason names neither a source nor a
measurement, the number was chosen by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from packsight.shared.catalog.decision_model import Model, Stage


@dataclass(frozen=True)
class IndexParameters:
    """When the index is approximate, and how exact it must be then (packsight.indexer.build.index)."""

    exact_photos: int = 200_000
    """Photos up to which every vector is compared: some 10 ms per query on one core."""
    lists_per_root: int = 4
    """Lists ÷ √photos: the lower end of what Faiss's guide to choosing an index gives."""
    trained_per_list: int = 64
    """Vectors that the lists are found with, per list: Faiss asks for 39 at least and uses 256 at most."""
    probes: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Lists visited per query, tried in this order."""
    recall: float = 0.99
    """Share of sampled photos whose nearest other photo the approximate index must find."""
    sample: int = 1000
    """Photos sampled to measure that."""


@dataclass(frozen=True)
class ProjectionParameters:
    """From raw embeddings to vectors (packsight.indexer.build.projection)."""

    min_photos: int = 16
    """Photos below which nothing is learned."""
    max_photos: int = 20_000
    """Photos that a projection is fitted on at most, evenly spread."""
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
    """Photos left out, augmented and changed to learn from (packsight.indexer.build.examples)."""

    max_photos: int = 600
    """Photos asked at most, evenly spread over the catalog, which bounds the time of a build."""
    folds: int = 10
    """Parts in which photos are left out of the projection."""
    max_refitted: int = 1000
    """Photos up to which the projection is fitted without those asked; in larger catalogs one photo moves it by nothing."""
    augmented_similarity: tuple[float, float] = (0.0, 0.9)
    """Range of the cosine between an augmented copy's vector and the photo's: photos taken elsewhere may hardly look alike."""
    lost_words: float = 0.4
    """Chance that a word of an augmented copy is not read."""
    misread_words: float = 0.15
    """Chance that one that is read has a letter misread."""
    misread_from: int = 4
    """Letters from which a word is misread."""
    kept_points: tuple[float, float] = (0.2, 1.0)
    """Range of the share of key points that an augmented copy keeps."""
    sibling_every: int = 4
    """One photo in so many is asked as a sibling that is not listed."""
    sibling_similarity: tuple[float, float] = (0.3, 0.9)
    """Range of the cosine between a sibling's vector and the photo's."""
    changed_words: float = 0.8
    """Chance that a word of the name is another on a sibling's pack."""
    least_changed: int = 2
    """Words of the name that are others at least: one could be a misreading."""


@dataclass(frozen=True)
class WeightParameters:
    """Weights of the evidence (packsight.indexer.build.fit and logit)."""

    spread: float = 2.0
    """Standard deviation of the normal prior of each weight; no fit changes a weight's sign."""
    max_iterations: int = 300
    """Of L-BFGS-B."""
    candidates: int = 24
    """Candidates of an example that take part in the fit, the likeliest by the prior."""
    parts: int = 5
    """Parts of the catalog's products for cross-fitting."""
    reranked: int = 600
    """Doubtful examples that are reranked at most, those of photos drawn by lot, which bounds the time of a build."""
    absent: float = 0.15
    """Photos of products that are not listed, per photo of one that is: what the threshold must hold for."""
    everyday: float = 0.075
    """The same on an ordinary day, by which confidences are fitted: half of what thresholds must withstand."""
    likely: float = 0.5
    """Share of a first candidate from which it teaches the first stage's curve; others are not answered without reranking."""
    margin: float = 1e-3
    """Loss by which other weights must beat the fitted ones, whose answers come from weights that have seen a fifth less."""


@dataclass(frozen=True)
class CalibrationParameters:
    """Confidence curves and thresholds (packsight.indexer.build.calibration)."""

    precision: float = 0.98
    """Estimated precision of `matched` answers."""
    prior_answers: float = 5.0
    """Answers that the estimate of a threshold's precision starts from, as right as the model itself says."""
    min_threshold: float = 0.5
    """Confidence below which nothing is matched, however right it was."""
    rivals: float = 10.0
    """Products that share what confidence a wrong first candidate leaves, when models are compared."""
    slope_pull: float = 2.0
    """How strongly a curve's slope is drawn towards 1."""
    offset_pull: float = 0.5
    """How strongly its offset is drawn towards 0."""
    slopes: tuple[float, float] = (0.1, 5.0)
    """Bounds of the slope."""
    offsets: tuple[float, float] = (-5.0, 5.0)
    """Bounds of the offset."""


@dataclass(frozen=True)
class FitParameters:
    """All that decides what a version learns from its photos."""

    index: IndexParameters = IndexParameters()
    projection: ProjectionParameters = ProjectionParameters()
    examples: ExampleParameters = ExampleParameters()
    weights: WeightParameters = WeightParameters()
    calibration: CalibrationParameters = CalibrationParameters()
    local_bytes: int = 4_000_000_000
    """Room for all descriptors of a version; large catalogs keep fewer of each photo, the strongest."""
    min_points: int = 32
    """Key points kept of a photo, whatever the room."""


FIT = FitParameters()

PRIOR = Model(
    first_stage=Stage(
        weights={
            "bias": -5.0,
            "appearance": 5.0,
            "appearance_lead": 0.5,
            "word_share": 3.0,
            "word_mass": 2.5,
            "word_lead": 2.0,
            "coverage": 2.5,
            "name": 2.5,
            "rival_name": -1.5,
            "brand": 0.2,
            "rival_brand": -1.5,
            "unknown_words": -2.0,
            "replaced_words": -3.0,
        }
    ),
    rerank=Stage(
        weights={
            "first_stage": 0.8,
            "bias": 0.0,
            "inliers": 1.0,
            "alignment": 1.0,
            "colour": 0.5,
            "colour_lead": 8.0,
            "distinctive_words": 1.0,
            "distinctive_missing": -2.0,
            "distinctive_unseen": -0.5,
        }
    ),
    matched=0.9,
    sure=0.95,
)
"""What is believed before a catalog has shown anything, chosen by hand: every fit is drawn towards it, and without photos it
stands alone."""
