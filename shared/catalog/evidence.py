"""What counts in a decision, by name: a version has a weight for each, and the matching computes each."""

from __future__ import annotations

FIRST_STAGE = (
    "bias", "appearance", "appearance_lead", "word_share", "word_mass", "word_lead", "coverage", "name", "rival_name", "brand",
    "rival_brand", "unknown_words", "replaced_words",
)  # fmt: skip
"""Evidence for every candidate; packsight.shared.matching.evidence says what each is."""
RERANK = (
    "first_stage", "bias", "inliers", "alignment", "colour", "colour_lead", "distinctive_words", "distinctive_missing",
    "distinctive_unseen",
)  # fmt: skip
"""Evidence among the few candidates that are hard to tell apart; see packsight.shared.matching.rerank."""
