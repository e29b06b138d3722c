"""State dicts as torch before 1.6 saved them, read without torch.

Such a file is five pickles (magic number, version, the sizes of numbers, the tensors, the order of the storages) and then,
of each storage, its length as int64 and its numbers (torch/serialization.py, `_legacy_save`). Tensors are views of storages.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.contract.errors import UserError

Array = npt.NDArray[Any]

_MAGIC = 0x1950A86A20F9469CFC6C
_LENGTH = np.dtype("<i8").itemsize


def read(file: Path) -> dict[str, Array]:
    """Read the tensors of a file by name, as float32 or int64. Raises UserError when it holds something else."""
    try:
        with file.open("rb") as opened:
            return _read(opened)
    except Exception as error:  # whatever a damaged pickle makes its reader do
        raise UserError(f"{file} holds no weights ({type(error).__name__}: {error}). Install its package again.") from None


def _read(file: BufferedReader) -> dict[str, Array]:
    magic, _version, sizes = (_Tensors(file).load() for _ in range(3))
    if magic != _MAGIC or not sizes["little_endian"]:
        raise ValueError("another format")
    tensors = _Tensors(file)
    found: dict[str, Array] = dict(tensors.load())
    for key in _Tensors(file).load():
        storage = tensors.storages[key]
        length = int.from_bytes(file.read(_LENGTH), "little")
        if length != len(storage) or file.readinto(storage.data) != storage.nbytes:
            raise ValueError("it ends too early")
    return found


class _Tensors(pickle.Unpickler):
    """Builds arrays on storages that are filled afterwards, and nothing else: a pickle may name any function to be called."""

    def __init__(self, file: BufferedReader) -> None:
        super().__init__(file)
        self.storages: dict[str, Array] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name of torch's."""
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of weights") from None

    def persistent_load(self, pid: Any) -> Array:
        """The storage of some tensors."""
        _kind, numbers, key, _device, length, _view = pid
        return self.storages.setdefault(key, np.zeros(length, numbers))


def _tensor(storage: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Array:
    """View a part of a storage; offset and strides in numbers. numpy refuses what lies outside."""
    size = storage.itemsize
    return np.ndarray(shape, storage.dtype, storage, offset * size, [stride * size for stride in strides])


_KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): np.float32,
    ("torch", "LongStorage"): np.int64,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
}
