"""A network's hash counts everything that its numbers depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from packsight.shared.storage.files import hash_file
from packsight.worker.networks.model_files import network_sha256


def entry(key: bytes, value: bytes) -> bytes:
    """A StringStringEntryProto of onnx.proto: each field its number, its length as a varint, and its bytes."""
    length = len(value)
    size = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
    return b"\x0a" + bytes([len(key)]) + key + b"\x12" + size + value


@pytest.mark.parametrize("name", ["mine.onnx.data", "веса 1.bin", "w" * 200])
def test_weights_outside_of_an_onnx_file_are_part_of_its_hash(tmp_path: Path, name: str) -> None:
    file, weights = tmp_path / "mine.onnx", tmp_path / name
    file.write_bytes(b"graph" + (entry(b"location", name.encode()) + entry(b"offset", b"0") + b"tensor") * 2)
    weights.write_bytes(b"1")
    first = network_sha256(file)
    weights.write_bytes(b"2")
    assert network_sha256(file) != first


@pytest.mark.parametrize("suffix", [".xml", ".XML"])
def test_weights_of_openvino_ir_are_part_of_its_hash(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"mine{suffix}"
    file.write_text("<net/>")
    (tmp_path / "mine.bin").write_bytes(b"1")
    first = network_sha256(file)
    (tmp_path / "mine.bin").write_bytes(b"2")
    assert network_sha256(file) != first


@pytest.mark.parametrize("data", [b"", b"graph" + entry(b"location", b"gone"), b"graph" + entry(b"location", b"a\0b")])
def test_a_file_with_nothing_beside_it_has_the_hash_of_its_bytes(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(data)
    assert network_sha256(file) == hash_file(file)
