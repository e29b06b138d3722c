"""Try each network in int8 on the catalog's photos, and keep those that hold."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import cv2
import openvino as ov

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import Precision, Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.networks import embedders, quantised
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.load import load_spotter
from packsight.worker.networks.quantised import SideCar
from packsight.worker.networks.spotters import ppocr
from packsight.worker.networks.spotters.ppocr.spotter import PpOcrSpotter
from packsight.worker.process.cores import divide, usable_cores
from packsight.worker.quantise import convert
from packsight.worker.quantise.answers import Answers
from packsight.worker.quantise.candidates import Candidate, EmbedderCandidate, TextCandidate
from packsight.worker.quantise.examine import Examination
from packsight.worker.quantise.judge import Measure, speedup, verdict
from packsight.worker.quantise.material import Material, gather, labelled_shots, spread

TIMED = 8
"""Photos that speed is compared on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a network: sizes in bytes, times as fast, and what was measured."""

    car: SideCar
    before: int
    after: int
    speedup: float
    measures: list[Measure]


def run(
    config: Settings, catalog: str, count: int, labels: Path | None, root: Path | None, say: Callable[[str], None]
) -> list[Trial]:
    """Quantise the networks that the settings name, measure each, and publish what is found for all hosts.

    count: catalog photos to calibrate on at most, and as many to judge by.

    Raises UserError when NNCF, the catalog or photos are missing.
    """
    convert.nncf()
    embedders.refuse_contradictions(config.models)
    with closing(ObjectStore(config.s3)) as store, tempfile.TemporaryDirectory() as folder:
        snapshot = _snapshot(config, store, catalog, Path(folder))
        labelled = labelled_shots(labels, root or labels.parent, snapshot) if labels else []
        material = gather(snapshot, store, count, labelled)
        say(
            f"Calibrating on {len(material.calibration)} photos of {catalog}, judging by {len(material.judged)} others"
            + (f" and {len(labelled)} labelled ones" if labelled else "")
        )
        return _tried(config, snapshot, material, store, Path(folder), say)


def _tried(
    config: Settings, snapshot: Snapshot, material: Material, store: ObjectStore, folder: Path, say: Callable[[str], None]
) -> list[Trial]:
    cv2.setNumThreads(1)
    _, threads = divide(config.worker, usable_cores())
    models, exact = (config.models.model_copy(update={"precision": p}) for p in (Precision.AUTO, Precision.F32))
    compiler, exactly = Compiler(models, threads), Compiler(exact, threads)
    looking = EmbedderCandidate(models, compiler, exactly)
    embedder, spotter = looking.build(None), load_spotter(models, threads)
    candidates: list[Candidate] = [looking]
    if isinstance(spotter, PpOcrSpotter):
        candidates += [TextCandidate(role, models, compiler, exactly, spotter) for role in ppocr.carried()]
    answers = None
    try:
        snapshot.manifest.require(recipe(embedder.description.fingerprint(), spotter.description.fingerprint()))
        answers = Answers(snapshot, [*material.judged, *material.labelled], config.decode)
    except CatalogError as error:
        if material.labelled:
            raise UserError(f"{error.message}: labelled photos can't be asked of it. Leave --labels out.") from None
        say("The catalog was made by other networks than these in full precision: its answers are not measured")
    say("Looking at the photos in full precision")
    examination = Examination(material, config.decode, embedder, spotter, load_spotter(exact, threads), answers)
    photos = [shot.photo(config.decode).pixels for shot in spread(material.judged, TIMED)]
    trials = []
    for candidate in candidates:
        say(f"Quantising {candidate.name}")
        file, before = _quantised(candidate, material, config, folder)
        say(f"Measuring {candidate.name}")
        times = speedup(candidate.work(None, photos), candidate.work(file, photos))
        measures = candidate.judge(file, examination)
        car = _side_car(candidate, file, material, times, measures)
        quantised.publish(store, candidate.key, car, file)
        trials.append(Trial(car, before, _size(file), times, measures))
    quantised.bring(store, config.models.cache_dir, renew=True)
    return trials


def _quantised(candidate: Candidate, material: Material, config: Settings, folder: Path) -> tuple[Path, int]:
    """Write the network in int8; return its file, and the bytes that it had before."""
    full, _ = convert.save(candidate.model(), folder)
    pixels = (shot.photo(config.decode).pixels for shot in material.calibration)
    model = convert.to_int8(candidate.model(), candidate.samples(pixels), transformer=candidate.transformer)
    file, _ = convert.save(model, folder)
    return file, _size(full)


def _side_car(
    candidate: Candidate, file: Path, material: Material, times: float, measures: list[Measure]
) -> SideCar:
    accepted, reason = verdict(times, measures)
    return SideCar(
        network=candidate.name,
        source=candidate.source,
        sha256=file.stem,
        accepted=accepted,
        reason=reason,
        nncf=metadata.version("nncf"),
        openvino=ov.__version__,
        cpu=f"{ov.Core().get_property('CPU', 'FULL_DEVICE_NAME')} ({platform.machine()})",
        photos=len(material.calibration),
        photos_sha256=material.digest(),
        measured={
            "speedup": round(times, 3),
            **{f"{measure.name}, before": round(measure.before, 4) for measure in measures},
            **{f"{measure.name}, after": round(measure.after, 4) for measure in measures},
        },
        made_at=datetime.now(UTC),
    )


def _snapshot(config: Settings, store: ObjectStore, catalog: str, folder: Path) -> Snapshot:
    versions = CatalogStore(store, catalog, Trust.of_reader(config))
    pointer = versions.current()
    if pointer is None:
        raise UserError(f"Catalog {catalog} has no published version. Run `packsight catalog sync` or correct --catalog.")
    return Snapshot.open(versions.download(pointer.version, folder))


def _size(file: Path) -> int:
    return file.stat().st_size + file.with_suffix(".bin").stat().st_size
