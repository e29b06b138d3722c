"""The values: how they are made, and how they are compared with those that were committed.

Each set names the fingerprints that it was made for. Equal fingerprints with other values mean that the rules changed and
nobody would know: workers would serve versions that were made for other rules. Tolerances are what processors differ by.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.stress import Shop, drawn_shop
from packsight.deploy.demo.shop.products import Item, items
from packsight.deploy.demo.shop.scenes import catalog_photo, query_photo
from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.version import build_version
from packsight.shared.catalog.evidence import DETAILS, FULL, LAID
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import look_up
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query, find_candidates
from packsight.shared.matching.fingerprint import matching_fingerprint, recipe
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from packsight.shared.settings import Decode, Models, Precision
from packsight.shared.vision.models import details_fingerprint
from packsight.worker.networks.load import load_spotter
from packsight.worker.pipeline.decode import Photo, decode
from packsight.worker.pipeline.local_features import catalog_features, thumbnail
from tests.golden.invented import described

FOLDER = Path(__file__).parent
COMMAND = "python -m tests.golden"
POINTS = 40
"""Of a photo's key points, the strongest."""
FURTHER = 10
"""Of those of further scales."""
DESCRIPTORS = 8


@dataclass(frozen=True)
class Golden:
    """One set of values.

    number: what is raised when the rules change and no parameter does. make: gives the values with the fingerprints that they
    belong to, in the folder for what is built on the way. tolerance: by the name of the value, for the rest "".
    """

    name: str
    number: str
    make: Callable[[Path], tuple[dict[str, str], Any]]
    tolerance: dict[str, float]

    @property
    def file(self) -> Path:
        """Where the committed values are."""
        return FOLDER / f"{self.name}.json"

    def renew(self, folder: Path) -> None:
        """Write the values of today's rules."""
        fingerprints, values = self.make(folder)
        lines = (f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in values.items())
        text = ",\n".join(lines)
        self.file.write_text(f'{{"fingerprints": {json.dumps(fingerprints)},\n"values": {{\n{text}\n}}}}\n', encoding="utf-8")

    def faults(self, folder: Path) -> list[str]:
        """What is wrong, with its remedy; nothing when the values are those that were committed."""
        known = json.loads(self.file.read_text("utf-8"))
        fingerprints, values = self.make(folder)
        if fingerprints != known["fingerprints"]:
            return [f"{self.file.name} was made for {known['fingerprints']}, not {fingerprints}: renew it by `{COMMAND}`"]
        found = list(self._differences(known["values"], values, self.name, ""))
        if not found:
            return []
        what = f"{self.name} gives other values under the same fingerprints {fingerprints}: raise {self.number}, then"
        return [f"{what} `{COMMAND}`", *found[:20]]

    def _differences(self, known: Any, value: Any, place: str, name: str) -> Iterator[str]:
        if isinstance(known, dict) and isinstance(value, dict) and known.keys() == value.keys():
            for key in known:
                yield from self._differences(known[key], value[key], f"{place}.{key}", key)
        elif isinstance(known, list) and isinstance(value, list) and len(known) == len(value):
            for number, (one, other) in enumerate(zip(known, value, strict=True)):
                yield from self._differences(one, other, f"{place}[{number}]", name)
        elif isinstance(known, float | int) and isinstance(value, float | int):
            if not abs(known - value) <= self.tolerance.get(name, self.tolerance.get("", 0.0)):
                yield f"{place}: {value} instead of {known}"
        elif known != value:
            yield f"{place}: {value!r} instead of {known!r}"


def drawn_photos() -> dict[str, bytes]:
    """JPEGs of three packs: in the studio, lying on its side on a shelf, and large, so that it is read in tiles."""
    known = {item.id: item for item in items()}
    strangers = [item for item in items() if not item.family.listed]

    def shot(item: Item, place: str) -> bytes:
        return query_photo(item, place, strangers, np.random.default_rng([7, int(item.id)]), occluded=False)

    studio = catalog_photo(known["402"], 0, np.random.default_rng([7, 402]))
    shelf = _changed(shot(known["601"], "shelf"), lambda image: image.transpose(Image.Transpose.ROTATE_90))
    large = _changed(shot(known["1001"], "table"), lambda image: image.resize((2 * image.width, 2 * image.height)))
    return {"studio": studio, "shelf": shelf, "large": large}


def _changed(data: bytes, change: Callable[[Image.Image], Image.Image]) -> bytes:
    made = io.BytesIO()
    change(Image.open(io.BytesIO(data))).save(made, "JPEG", quality=95)
    return made.getvalue()


def _decoded() -> dict[str, Photo]:
    return {name: decode(data, Decode()) for name, data in drawn_photos().items()}


def _photos(_: Path) -> tuple[dict[str, str], Any]:
    """Mean colours of the drawn photos, in 4 × 4 fields."""
    return {}, {name: _fields(photo.pixels) for name, photo in _decoded().items()}


def _details(_: Path) -> tuple[dict[str, str], Any]:
    """Key points, strongest first, descriptors of the first few, and thumbnails."""
    values = {}
    for name, photo in _decoded().items():
        local = catalog_features(photo)
        picture = np.asarray(Image.open(io.BytesIO(thumbnail(photo))))
        values[name] = {
            "count": len(local.points),
            "leading": local.leading,
            "points": local.points[:POINTS].astype(np.float64).round(4).tolist(),
            "further": local.points[local.leading :][:FURTHER].astype(np.float64).round(4).tolist(),
            "descriptors": local.descriptors[:DESCRIPTORS].tolist(),
            "thumbnail_size": list(picture.shape),
            "thumbnail": _fields(picture),
        }
    return {"details": details_fingerprint()}, values


def _words(folder: Path) -> tuple[dict[str, str], Any]:
    """Lines that the bundled networks read in float32, from top to bottom."""
    spotter = load_spotter(Models(cache_dir=folder, precision=Precision.F32), 2)
    photos = _decoded()
    found = spotter.spot([photo.pixels for photo in photos.values()])
    values = {
        name: [
            {
                "text": line.text,
                "confidence": round(line.confidence, 3),
                "box": [[round(x, 1), round(y, 1)] for x, y in line.box],
            }
            for line in lines
        ]
        for name, lines in zip(photos, found, strict=True)
    }
    return {"spotter": spotter.description.fingerprint()}, values


def _matching(folder: Path) -> tuple[dict[str, str], Any]:
    """What the words stand for, evidence and probabilities of ten siblings asked about, weighed by the prior."""
    shop = _shop()
    snapshot = replace(_built(shop, folder), model=PRIOR)
    fingerprints = {"matching": matching_fingerprint(), "details": details_fingerprint(), "prior": fit_fingerprint()}
    return fingerprints, {"words": _stand_for(snapshot), "photos": {id_: _ranked(one, snapshot) for id_, one in _asked(shop)}}


@lru_cache
def _shop() -> Shop:
    return drawn_shop(described, 2, spare=0)


def _asked(shop: Shop) -> Iterator[tuple[str, Any]]:
    yield from shop.asked
    first, last = shop.asked[0][1], shop.asked[-1][1]
    yield "nothing read", replace(first, words=())
    strange = tuple(line.model_copy(update={"text": line.text[::-1]}) for line in last.words)
    yield "unknown words", replace(last, words=strange)


def _ranked(photo: Any, snapshot: Snapshot) -> dict[str, Any]:
    query = Query.of(photo, snapshot)
    found = find_candidates(query, query.votes(snapshot), snapshot)
    return {
        "found": [snapshot.products[int(number)].id for number in found],
        "by_details": _told(rank_by_details(query, snapshot), DETAILS, snapshot),
        "by_everything": _told(rank_by_all(query, snapshot), FULL, snapshot),
    }


def _told(ranking: Ranking, names: tuple[str, ...], snapshot: Snapshot) -> dict[str, Any]:
    evidence = ranking.evidence[ranking.rows[:3]].round(5).T.tolist()
    return {
        "order": [snapshot.products[int(number)].id for number in ranking.order[:3]],
        "probability": ranking.probability[:3].round(4).tolist(),
        "none": round(ranking.none, 4),
        "evidence": dict(zip(names, evidence, strict=True)),
    }


def _stand_for(snapshot: Snapshot) -> dict[str, list[list[Any]]]:
    """Terms that misread, split, joined and foreign spellings are taken for, with their weights."""
    lines = ["0RIST0", "ORI/STO", "SOFTHANDS", "Sha mpoo", "KELVRA", "75 мл", "4OO ML", "Lavendel", "oat meal", "Кеlvаrа"]
    vocabulary = snapshot.words.vocabulary
    found = {}
    for text in lines:
        read = look_up([WordRead(text=text, confidence=0.9, box=[(0.0, 0.0)] * 4)], vocabulary)
        terms = zip(read.word.tolist(), read.term.tolist(), read.weight.tolist(), strict=True)
        found[text] = [[read.keys[word], vocabulary.key(term), round(weight, 4)] for word, term, weight in terms]
    return found


def _fit(folder: Path) -> tuple[dict[str, str], Any]:
    """Weights and thresholds that a version of a small shop gets, and the size of its vectors."""
    snapshot = _built(_shop(), folder)
    fingerprints = {"fit": fit_fingerprint(), "matching": matching_fingerprint(), "details": details_fingerprint()}
    manifest = snapshot.manifest
    return fingerprints, {
        "model": snapshot.model.model_dump(),
        "projected": manifest.projected,
        "self_check": manifest.self_check.model_dump(),
        "notes": list(manifest.notes),
    }


def _built(shop: Shop, folder: Path) -> Snapshot:
    target = folder / "version"
    if not target.exists():
        build_version(
            target, catalog="golden", parent=None, products=shop.products, photos=shop.photos, features=shop.features,
            recipe=recipe("drawn", "drawn"),
        )  # fmt: skip
    return Snapshot.open(target)


def _fields(pixels: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Mean colours in 4 × 4 fields, row by row."""
    rows = (part for row in np.array_split(pixels, 4) for part in np.array_split(row, 4, axis=1))
    return [[round(float(value)) for value in part.reshape(-1, 3).mean(axis=0)] for part in rows]


_A_PAIR = 0.03
"""What the evidence of a print that is laid over a photo differs by where one pair of key points more or less agrees."""

GOLDENS = (
    Golden("photos", "nothing: the shop draws other photos", _photos, {"": 2}),
    Golden("details", "LOCAL_FEATURES", _details, {"points": 0.002, "further": 0.002, "descriptors": 3, "thumbnail": 2}),
    Golden("words", "the spotter's `preprocessing`", _words, {"confidence": 0.03, "box": 3}),
    Golden("matching", "MATCHING", _matching, {"": 0.002, "probability": 0.02, "none": 0.02} | dict.fromkeys(LAID, _A_PAIR)),
    Golden("fit", "FITTING", _fit, {"": 0.05, "projected": 0}),
)
