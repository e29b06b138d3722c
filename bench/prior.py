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

from bench import entry
from bench.described import Question, described, opened
from bench.photos import demo, demo_of_one_photo
from bench.sets import sets_in
from packsight.indexer.build.calibration import Answers, threshold
from packsight.indexer.build.fit import Stages, answered_at, answers, ask, shares_by, stage, training_sets
from packsight.indexer.build.logit import fit_weights
from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.training_set import BoolArray, TrainingSet, training_set
from packsight.shared.catalog.decision_model import Model, Stage
from packsight.shared.catalog.evidence import FULL, STAGES
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.stages import rank_by_all
from packsight.shared.settings import Settings
from packsight.worker.networks.load import load_embedder, load_spotter

SILENT = 0.2
"""Weight of a photo without its words, and of one without its key points, in the fit of all evidence. With sets left out one by
one, 0, 0.1, 0.2 and 0.3 give a calibration error of 0.053, 0.041, 0.039 and 0.037 over all photos."""
PHOTOS = 60
"""Photos that a set weighs at most, so that none decides alone."""
START = PRIOR.model_copy(
    update={
        name: Stage(weights={one: PRIOR.stage(name).weights.get(one, 0.0) for one in names}) for name, names in STAGES.items()
    }
)
"""Says which candidates are laid over a photo; 0 for evidence that the prior does not know yet."""
DRAWN = ("demo", "demo-one")
"""Sets that the project draws; they are trained on, and not shown among those left out."""


@dataclass(frozen=True)
class Sample:
    """Evidence of one set's questions, by stage.

    labelled: False where a listed product was left out; silent: all evidence of the same where a part of it was withheld.
    """

    stages: Stages
    labelled: BoolArray
    silent: TrainingSet
    silent_labelled: BoolArray


def main(
    data: Annotated[Path, typer.Argument(help="Folder of sets, each a folder with feed.xml, photos/ and labels.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for all.json and one prior without each set.")] = Path("bench-out/priors"),
    keep: Annotated[Path, typer.Option(help="Folder for what the networks saw.")] = Path("bench-out/described"),
) -> None:
    """Fit on all sets, and on all but each; print how each set is answered by the prior that has not seen it."""
    given = sets_in(data)
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    models = Settings().models
    embedder, spotter = load_embedder(models, 1), load_spotter(models, 1)
    with tempfile.TemporaryDirectory(prefix="packsight-prior-") as folder:
        drawn = [make(Path(folder) / make.__name__) for make in (demo, demo_of_one_photo)]
        sets = described([*given, *drawn], embedder, spotter, keep)
    names = [one.name for one in sets]
    # Which candidates are laid over a photo depends on the weights before, hardly on which: a second run would change little.
    samples = dict(zip(names, (sample(*one) for one in opened(sets, START)), strict=True))
    prior = fit(samples)
    columns = "photos", "right first", "automation", "precision", "matched though absent", "by details", "by lines"
    table = Table("left out", *columns)
    out.mkdir(parents=True, exist_ok=True)
    (out / "all.json").write_text(prior.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for name in names:
        if name not in DRAWN:
            without = fit({other: one for other, one in samples.items() if other != name})
            (out / f"{name}.json").write_text(without.model_dump_json(indent=1) + "\n", encoding="utf-8")
            table.add_row(name, *judged(samples[name], without))
    Console(width=120).print(table)


def sample(snapshot: Snapshot, questions: Sequence[Question]) -> Sample:
    """Ask all questions at every stage; those of which a part was withheld when everything is asked only."""
    whole, silent = ([one for one in questions if one.whole is kept] for kept in (True, False))
    asked = [ask(one.query, snapshot, one.exclusion) for one in whole]
    withheld = [rank_by_all(one.query, snapshot, exclusion=one.exclusion) for one in silent]
    return Sample(
        stages=training_sets(asked, *_shown(whole)),
        labelled=np.array([one.labelled for one in whole]),
        silent=training_set(withheld, *_shown(silent), FULL),
        silent_labelled=np.array([one.labelled for one in silent]),
    )


def _shown(questions: Sequence[Question]) -> tuple[list[int | None], list[int]]:
    return [one.truth for one in questions], [max(one.product, 0) for one in questions]


def fit(samples: Mapping[str, Sample]) -> Model:
    """Weights and thresholds for several sets together."""
    rules, calibration, sets = FIT.weights, FIT.calibration, list(samples.values())
    examples = {name: [_weighed(one.stages[name], one.labelled) for one in sets] for name in STAGES}
    examples["full"] += [_weighed(one.silent, one.silent_labelled, SILENT) for one in sets]
    weights = {
        name: stage(names, fit_weights(examples[name], names, np.zeros(len(names)), rules.prior_spread, rules))
        for name, names in STAGES.items()
    }
    model = Model(**weights, matched=1.0, sure=1.0, told=1.0, enough=1.0)
    early = {
        name: max(threshold(_joined([_answers_at(at, one, model) for one in sets]), precision, calibration), least)
        for name, at, precision, least in (
            ("sure", "details", calibration.early_precision, calibration.least_sure),
            ("told", "lines", calibration.read_precision, calibration.least_told),
            ("enough", "full", calibration.read_precision, calibration.least_sure),
        )
    }
    final = _joined([_answers(one, model.model_copy(update=early)) for one in sets])
    matched = threshold(final, calibration.precision, calibration)
    return model.model_copy(update={"matched": matched, **{name: max(least, matched) for name, least in early.items()}})


def judged(one: Sample, prior: Model) -> tuple[str, ...]:
    """What this prior makes of a set."""
    found = _answers(one, prior)
    asked = one.labelled & found.listed
    matched = found.confidence >= prior.matched
    told, absent = one.labelled & matched, ~found.listed
    by_details, by_lines = (_answers_at(name, one, prior).confidence for name in ("details", "lines"))
    early = by_details >= prior.sure, (by_details < prior.sure) & (by_lines >= prior.told)
    return (
        str(int(one.labelled.sum())),
        f"{found.right[asked].mean():.3f}",
        f"{(found.right & told)[asked].mean():.3f}",
        f"{found.right[told].mean():.3f}" if told.any() else "–",
        f"{int((absent & told).sum())} of {int((absent & one.labelled).sum())}, left out "
        f"{int((absent & matched & ~one.labelled).sum())} of {int((absent & ~one.labelled).sum())}",
        *(f"{decided[one.labelled].mean():.2f}" for decided in early),
    )


def _answers(one: Sample, model: Model) -> Answers:
    stages = _judged_stages(one)
    return answers(stages, shares_by(model, stages), model)


def _answers_at(name: str, one: Sample, model: Model) -> Answers:
    stages = _judged_stages(one)
    return answered_at(name, stages, shares_by(model, stages))


def _judged_stages(one: Sample) -> Stages:
    return {name: _weighed(examples, one.labelled) for name, examples in one.stages.items()}


def _weighed(examples: TrainingSet, labelled: BoolArray, share: float = 1.0) -> TrainingSet:
    """No set as if it had more photos; a product left out stands for the few that are not listed."""
    weight = np.where(labelled, 1.0, FIT.weights.absent)
    return examples.weighed(weight * share * PHOTOS / max(PHOTOS, weight.sum()))


def _joined(parts: Sequence[Answers]) -> Answers:
    names = "confidence", "right", "listed", "weight"
    return Answers(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


if __name__ == "__main__":
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    entry.run(main)
