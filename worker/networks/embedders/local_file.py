"""An image embedder from a file of the user's: ONNX or OpenVINO IR, described by a side-car `<file>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import openvino as ov
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.vision.models import EmbedderDescription, Pooling
from packsight.worker.networks import graph, quantised
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.model_files import network_sha256

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""RGB on the scale 0…255, as all torchvision classifiers use them."""

_Positive = Annotated[FiniteFloat, Field(gt=0)]


class SideCar(BaseModel):
    """What a file does not say of itself; every field may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^([^\s./\\\x00-\x1f][^/\\\x00-\x1f]{0,99})?$")] = ""
    """It becomes part of keys in object storage, and of paths."""
    licence: str = "unknown"
    input_size: tuple[PositiveInt, PositiveInt] = (224, 224)
    """Height and width."""
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = IMAGENET_MEAN
    std: tuple[_Positive, _Positive, _Positive] = IMAGENET_STD
    layer: str = ""
    """Operation of the graph, or module of the architecture, whose output is taken; empty = `layer4`, the last stage of a
    ResNet, for a state dict, the first output for other files."""
    pooling: Pooling | None = None
    """None = average for activations [n, channels, height, width], none for vectors."""
    gem_p: _Positive = 3.0
    architecture: str = "resnet50"
    """torchvision's name of the network; for state dicts only."""

    @model_validator(mode="after")
    def _on_the_scale_of_pixels(self) -> Self:
        if 0 < max(self.mean) <= 1 or max(self.std) < 1:
            raise ValueError("mean and std are on the scale 0…1, needed is 0…255: multiply them by 255")
        return self


def side_car(file: Path) -> SideCar:
    """Read the side-car of a network file, if there is one. Raises UserError that names the wrong field."""
    path = file.with_name(file.name + ".json")
    if not path.exists():
        return SideCar()
    try:
        return SideCar.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Let this user read it, or remove it.") from None
    except ValidationError as error:
        raise UserError(f"{path}: {wrong_fields(error)}. Correct the side-car file.") from None


def activations(file: Path, compiler: Compiler) -> tuple[EmbedderDescription, ov.Model]:
    """Describe an .onnx or .xml file and read its graph up to the activations. Raises UserError when it can't be one."""
    car = side_car(file)
    if not file.is_file():
        raise UserError(f"The network {file} does not exist. Put the file there or correct PACKSIGHT_MODELS__EMBEDDER.")
    model = _activations(compiler.read(file), car)
    given = EmbedderDescription(
        name=car.name or file.stem,
        source=quantised.OWN,
        sha256=network_sha256(file),
        licence=car.licence,
        input_size=car.input_size,
        channels=car.channels,
        mean=car.mean,
        std=car.std,
        layer=car.layer,
        pooling=car.pooling or (Pooling.AVERAGE if len(model.outputs[0].get_partial_shape()) == 4 else Pooling.NONE),
        gem_p=car.gem_p,
        dimension=0,
        precision="",
    )
    chosen = compiler.choose(file, given.sha256, *quantised.made_with(given))
    if chosen.int8:
        model = _activations(compiler.read(chosen.path), car)
    graph.refuse_broken(model, file)
    completion = {
        "sha256": chosen.sha256,
        "dimension": graph.dimension(model, car.input_size),
        "precision": chosen.precision,
    }
    return given.model_copy(update=completion), model


def _activations(network: ov.Model, car: SideCar) -> ov.Model:
    return graph.channels_first(graph.cut(network, car.layer), car.input_size)
