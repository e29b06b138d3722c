"""`python -m bench.prior DATA`: fit the prior that every catalog's weights start from, on several catalogs together.

DATA is a folder of sets as for bench.sets; the drawn shop joins them, once with all its catalog photos and once with one of each
product. No set weighs more than some others, however many photos it has. Each set is judged by a prior fitted without it, which
is written beside the one fitted on all, so that bench.sets can serve it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import faiss
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench.described import Question, described, opened
from bench.photos import demo, demo_of_one_photo
from bench.sets import sets_in
from packsight.indexer.build.calibration import Answers, threshold
from packsight.indexer.build.fit import answers, stage
from packsight.indexer.build.logit import fit_weights
from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.training_set import BoolArray, TrainingSet, training_set
from packsight.shared.catalog.decision_model import Model, Stage
from packsight.shared.catalog.evidence import DETAILS, FULL
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.matcher import rank, rank_by_details
from packsight.shared.settings import Settings
from packsight.worker.networks.load import load_embedder, load_spotter

SILENT = 0.2
"""Weight of a photo without its words, and of one without its key points, in the fit of all evidence. With sets left out one by
one, 0, 0.1, 0.2 and 0.3 give a calibration error of 0.053, 0.041, 0.039 and 0.037 over all photos."""
PHOTOS = 60
"""Photos that a set weighs at most, so that none decides alone."""
START = PRIOR.model_copy(
    update={
        name: Stage(weights={one: getattr(PRIOR, name).weights.get(one, 0.0) for one in names})
        for name, names in (("details", DETAILS), ("full", FULL))
    }
)
"""Says which candidates are laid over a photo; 0 for evidence that the prior does not know yet."""
DRAWN = ("demo", "demo-one")
"""Sets that the project draws; they are trained on, and not shown among those left out."""


@dataclass(frozen=True)
class Sample:
    """Evidence of one set's questions at both stages.

    labelled: False where a listed product was left out; silent: all evidence of the same where a part of it was withheld.
    """

    details: TrainingSet
    full: TrainingSet
    labelled: BoolArray
    silent: TrainingSet
    silent_labelled: BoolArray


def main(
    data: Annotated[Path, typer.Argument(help="Folder of sets, each a folder with feed.xml, photos/ and labels.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for all.json and one prior without each set.")] = Path("bench-out/priors"),
    keep: Annotated[Path, typer.Option(help="Folder for what the networks saw.")] = Path("bench-out/described"),
) -> None:
    """Fit on all sets, and on all but each; print how each set is answered by the prior that has not seen it."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    models = Settings().models
    embedder, spotter = load_embedder(models, 1), load_spotter(models, 1)
    with tempfile.TemporaryDirectory(prefix="packsight-prior-") as folder:
        drawn = [make(Path(folder) / make.__name__) for make in (demo, demo_of_one_photo)]
        sets = described([*sets_in(data), *drawn], embedder, spotter, keep)
    names = [one.name for one in sets]
    # Which candidates are laid over a photo depends on the weights before, hardly on which: a second run would change little.
    samples = dict(zip(names, (sample(*one) for one in opened(sets, START)), strict=True))
    prior = fit(samples)
    table = Table("left out", "photos", "right first", "automation", "precision", "matched though absent", "by details")
    out.mkdir(parents=True, exist_ok=True)
    (out / "all.json").write_text(prior.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for name in names:
        if name not in DRAWN:
            without = fit({other: one for other, one in samples.items() if other != name})
            (out / f"{name}.json").write_text(without.model_dump_json(indent=1) + "\n", encoding="utf-8")
            table.add_row(name, *judged(samples[name], without))
    Console(width=120).print(table)


def sample(snapshot: Snapshot, questions: Sequence[Question]) -> Sample:
    """Ask all questions at both stages; those of which a part was withheld when everything is asked only."""
    whole, silent = ([one for one in questions if one.whole is kept] for kept in (True, False))
    return Sample(
        details=_asked(snapshot, whole, DETAILS),
        full=_asked(snapshot, whole, FULL),
        labelled=np.array([one.labelled for one in whole]),
        silent=_asked(snapshot, silent, FULL),
        silent_labelled=np.array([one.labelled for one in silent]),
    )


def _asked(snapshot: Snapshot, questions: Sequence[Question], names: tuple[str, ...]) -> TrainingSet:
    ask = rank_by_details if names is DETAILS else rank
    rankings = [ask(one.query, snapshot, exclusion=one.exclusion) for one in questions]
    return training_set(rankings, [one.truth for one in questions], [max(one.product, 0) for one in questions], names)


def fit(samples: Mapping[str, Sample]) -> Model:
    """Weights and thresholds for several sets together."""
    rules, calibration, sets = FIT.weights, FIT.calibration, list(samples.values())
    details = [_weighed(one.details, one.labelled) for one in sets]
    full = [_weighed(one.full, one.labelled) for one in sets]
    full += [_weighed(one.silent, one.silent_labelled, SILENT) for one in sets]
    weights = {
        name: stage(names, fit_weights(examples, names, np.zeros(len(names)), rules.prior_spread, rules))
        for name, names, examples in (("details", DETAILS, details), ("full", FULL, full))
    }
    model = Model(**weights, matched=1.0, sure=1.0, enough=1.0)
    by_details, by_all = (_joined([_answers(one, model, sure) for one in sets]) for sure in (0.0, np.inf))
    sure = max(threshold(by_details, calibration.early_precision, calibration), calibration.least_sure)
    enough = max(threshold(by_all, calibration.read_precision, calibration), calibration.least_sure)
    final = _joined([_answers(one, model, sure) for one in sets])
    matched = threshold(final, calibration.precision, calibration)
    return model.model_copy(update={"sure": sure, "enough": max(enough, matched), "matched": matched})


def judged(one: Sample, prior: Model) -> tuple[str, ...]:
    """What this prior makes of a set."""
    found = _answers(one, prior, sure=prior.sure)
    asked = one.labelled & found.listed
    matched = found.confidence >= prior.matched
    told, absent = one.labelled & matched, ~found.listed
    by_details = _answers(one, prior, sure=0.0).confidence >= prior.sure
    return (
        str(int(one.labelled.sum())),
        f"{found.right[asked].mean():.3f}",
        f"{(found.right & told)[asked].mean():.3f}",
        f"{found.right[told].mean():.3f}" if told.any() else "–",
        f"{int((absent & told).sum())} of {int((absent & one.labelled).sum())}, left out "
        f"{int((absent & matched & ~one.labelled).sum())} of {int((absent & ~one.labelled).sum())}",
        f"{by_details[one.labelled].mean():.2f}",
    )


def _answers(one: Sample, model: Model, sure: float) -> Answers:
    weights = model.details.vector(DETAILS), model.full.vector(FULL)
    stages = one.details, _weighed(one.full, one.labelled)
    return answers(stages, [examples.shares(own)[0] for examples, own in zip(stages, weights, strict=True)], sure)


def _weighed(examples: TrainingSet, labelled: BoolArray, share: float = 1.0) -> TrainingSet:
    """No set as if it had more photos; a product left out stands for the few that are not listed."""
    weight = np.where(labelled, 1.0, FIT.weights.absent)
    return examples.weighed(weight * share * PHOTOS / max(PHOTOS, weight.sum()))


def _joined(parts: Sequence[Answers]) -> Answers:
    names = "confidence", "right", "listed", "weight"
    return Answers(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


if __name__ == "__main__":
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    typer.run(main)
