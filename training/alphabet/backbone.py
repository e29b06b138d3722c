"""The bundled recogniser up to what a head takes, on a GPU by torch, on a CPU by OpenVINO, which is four times as fast there.

Only the operations that PP-OCR's recognisers are made of are known to torch here. Weights are never trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import torch
import torch.nn.functional as nn
from onnx import numpy_helper

Attributes = Mapping[str, Any]
Operation = Callable[[list[Any], Attributes], Any]


FINE, CONTEXT = "p2o.pd_op.add.64.0", "p2o.pd_op.add.78.0"
"""What a head takes, as the worker's `ppocr.head` says; named again, since a machine with a GPU needs nothing of the worker's."""


class Backbone(Protocol):
    """Strips uint8 [n, 48, w, 3] in BGR to the activations FINE [n, 384, 3, w / 4] and CONTEXT [n, 120, 1, w / 8]."""

    def __call__(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...  # noqa: D102


def load(file: Path, device: torch.device) -> Backbone:
    """The backbone of a recogniser for this device."""
    return _on_gpu(file, device) if device.type == "cuda" else _on_cpu(file)


def _on_gpu(file: Path, device: torch.device) -> Backbone:
    graph = Graph(file, (FINE, CONTEXT)).to(device).eval()

    def run(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast("cuda", torch.bfloat16):
            fine, context = graph((pixels.permute(0, 3, 1, 2).float() - 127.5) / 127.5)
        return fine, context

    return run


def _on_cpu(file: Path) -> Backbone:
    import openvino as ov  # noqa: PLC0415 - not on a machine that has a GPU

    core = ov.Core()
    model = core.read_model(file)
    tensors = {name: output for node in model.get_ops() for output in node.outputs() for name in output.names}
    cut = ov.Model([tensors[FINE], tensors[CONTEXT]], model.get_parameters())
    cut.reshape(ov.PartialShape([-1, 3, 48, -1]))
    compiled = core.compile_model(cut, "CPU", {"PERFORMANCE_HINT": "LATENCY"})

    def run(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = compiled([((pixels.permute(0, 3, 1, 2).float() - 127.5) / 127.5).contiguous().numpy()])
        return torch.from_numpy(found[0].copy()), torch.from_numpy(found[1].copy())

    return run


class Graph(torch.nn.Module):  # type: ignore[misc]
    """Runs a graph up to named tensors.

    file: an ONNX file with one input [n, 3, 48, w].
    wanted: names of the tensors that `forward` returns.

    Raises ValueError when the graph has an operation that is not known here, or lacks a tensor.
    """

    def __init__(self, file: Path, wanted: Sequence[str]) -> None:
        super().__init__()
        graph = onnx.load(file).graph
        self._input = graph.input[0].name
        self.wanted = tuple(wanted)
        self._constants: dict[str, Any] = {}
        for tensor in graph.initializer:
            self._keep(tensor.name, numpy_helper.to_array(tensor))
        makers = {name: node for node in graph.node for name in node.output}
        if missing := set(wanted) - set(makers):
            names = ", ".join(sorted(missing))
            raise ValueError(f"{file} has no tensors {names}. Give the recogniser that the head is made for.")
        needed = _needed(makers, wanted)
        self._nodes = []
        for node in graph.node:
            if not needed.intersection(node.output):
                continue
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            if node.op_type == "Constant":
                self._keep(node.output[0], numpy_helper.to_array(attributes["value"]))
            elif node.op_type in _OPERATIONS:
                self._nodes.append((_OPERATIONS[node.op_type], attributes, list(node.input), node.output[0]))
            else:
                raise ValueError(f"{file} has the operation {node.op_type}, which is not known. Add it to {__name__}.")

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return the wanted tensors of strips [n, 3, 48, w], BGR, (value − 127.5) / 127.5."""
        values: dict[str, Any] = {self._input: pixels}
        for operation, attributes, inputs, output in self._nodes:
            given = [values[name] if name in values else self._constant(name, pixels) for name in inputs]
            values[output] = operation(given, attributes)
        return [values[name] for name in self.wanted]

    def _keep(self, name: str, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.kind == "f":
            key = f"weight_{len(self._constants)}"
            self.register_buffer(key, torch.from_numpy(np.array(array, np.float32)))
            self._constants[name] = key
        else:
            self._constants[name] = array.copy()

    def _constant(self, name: str, like: torch.Tensor) -> Any:
        if not name:
            return None
        kept = self._constants[name]
        return getattr(self, kept).to(like.dtype) if isinstance(kept, str) else kept


def _needed(makers: Mapping[str, Any], wanted: Sequence[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name in makers and name not in found:
            found.add(name)
            waiting.extend(makers[name].input)
    return found


def _whole(value: Any) -> list[int]:
    """Integers of a constant, or of a shape that was computed."""
    return [int(one) for one in np.atleast_1d(value)]


def _padding(attributes: Attributes) -> tuple[int, int]:
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise ValueError("Uneven padding is not known here.")
    return top, left


def _conv(x: list[Any], at: Attributes) -> Any:
    image, bias = x[0], x[2] if len(x) > 2 else None
    if at.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        image, padding = _same_upper(image, x[1].shape[2:], at["strides"]), (0, 0)
    else:
        padding = _padding(at)
    return nn.conv2d(image, x[1], bias, at.get("strides", [1, 1]), padding, at.get("dilations", [1, 1]), at.get("group", 1))


def _same_upper(image: Any, kernel: Sequence[int], strides: Sequence[int], value: float = 0.0) -> Any:
    pads: list[int] = []
    for side, size, step in zip(reversed(image.shape[2:]), reversed(kernel), reversed(strides), strict=True):
        total = max(0, (-(-side // step) - 1) * step + size - side)
        pads += [total // 2, total - total // 2]
    return nn.pad(image, pads, value=value)


def _max_pool(x: list[Any], at: Attributes) -> Any:
    image = x[0]
    if at.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        image = _same_upper(image, at["kernel_shape"], at["strides"], float("-inf"))
        return nn.max_pool2d(image, at["kernel_shape"], at["strides"])
    return nn.max_pool2d(image, at["kernel_shape"], at["strides"], _padding(at), ceil_mode=bool(at.get("ceil_mode", 0)))


def _batch_norm(x: list[Any], at: Attributes) -> Any:
    return nn.batch_norm(x[0], x[3], x[4], x[1], x[2], False, 0.0, at.get("epsilon", 1e-5))


def _mean(x: list[Any], at: Attributes) -> Any:
    axes = at["axes"] if "axes" in at else _whole(x[1])
    return x[0].mean(list(axes), keepdim=bool(at.get("keepdims", 1)))


def _axes(x: list[Any], at: Attributes) -> list[int]:
    return list(at["axes"]) if "axes" in at else _whole(x[1])


def _reshape(x: list[Any], at: Attributes) -> Any:
    shape = _whole(x[1])
    if isinstance(x[0], np.ndarray):
        return x[0].reshape(shape)
    return x[0].reshape([x[0].shape[place] if side == 0 else side for place, side in enumerate(shape)])


def _slice(x: list[Any], at: Attributes) -> Any:
    starts, ends = _whole(x[1]), _whole(x[2])
    axes = _whole(x[3]) if len(x) > 3 and x[3] is not None else list(range(len(starts)))
    steps = _whole(x[4]) if len(x) > 4 and x[4] is not None else [1] * len(starts)
    places = [slice(None)] * x[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        places[axis] = slice(start, min(end, x[0].shape[axis]), step)
    return x[0][tuple(places)]


def _squeeze(x: list[Any], at: Attributes) -> Any:
    axes = tuple(_axes(x, at))
    return np.squeeze(x[0], axes) if isinstance(x[0], np.ndarray) else x[0].squeeze(axes)


def _unsqueeze(x: list[Any], at: Attributes) -> Any:
    value = x[0]
    for axis in sorted(_axes(x, at)):
        value = np.expand_dims(value, axis) if isinstance(value, np.ndarray | np.generic) else value.unsqueeze(axis)
    return value


def _concat(x: list[Any], at: Attributes) -> Any:
    if all(isinstance(one, np.ndarray | np.generic) for one in x):
        return np.concatenate([np.atleast_1d(one) for one in x], at["axis"])
    return torch.cat(x, at["axis"])


def _gelu_part(x: list[Any], at: Attributes) -> Any:
    return torch.erf(x[0])


_OPERATIONS: dict[str, Operation] = {
    "Add": lambda x, at: x[0] + x[1],
    "AveragePool": lambda x, at: nn.avg_pool2d(x[0], at["kernel_shape"], at["strides"], _padding(at)),
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Conv": _conv,
    "Div": lambda x, at: x[0] / x[1],
    "Erf": _gelu_part,
    "HardSigmoid": lambda x, at: (x[0] * at.get("alpha", 0.2) + at.get("beta", 0.5)).clamp(0, 1),
    "Identity": lambda x, at: x[0],
    "MatMul": lambda x, at: x[0] @ x[1],
    "MaxPool": _max_pool,
    "Mul": lambda x, at: x[0] * x[1],
    "Pow": lambda x, at: x[0] ** x[1],
    "ReduceMean": _mean,
    "Relu": lambda x, at: x[0].relu(),
    "Reshape": _reshape,
    "Shape": lambda x, at: np.array(x[0].shape, np.int64),
    "Sigmoid": lambda x, at: x[0].sigmoid(),
    "Slice": _slice,
    "Softmax": lambda x, at: x[0].softmax(at.get("axis", -1)),
    "Sqrt": lambda x, at: x[0].sqrt(),
    "Squeeze": _squeeze,
    "Sub": lambda x, at: x[0] - x[1],
    "Transpose": lambda x, at: x[0].permute(at["perm"]),
    "Unsqueeze": _unsqueeze,
}
