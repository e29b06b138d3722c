"""An OpenVINO graph that takes uint8 pixels and returns pooled activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

from packsight.shared.contract.errors import UserError
from packsight.shared.vision.models import Pooling

GEM_FLOOR = np.float32(1e-6)
"""Activations below are raised to it, so that the power is defined and its root finite."""


def cut(model: ov.Model, layer: str) -> ov.Model:
    """End the graph at the output of the named operation; an empty name keeps the graph's first output.

    Raises UserError when the graph has no such operation.
    """
    if not layer:
        return ov.Model([model.outputs[0].get_node().input_value(0)], model.get_parameters())
    for node in model.get_ops():
        if node.get_friendly_name() == layer:
            return ov.Model([node.output(0)], model.get_parameters())
    last = ", ".join(output.get_node().input_value(0).get_node().get_friendly_name() for output in model.outputs)
    raise UserError(
        f"The network has no layer {layer!r}. Name an operation of its graph in the side-car file: {last}, or one before it."
    )


def refuse_broken(model: ov.Model, file: Path) -> None:
    """Raise UserError when weights of the graph are no numbers: activations like ReLU hide them, so that vectors do not tell."""
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().is_real() and np.isnan(_values(node).sum()):
            raise UserError(
                f"{file}: {node.get_friendly_name()} holds values that are no numbers. Use an intact file."
            )


def _values(constant: ov.Node) -> npt.NDArray[np.number]:
    """What a constant holds; bfloat16, which NumPy lacks and OpenVINO gives as the bits of another type, as float32."""
    if constant.get_element_type() != ov.Type.bf16:
        return np.asarray(constant.data)
    return np.asarray(np.left_shift(constant.data.view(np.uint16).astype(np.uint32), 16).view(np.float32))


def pool(model: ov.Model, pooling: Pooling, gem_p: float) -> ov.Model:
    """Append the pooling: [n, channels, height, width] to [n, channels].

    Raises UserError when the activations have another number of axes.
    """
    output = model.outputs[0].get_node().input_value(0)
    if pooling is Pooling.NONE:
        return model
    shape = output.get_partial_shape()
    if shape.rank.is_dynamic:
        raise UserError(f"The layer gives {shape}; needed are [n, values] or [n, channels, height, width].")
    refuse_shape(pooling, [0] * len(shape))  # how many there are of each, images will tell
    places = np.array([2, 3], np.int64)
    if pooling is Pooling.AVERAGE:
        return ov.Model([ops.reduce_mean(output, places).output(0)], model.get_parameters())
    powered = ops.power(ops.maximum(output, GEM_FLOOR), np.float32(gem_p))
    mean = ops.reduce_mean(powered, places)
    return ov.Model([ops.power(mean, np.float32(1 / gem_p)).output(0)], model.get_parameters())


def refuse_shape(pooling: Pooling, shape: Sequence[int]) -> None:
    """Raise UserError when this pooling makes no vector of what a layer gives for an image: [1, …]."""
    if pooling is Pooling.NONE and (len(shape) < 2 or math.prod(shape[2:]) != 1):
        raise UserError(
            f"The layer gives {list(shape)}, and pooling none needs a vector [n, values]. Name a layer that gives one in the "
            'side-car file, or for [n, c, h, w] "pooling": "average" or "gem".'
        )
    if pooling is not Pooling.NONE and len(shape) != 4:
        raise UserError(
            f"Pooling {pooling} needs activations [n, c, h, w]; this layer has {len(shape)} axes. Name another layer in the "
            'side-car file, or for a vector "pooling": "none".'
        )


def channels_first(model: ov.Model, size: tuple[int, int]) -> ov.Model:
    """Have the graph give maps [n, channels, height, width], which TensorFlow exports as [n, height, width, channels].

    size: height and width of the images. What is no map stays as it is. Raises UserError when the graph can't take that size.
    """
    shape = _given(model, size)
    if shape.rank.is_dynamic or len(shape) != 4 or shape.is_dynamic:
        return model
    if not _channels_last(list(shape.to_shape())[1:], _growing(model), size, _layout(model)):
        return model
    output = model.outputs[0].get_node().input_value(0)
    return ov.Model([ops.transpose(output, np.array([0, 3, 1, 2], np.int64)).output(0)], model.get_parameters())


def _channels_last(sides: Sequence[int], growing: set[int], size: tuple[int, int], layout: str) -> bool:
    """Tell whether maps of these sides, [n, 1, 2, 3], have the channels as the last.

    The axes that grow with the images are height and width. Where none does, they are two of one length, as maps of a fixed size
    have, then those whose proportions are the images'; what that leaves open is as the images are given to the graph.
    """
    if growing in ({1, 2}, {2, 3}):
        return growing == {1, 2}
    given_last = layout == "NHWC"
    if sides[1] == sides[2] or (given_last and sides[0] == sides[1]):
        return given_last and sides[0] == sides[1]
    height, width = size
    first, last = abs(sides[1] * width - sides[2] * height), abs(sides[0] * width - sides[1] * height)
    return last < first or (last == first and given_last)


def _growing(model: ov.Model) -> set[int]:
    """Axes of what the graph gives whose length depends on the size of the images; none where it takes one size alone."""
    probe, any_size = model.clone(), ov.Dimension()
    try:
        probe.reshape([1, 3, any_size, any_size] if _layout(model) == "NCHW" else [1, any_size, any_size, 3])
    except RuntimeError:
        return set()
    shape = probe.outputs[0].get_partial_shape()
    return set() if shape.rank.is_dynamic else {axis for axis, length in enumerate(shape) if length.is_dynamic}


def _given(model: ov.Model, size: tuple[int, int]) -> ov.PartialShape:
    """What the graph gives for one image of that size. Raises UserError when it doesn't take it."""
    probe = model.clone()
    try:
        probe.reshape([1, 3, *size] if _layout(model) == "NCHW" else [1, *size, 3])
    except RuntimeError:
        raise UserError(f"The network does not take images of {size}. Name its input_size in the side-car file.") from None
    return probe.outputs[0].get_partial_shape()


def dimension(model: ov.Model, size: tuple[int, int]) -> int:
    """Number of values per image that activations or vectors [n, values, …] have, for images of `size`.

    Raises UserError when the graph leaves it open or can't take that size.
    """
    shape = _given(model, size)
    if len(shape) < 2 or shape[1].is_dynamic:
        raise UserError(f"The layer gives {shape}; needed are [n, values] or [n, channels, height, width].")
    return int(shape[1].get_length())


def take_pixels(
    model: ov.Model,
    *,
    channels: str,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> ov.Model:
    """Let the graph take RGB uint8 [n, height, width, 3] and do conversion, channel order and normalisation itself.

    mean and std are in the order of `channels` (`RGB` or `BGR`), on the scale 0…255.

    Raises UserError when the network's input is no colour image.
    """
    layout = _layout(model)
    steps = PrePostProcessor(model)
    tensor = steps.input().tensor()
    tensor.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.RGB)
    chain = steps.input().preprocess().convert_element_type(ov.Type.f32)
    if channels == "BGR":
        chain.convert_color(ColorFormat.BGR)
    chain.mean(list(mean)).scale(list(std))
    steps.input().model().set_layout(ov.Layout(layout))
    return steps.build()


def _layout(model: ov.Model) -> str:
    shape = model.inputs[0].get_partial_shape() if len(model.inputs) == 1 else ov.PartialShape([])
    if shape.rank.is_static and len(shape) == 4:
        for axis, layout in ((1, "NCHW"), (3, "NHWC")):
            if shape[axis] == ov.Dimension(3):
                return layout
    taken = " and ".join(str(given.get_partial_shape()) for given in model.inputs) or "nothing"
    raise UserError(f"The network takes {taken}; needed is one image [n, 3, height, width] or [n, height, width, 3].")
