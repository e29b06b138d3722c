"""A second head on the recogniser's backbone, which reads an alphabet that the bundled one lacks: its file and its graph."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.validation import wrong_fields
from packsight.worker.networks.spotters.ppocr.choice import Script, Weights

FINE, CONTEXT = "p2o.pd_op.add.64.0", "p2o.pd_op.add.78.0"
"""Tensors of the recogniser that a head stands on: [1, 384, 3, w / 4] before its last pooling, and [1, 120, 1, w / 8] after its
attention."""
MOST_SYMBOLS = 1000
MOST_BYTES = 4 << 20
"""Of a file: more, and reading would cost more than the few per cent that a second head is worth."""

Arrays = Mapping[str, npt.NDArray[Any]]


class HeadFile(BaseModel):
    """What a head's file says of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    name: str
    recogniser: str
    """sha256 of the recogniser that it was trained on, and stands on."""
    characters: str = Field(max_length=MOST_SYMBOLS)
    """By number of symbol, from 1 on; 0 is CTC's blank."""
    letters: str
    """Those of the alphabet itself, without Latin ones, digits and signs."""
    twins: tuple[tuple[str, str], ...] = ()
    """Pairs of one of those and the Latin letter of the same shape."""
    blocks: int = Field(ge=0, le=16)
    weights: Weights
    """When its reading is believed instead of the bundled head's."""
    licence: str = "Apache-2.0"


class Head(BaseModel):
    """A head as it was read: what it says of itself, and its weights."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    about: HeadFile
    arrays: dict[str, Any]

    @cached_property
    def script(self) -> Script:
        """What it knows of its letters."""
        return Script(frozenset(self.about.letters), self.about.twins)


def save(file: Path, about: HeadFile, arrays: Arrays) -> None:
    """Write a head: a NumPy archive of fp16 arrays, and `about` as JSON in bytes."""
    text = np.frombuffer(about.model_dump_json().encode(), np.uint8)
    np.savez_compressed(file, about=text, **arrays)  # type: ignore[arg-type]


def load(file: Path, recogniser: str) -> Head:
    """Read a head for a recogniser with this sha256.

    Raises UserError when the file is missing, damaged, too large, or made for another recogniser.
    """
    if not file.is_file():
        raise UserError(f"The head {file} does not exist. Put the file there or correct PACKSIGHT_MODELS__ALPHABET.")
    remedy = "Use an intact file that `make train-alphabet` wrote, or leave PACKSIGHT_MODELS__ALPHABET at its default."
    if file.stat().st_size > MOST_BYTES:
        raise UserError(f"The head {file} has {file.stat().st_size >> 20} MB; {MOST_BYTES >> 20} are allowed. {remedy}")
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = HeadFile.model_validate(json.loads(arrays.pop("about").tobytes()))
        head = Head(about=about, arrays=arrays)
        _check(head)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        cause = wrong_fields(error) if isinstance(error, ValidationError) else str(error).strip() or type(error).__name__
        raise UserError(f"The head {file} cannot be read: {cause}. {remedy}") from None
    if about.recogniser != recogniser:
        raise UserError(
            f"The head {file} was trained on another recogniser ({about.recogniser[:12]}, not {recogniser[:12]}). "
            "Train it again (`make train-alphabet`), or install the release of rapidocr that it belongs to."
        )
    return head


def _check(head: Head) -> None:
    """Raise ValueError when shapes do not fit each other or numbers are none."""
    arrays, symbols = head.arrays, len(head.about.characters) + 1
    width = arrays["bias"].shape[0]
    wanted = {
        "fine": (width, 384, 3, 1),
        "context": (width, 120, 1, 1),
        "bias": (width,),
        "symbols": (symbols, width, 1, 1),
        "symbols_bias": (symbols,),
    }
    for number in range(head.about.blocks):
        reach = arrays[f"block_{number}"].shape[-1]
        if reach % 2 == 0:
            raise ValueError(f"block_{number} is {reach} steps wide, wanted is an odd number, which has a middle")
        wanted |= {f"block_{number}": (width, width, 1, reach), f"block_{number}_bias": (width,)}
    if set(wanted) != set(arrays):
        raise ValueError(f"it holds {sorted(arrays)}, wanted are {sorted(wanted)}")
    for name, shape in wanted.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float16 or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, wanted are finite float16 {shape}")


def extend(model: ov.Model, head: Head) -> ov.Output:
    """Put a head on the recogniser's graph; returns its logits [1, w / 4, symbols].

    Raises UserError when the graph lacks what the head stands on.
    """
    tensors = {name: output for node in model.get_ops() for output in node.outputs() for name in output.names}
    if not {FINE, CONTEXT} <= set(tensors):
        raise UserError(
            "The recogniser lacks the layers that a head stands on. Install the release of rapidocr that it belongs to."
        )
    arrays = {name: array.astype(np.float32) for name, array in head.arrays.items()}
    context = _convolved(tensors[CONTEXT], arrays["context"])
    # Each of its steps is two of the fine ones.
    pairs = ops.concat([ops.unsqueeze(context, np.int64(4))] * 2, 4)
    twice = ops.reshape(pairs, ops.constant(np.array([0, 0, 1, -1], np.int64)), special_zero=True)
    x = ops.swish(ops.add(ops.add(_convolved(tensors[FINE], arrays["fine"]), _bias(arrays["bias"])), twice))
    for number in range(head.about.blocks):
        block = ops.add(_convolved(x, arrays[f"block_{number}"]), _bias(arrays[f"block_{number}_bias"]))
        x = ops.add(x, ops.swish(block))
    logits = ops.add(_convolved(x, arrays["symbols"]), _bias(arrays["symbols_bias"]))
    return ops.transpose(ops.squeeze(logits, np.int64(2)), np.array([0, 2, 1])).output(0)


def _convolved(x: Any, weights: npt.NDArray[np.float32]) -> Any:
    sides = [0, weights.shape[3] // 2]
    return ops.convolution(x, ops.constant(weights), [1, 1], sides, sides, [1, 1])


def _bias(values: npt.NDArray[np.float32]) -> Any:
    return ops.constant(values.reshape(1, -1, 1, 1))
