"""What counts in a decision, by name: a version has a weight for each, and the matching computes each."""

from __future__ import annotations

VOTES = ("votes", "vote_rise", "vote_lead")
"""Of key points over the whole catalog; see packsight.shared.matching.close, as for the next."""
LAID = ("inliers", "alignment", "inlier_lead", "span", "area", "off_centre", "colour", "colour_lead", "surplus")
"""Of a candidate's photo laid over the query."""
WORDS = (
    "word_share", "word_mass", "word_lead", "coverage", "name", "rival_name", "brand", "rival_brand", "unknown_words",
    "replaced_words", "distinctive_words", "distinctive_missing", "distinctive_unseen", "unread", "contradicted",
)  # fmt: skip
"""Of words; see packsight.shared.matching.evidence."""
APPEARANCE = ("appearance", "appearance_lead")

DETAILS = ("bias", *VOTES, *LAID)
"""Evidence that is known of a photo before any network has seen it."""
LINES = (*DETAILS, *WORDS)
"""The same with the words of the few lines that tell: nothing is known of its looks, and little of its words."""
FULL = (*DETAILS, *APPEARANCE, *WORDS)
"""All of it."""
STAGES = {"details": DETAILS, "lines": LINES, "full": FULL}
"""What is known at each stage of a decision, in their order."""
CONTRARY = ("rival_name", "rival_brand", "unknown_words", "replaced_words", "distinctive_missing")
"""Words that speak against a candidate, and less so where the print itself agrees."""
AGREEING = ("vote_lead", "inlier_lead", "surplus")
"""What key points say for a candidate before all others, which is taken back as far as its print contradicts."""
AGAINST = frozenset({
    "rival_name", "rival_brand", "unknown_words", "replaced_words", "distinctive_missing", "distinctive_unseen", "contradicted",
    "off_centre",
})  # fmt: skip
"""Evidence that never speaks for a candidate; all other never speaks against one, but the bias, which may do either."""


def bounds(names: tuple[str, ...]) -> list[tuple[float | None, float | None]]:
    """The sign that each weight must keep, so that a further word or key point for one candidate never lowers it."""
    return [(None, None) if name == "bias" else (None, 0.0) if name in AGAINST else (0.0, None) for name in names]
