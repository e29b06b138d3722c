"""Embedders from weights for a torchvision architecture: torchvision's own, found or fetched, and the user's.

torch is imported only where a network must be built from its weights: not when OpenVINO runs one that was exported before.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packsight.shared.contract.errors import UserError
from packsight.shared.storage.files import hash_file
from packsight.shared.vision.models import EmbedderDescription, Pooling
from packsight.worker.networks.embedders.local_file import IMAGENET_MEAN, IMAGENET_STD, side_car
from packsight.worker.networks.quantised import OWN

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StateDict:
    """Weights with all that is needed to build the network around them.

    The runtime completes the description by `dimension` and `precision`.
    """

    file: Path
    architecture: str
    description: EmbedderDescription


@dataclass(frozen=True, slots=True)
class _Released:
    weights: str
    file: str
    """torchvision ends the name with the first 8 digits of the file's sha256."""


RELEASED = {
    "resnet50": _Released("IMAGENET1K_V2", "resnet50-11ad3fa6.pth"),
    # What the first version of this system looked with.
    "resnet101": _Released("IMAGENET1K_V1", "resnet101-63fe2227.pth"),
}
LAST_STAGE = "layer4"


def released(name: str, cache_dir: Path) -> StateDict:
    """Find torchvision's weights in the model cache or torch's own cache, or fetch them into the model cache.

    Raises UserError that names the file and where to put it.
    """
    release = RELEASED[name]
    hub = Path(os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch")).expanduser()
    places = [cache_dir / release.file, hub / "hub" / "checkpoints" / release.file]
    file = next((place for place in places if place.is_file()), None) or _fetch(name, release, places[0])
    digest = hash_file(file)
    if not digest.startswith(release.file.split("-")[1].removesuffix(".pth")):
        raise UserError(f"{file} is damaged: its sha256 is {digest}. Delete it or put torchvision's {release.file} there.")
    description = EmbedderDescription(
        name=name,
        source=f"torchvision {release.weights}",
        sha256=digest,
        licence="BSD-3-Clause",
        input_size=(224, 224),
        channels="RGB",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        layer=LAST_STAGE,
        pooling=Pooling.AVERAGE,
        dimension=0,
        precision="",
    )
    return StateDict(file, name, description)


def local(file: Path) -> StateDict:
    """Describe a state dict of the user's. Raises UserError when it is missing."""
    if not file.is_file():
        raise UserError(f"The state dict {file} does not exist. Put the file there or correct PACKSIGHT_MODELS__EMBEDDER.")
    car = side_car(file)
    description = EmbedderDescription(
        name=car.name or file.stem,
        source=f"{OWN}, torchvision {car.architecture}",
        sha256=hash_file(file),
        licence=car.licence,
        input_size=car.input_size,
        channels=car.channels,
        mean=car.mean,
        std=car.std,
        layer=car.layer or LAST_STAGE,
        pooling=car.pooling or Pooling.AVERAGE,
        gem_p=car.gem_p,
        dimension=0,
        precision="",
    )
    return StateDict(file, car.architecture, description)


def activations(source: StateDict) -> Any:
    """Build the torch module [n, 3, h, w] -> activations of the layer, in evaluation mode on the CPU.

    Only what the layer depends on is asked of the file.

    Raises UserError when torch is missing, or the weights belong to another architecture or are damaged.
    """
    torch, _ = imported(source.description.name)
    model = _architecture(source.architecture)
    layer = source.description.layer
    module = _until(model, layer)
    known, needed = model.state_dict(), module.body.state_dict()
    weights = _without_prefix(_weights(source.file), next(iter(known)))
    # A classifier of the user's may have other classes, or other modules.
    head = f"{list(model.named_children())[-1][0]}."
    # Which training alone counts, and early torch did not.
    lacking = [key for key in needed if key not in weights and not key.endswith(".num_batches_tracked")]
    strange = [key for key in weights if key not in known and not key.startswith(head)]
    other = [key for key in needed if key in weights and needed[key].shape != weights[key].shape]
    found = {"missing": lacking, "unknown": strange, "of another shape": other}
    wrong = [f"{what}: {keys[0]} and {len(keys) - 1} more" for what, keys in found.items() if keys]
    if wrong:
        raise UserError(
            f"{source.file} does not hold the weights of {source.architecture} ({'; '.join(wrong)}). If they are of another "
            f'architecture, name it in {source.file.name}.json ("architecture"); else save what its state_dict() gives.'
        )
    taken = {key: value for key, value in weights.items() if key in needed}
    broken = [key for key, value in taken.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise UserError(f"{source.file}: {broken[0]} holds values that are no numbers. Take weights from before training failed.")
    module.body.load_state_dict(taken, strict=False)
    height, width = source.description.input_size
    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, height, width))
    except Exception as error:  # architectures check sizes by assertions and by whatever fails
        raise UserError(
            f"{source.architecture} does not take images of {height} × {width} ({error}). Name its input_size in "
            f"{source.file.name}.json."
        ) from None
    return module


_NESTED = ("state_dict", "model_state_dict", "model")
"""Where training programs keep the weights among other things."""


def _weights(file: Path) -> dict[str, Any]:
    """The tensors of a file by name. Raises UserError when it holds none."""
    torch, _ = imported(file.name)
    try:
        with warnings.catch_warnings():  # of TorchScript, which the error tells of
            warnings.simplefilter("ignore", UserWarning)
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler meets
        raise UserError(
            f"{file} is no state dict ({type(error).__name__}): damaged, a whole model, TorchScript, or in another format. "
            "Save it anew: torch.save(model.state_dict(), FILE)."
        ) from None
    for found in [loaded, *map(loaded.get, _NESTED)] if isinstance(loaded, dict) else []:
        named = found.items() if isinstance(found, dict) else ()
        if named and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in named):
            return dict(named)
    raise UserError(
        f"{file} holds no weights by name, alone or as {', '.join(_NESTED)}. Save them: torch.save(model.state_dict(), FILE)."
    )


def _without_prefix(weights: dict[str, Any], first: str) -> dict[str, Any]:
    """Drop what wrappers put before the names: `module.`, `backbone.`. `first` is the architecture's own first name."""
    prefixes = [key.removesuffix(first) for key in weights if key == first or key.endswith(f".{first}")]
    prefix = min(prefixes, key=len, default="")
    return {key.removeprefix(prefix): value for key, value in weights.items()}


def _architecture(name: str) -> Any:
    _, torchvision = imported(name)
    # Detectors and the like would fetch weights of their own.
    if name.lower() not in torchvision.models.list_models(module=torchvision.models):
        raise UserError(f"torchvision has no architecture {name}. Name one of its classifiers, like resnet50.")
    return torchvision.models.get_model(name, weights=None).eval()


def _until(model: Any, layer: str) -> Any:
    from torchvision.models.feature_extraction import create_feature_extractor  # noqa: PLC0415 - see above

    torch, _ = imported(layer)

    class Activations(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.body = create_feature_extractor(model, {layer: "activations"})

        def forward(self, pixels: Any) -> Any:
            return self.body(pixels)["activations"]

    try:
        return Activations().eval()
    except ValueError:
        modules = ", ".join(name for name, _ in model.named_children())
        raise UserError(
            f'The architecture has no layer {layer!r}. Name one of its modules in the side-car file ("layer"): {modules}, or one '
            "within them."
        ) from None


def imported(name: str) -> tuple[Any, Any]:
    """torch and torchvision, for the network of that name. Raises UserError where they are not installed."""
    try:
        import torch  # noqa: PLC0415 - see above
        import torchvision  # noqa: PLC0415
    except ImportError:
        raise UserError(
            f"{name} needs torch and torchvision. Install them (pip install 'packsight[gpu]') or choose resnet50-thin."
        ) from None
    return torch, torchvision


def _fetch(name: str, release: _Released, place: Path) -> Path:
    torch, torchvision = imported(name)
    weights = torchvision.models.get_model_weights(name)[release.weights]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _timeout(CONNECT_SECONDS):
            prefix = release.file.split("-")[1].removesuffix(".pth")
            torch.hub.download_url_to_file(weights.url, str(place), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The weights of {name} are not here and {weights.url} cannot be fetched ({error}). "
            f"Fetch {release.file} elsewhere and put it at {place}, or choose resnet50-thin."
        ) from None
    return place


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Bound the waiting of sockets whose owner sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
