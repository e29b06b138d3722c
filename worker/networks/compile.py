"""OpenVINO on this process's CPU: every compile setting, the cache of compiled networks, and inference kept in step.

Nothing here may run in a process that forks afterwards: networks are compiled in the process that uses them.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt
import openvino as ov

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models, Precision
from packsight.worker.networks import quantised
from packsight.worker.networks.quantised import NetworkFile

Array = npt.NDArray[Any]


class Network:
    """One compiled network; inputs are started one ahead, so that preparing the next overlaps with the running one."""

    def __init__(self, compiled: ov.CompiledModel, requests: int) -> None:
        self._requests = [compiled.create_infer_request() for _ in range(requests)]
        self._ports = {name: port for port in compiled.inputs for name in port.names}
        self._outputs = [port.names for port in compiled.outputs]
        self.inputs = [port.get_any_name() for port in compiled.inputs]
        self.outputs = [name for names in self._outputs for name in names]

    def shape(self, name: str) -> tuple[int, ...]:
        """Static shape of an input."""
        return tuple(self._ports[name].shape)

    def stream(self, batches: Iterable[Array]) -> Iterator[tuple[Array, ...]]:
        """Yield copies of all outputs for each array of the single input, in order; one stream at a time."""
        idle = deque(self._requests)
        running: deque[tuple[Any, Array]] = deque()
        try:
            for array in batches:
                if not idle:
                    idle.append(running[0][0])
                    yield _finish(running)
                request = idle.popleft()
                request.set_input_tensor(ov.Tensor(array, shared_memory=True))
                running.append((request, array))
                request.start_async()
            while running:
                yield _finish(running)
        finally:
            for request, _ in running:
                request.wait()

    def __call__(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Run once; return copies of the outputs under every name that they have."""
        request = self._requests[0]
        request.infer({name: array.astype(self._ports[name].element_type.to_dtype()) for name, array in inputs.items()})
        arrays = [tensor.data.copy() for tensor in request.output_tensors]
        return {name: array for names, array in zip(self._outputs, arrays, strict=True) for name in names}


def _finish(running: deque[tuple[Any, Array]]) -> tuple[Array, ...]:
    request, _ = running[0]
    request.wait()
    running.popleft()
    # The next inference overwrites the tensors.
    return tuple(tensor.data.copy() for tensor in request.output_tensors)


class Compiler:
    """Chooses, reads and compiles networks with one precision and thread count.

    precision: of whatever is not in int8.
    threads: CPU threads of each network, at least one.
    """

    def __init__(self, models: Models, threads: int) -> None:
        self._core = ov.Core()
        self._models = models
        self._threads = max(1, threads)
        self.precision = effective_precision(self._core, models.precision)
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": self.precision.value,
            "INFERENCE_NUM_THREADS": self._threads,
            # Processes that pin would all pin from core 0.
            "ENABLE_CPU_PINNING": False,
        }

    @cached_property
    def _cache(self) -> Path | None:
        return _cache_dir(self._models.cache_dir, self._core)

    def choose(self, path: Path, sha256: str, *made_with: object) -> NetworkFile:
        """Choose the file that is run for a network: its own, or its int8 if the settings ask for that and it was accepted.

        made_with: what its int8 depends on besides the file, if anything (as `quantised.key`).

        Raises UserError when the settings ask for int8 and nobody has tried it on this network.
        """
        own = NetworkFile(path, sha256, self.precision.value)
        if self._models.precision is not Precision.INT8:
            return own
        return quantised.accepted(self._models.cache_dir, quantised.key(sha256, *made_with), own) or own

    def read(self, file: Path) -> ov.Model:
        """Read an ONNX or OpenVINO IR file.

        Raises UserError when it is missing or cannot be read.
        """
        if not file.is_file():
            raise UserError(f"The network {file} does not exist. Put the file there or correct PACKSIGHT_MODELS__….")
        try:
            return self._core.read_model(file)
        except RuntimeError as error:
            cause = str(error).strip().splitlines()[-1]
            raise UserError(f"The network {file} cannot be read: {cause}. Use an intact .onnx or .xml file.") from None

    def compile(self, model: ov.Model, *, parallel: bool = False) -> Network:
        """Compile for the CPU, from the cache where it was compiled before.

        parallel: one inference per thread instead of all threads on one: faster for many small inputs, at the price of
            memory for each.

        Raises UserError when OpenVINO cannot.
        """
        streams = self._threads if parallel else 1
        settings = {**self._settings, "NUM_STREAMS": streams}
        try:
            if self._cache is None:
                return Network(self._core.compile_model(model, "CPU", settings), streams + 1)
            with _locked(self._cache / "lock"):
                compiled = self._core.compile_model(model, "CPU", {**settings, "CACHE_DIR": str(self._cache)})
            return Network(compiled, streams + 1)
        except RuntimeError as error:
            cause = str(error).strip().splitlines()[-1]
            shapes = ", ".join(str(given.get_partial_shape()) for given in model.inputs)
            raise UserError(
                f"OpenVINO cannot compile the network for {shapes}: {cause}. If it is of yours, check its size and operations; "
                f"if not, make room in memory and in {self._models.cache_dir}."
            ) from None


def effective_precision(core: ov.Core, wanted: Precision) -> Precision:
    """Resolve `auto`: bfloat16 where the CPU multiplies it natively (AVX512_BF16, AMX), else float32; so for `int8` too."""
    if wanted in {Precision.F32, Precision.BF16}:
        return wanted
    return Precision.BF16 if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else Precision.F32


def _cache_dir(root: Path, core: ov.Core) -> Path | None:
    """Folder for blobs compiled by this OpenVINO for this CPU, of no use to others; None where it can't be written."""
    cpu = core.get_property("CPU", "FULL_DEVICE_NAME") + str(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    folder = root / "openvino" / f"{ov.__version__.split('-')[0]}-{hashlib.sha256(cpu.encode()).hexdigest()[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except OSError:
        return None
    return folder


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let one process at a time write blobs: a half-written one must not be read by its sibling."""
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
