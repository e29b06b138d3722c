"""(c) The baseline: a plain worker, as one writes it in an afternoon: one photo per task, networks as they come, nothing tuned.

celery -A bench.baseline worker
"""

from __future__ import annotations

import io
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from celery import Celery
from minio import Minio
from PIL import Image
from rapidocr import RapidOCR

app = Celery("baseline", broker=os.environ["BENCH_BASELINE_BROKER"], backend=os.environ["BENCH_BASELINE_BACKEND"])

WEIGHTS = Path(torch.hub.get_dir()) / "checkpoints" / "resnet50-11ad3fa6.pth"
"""torchvision's weights where they have been downloaded; without them a network of the same cost, its weights random."""

_shrink = torchvision.transforms.Compose([
    torchvision.transforms.Resize(256),
    torchvision.transforms.CenterCrop(224),
    torchvision.transforms.ToTensor(),
    torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
])


@lru_cache
def network() -> Any:
    torch.manual_seed(0)
    resnet = torchvision.models.resnet50(weights=None)
    if WEIGHTS.exists():
        resnet.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    resnet.fc = torch.nn.Identity()
    return resnet.eval()


@lru_cache
def reader() -> Any:
    return RapidOCR()


@lru_cache
def storage() -> Minio:
    return Minio(
        os.environ["PACKSIGHT_S3__ENDPOINT"],
        os.environ["PACKSIGHT_S3__ACCESS_KEY"],
        os.environ["PACKSIGHT_S3__SECRET_KEY"],
        secure=False,
    )


@lru_cache
def catalog() -> tuple[npt.NDArray[np.float32], list[str], list[str], list[set[str]]]:
    """Vectors of the catalog's photos with their product ids; product ids with the words of their names."""
    saved = np.load(os.environ["BENCH_BASELINE_CATALOG"])
    names = [words(name) for name in saved["names"].tolist()]
    return saved["vectors"], saved["owners"].tolist(), saved["ids"].tolist(), names


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def download(bucket: str, key: str) -> Image.Image:
    answer = storage().get_object(bucket, key)
    try:
        return Image.open(io.BytesIO(answer.read())).convert("RGB")
    finally:
        answer.close()
        answer.release_conn()


def embed(image: Image.Image) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        vector = network()(_shrink(image)[None])[0].numpy()
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@app.task(name="baseline.describe")  # type: ignore[untyped-decorator]
def describe(bucket: str, key: str) -> list[float]:
    return [float(value) for value in embed(download(bucket, key))]


@app.task(name="baseline.recognize")  # type: ignore[untyped-decorator]
def recognize(bucket: str, key: str) -> dict[str, Any]:
    image = download(bucket, key)
    vectors, owners, ids, names = catalog()
    similarity: dict[str, float] = {}
    for owner, value in zip(owners, vectors @ embed(image), strict=True):
        similarity[owner] = max(float(value), similarity.get(owner, -1.0))
    read = words(" ".join(reader()(np.asarray(image)[:, :, ::-1]).txts or ()))
    score = [
        similarity.get(product, 0.0) + len(read & name) / max(1, len(name))
        for product, name in zip(ids, names, strict=True)
    ]
    order = np.argsort(score)[::-1][:5]
    weights = "torchvision" if WEIGHTS.exists() else "random"
    return {"weights": weights, "candidates": [{"product": ids[i], "score": score[i]} for i in order.tolist()]}
