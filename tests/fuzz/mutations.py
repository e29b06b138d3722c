"""Ways to spoil bytes, drawn from a seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Lengths and counts on which readers stumble."""
MOST = 8
"""Changes to one file: more of them, and everything fails at its first check."""


def spoiled(data: bytes, others: Sequence[bytes], chance: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """Change bytes in a few places; `others`: files that pieces are taken from, `words`: pieces that mean something in them."""
    for _ in range(min(MOST, 1 + int(chance.expovariate(0.5)))):
        change = chance.choice(_CHANGES if not words else (*_CHANGES, *[_word] * 3))
        data = change(data, others, chance, words)
    return data


_Change = Callable[[bytes, Sequence[bytes], random.Random, Sequence[bytes]], bytes]


def _place(data: bytes, chance: random.Random) -> int:
    # Half of the changes are near the beginning, where headers are.
    end = len(data) if chance.random() < 0.5 else min(len(data), 512)
    return chance.randrange(end + 1)


def _flip(data: bytes, _: Sequence[bytes], chance: random.Random, __: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = min(_place(data, chance), len(data) - 1)
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _number(data: bytes, _: Sequence[bytes], chance: random.Random, __: Sequence[bytes]) -> bytes:
    at, size = _place(data, chance), chance.choice("BHI")
    value = chance.choice(NUMBERS) & (256 ** struct.calcsize(size) - 1)
    written = struct.pack(chance.choice("<>") + size, value)
    return data[:at] + written + data[at + len(written) :]


def _drop(data: bytes, _: Sequence[bytes], chance: random.Random, __: Sequence[bytes]) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + 1 + int(chance.expovariate(0.02)) :]


def _repeat(data: bytes, _: Sequence[bytes], chance: random.Random, __: Sequence[bytes]) -> bytes:
    at = _place(data, chance)
    piece = data[at : at + 1 + int(chance.expovariate(0.02))]
    return data[:at] + piece * chance.randint(2, 50) + data[at:]


def _insert(data: bytes, _: Sequence[bytes], chance: random.Random, __: Sequence[bytes]) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.randbytes(1 + int(chance.expovariate(0.1))) + data[at:]


def _cut(data: bytes, _: Sequence[bytes], chance: random.Random, __: Sequence[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _splice(data: bytes, others: Sequence[bytes], chance: random.Random, _: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _word(data: bytes, _: Sequence[bytes], chance: random.Random, words: Sequence[bytes]) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.choice(words) + data[at + chance.choice((0, 0, 1, 4)) :]


_CHANGES: tuple[_Change, ...] = (_flip, _flip, _number, _number, _drop, _repeat, _insert, _cut, _splice)
