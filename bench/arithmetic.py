"""The arithmetic in an OpenVINO graph, and how fast one core does such arithmetic at best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import openvino as ov
from openvino import opset13 as ops

SIDE = 1536
"""Rows and columns of the matrices: three of them take 28 MB, and larger ones are no faster (measured on Zen 4)."""
SECONDS = 1.0
"""For which each product is repeated; the fastest counts, since others may use the machine meanwhile."""


def flop(model: ov.Model, shape: tuple[int, ...]) -> int:
    """Floating-point operations of the convolutions and matrix products in a graph with one input of this shape.

    A multiply-add counts as two. Everything else (activations, pooling, normalisation) is left out: it is little, and the ideal
    hides it behind the products.
    """
    fixed = model.clone()
    # Shapes that depend on values stay open behind operations that do nothing.
    for node in fixed.get_ops():
        if node.get_type_name() == "Identity":
            node.output(0).replace(node.input_value(0))
    fixed.reshape(list(shape))
    return 2 * sum(_multiply_adds(node) for node in fixed.get_ops())


def _multiply_adds(node: ov.Node) -> int:
    """Of one operation, by the definitions of OpenVINO's operation set; 0 of one that is neither convolution nor product.

    Weights are [out, in, kernel…] of a convolution, [in, out, kernel…] of a transposed one, each with the groups before.
    """
    kind = node.get_type_name()
    if kind == "MatMul":
        inner = -2 if node.get_attributes()["transpose_a"] else -1
        return _size(node.output(0)) * int(node.input_value(0).shape[inner])
    of_one_output = 2 if kind.startswith("Group") else 1
    if kind in ("Convolution", "GroupConvolution"):
        return _size(node.output(0)) * math.prod(map(int, node.input_value(1).shape[of_one_output:]))
    if kind in ("ConvolutionBackpropData", "GroupConvolutionBackpropData"):
        return _size(node.input_value(0)) * math.prod(map(int, node.input_value(1).shape[of_one_output:]))
    return 0


def _size(values: ov.Output) -> int:
    return math.prod(map(int, values.shape))


def sgemm() -> float:
    """Float32 operations per processor second of NumPy's matrix product; its library must have been told to use one thread."""
    left, right = _matrices()
    result = np.empty_like(left)
    return _fastest(lambda: np.matmul(left, right, out=result))


def product(precision: str) -> float:
    """The same of OpenVINO's matrix product in a precision as INFERENCE_PRECISION_HINT names it, on one thread."""
    left, right = _matrices()
    given = ops.parameter([SIDE, SIDE], ov.Type.f32)
    model = ov.Model([ops.matmul(given, ops.constant(right), False, False).output(0)], [given])
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    return _fastest(lambda: request.infer([left]))


def _matrices() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(5)
    return chance.random((SIDE, SIDE), np.float32), chance.random((SIDE, SIDE), np.float32)


def _fastest(multiply: Callable[[], object]) -> float:
    multiply()
    best, end = math.inf, time.monotonic() + SECONDS
    while time.monotonic() < end:
        begun = time.process_time()
        multiply()
        best = min(best, time.process_time() - begun)
    return 2 * SIDE**3 / best
