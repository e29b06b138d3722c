"""The benchmark counts the multiply-adds of a graph, by hand-counted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from openvino import opset16

from bench.arithmetic import flop


def ones(*shape: int) -> ov.Node:
    return ops.constant(np.ones(shape, np.float32))


GRAPHS: dict[str, tuple[Callable[[Any], Any], int]] = {
    # 5 × 6 places, 8 outputs, each of 4 × 3 × 3 inputs.
    "convolution": (lambda x: ops.convolution(x, ones(8, 4, 3, 3), [2, 2], [1, 1], [1, 1], [1, 1]), 5 * 6 * 8 * 36),
    # Two groups: 4 outputs each, of 2 inputs.
    "grouped": (lambda x: ops.group_convolution(x, ones(2, 4, 2, 1, 1), [1, 1], [0, 0], [0, 0], [1, 1]), 10 * 12 * 8 * 2),
    # Each of 10 × 12 × 4 inputs is spread over 3 × 2 × 2 outputs.
    "transposed": (
        lambda x: ops.convolution_backprop_data(x, ones(4, 3, 2, 2), [2, 2], pads_begin=[0, 0], pads_end=[0, 0]),
        10 * 12 * 4 * 12,
    ),
    # [.., 10, 12] · [12, 7], behind an operation that does nothing.
    "product": (lambda x: ops.matmul(opset16.identity(x), ones(12, 7), False, False), 4 * 10 * 7 * 12),
    "product of a transposed": (lambda x: ops.matmul(x, ones(10, 7), True, False), 4 * 12 * 7 * 10),
    "nothing to multiply": (ops.relu, 0),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_multiply_adds_count_as_two(name: str) -> None:
    build, expected = GRAPHS[name]
    given = ops.parameter([1, 4, -1, -1], ov.Type.f32)
    assert flop(ov.Model([build(given).output(0)], [given]), (1, 4, 10, 12)) == 2 * expected
