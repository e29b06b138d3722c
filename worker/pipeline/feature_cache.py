"""What the networks saw on the last photos, by content, shared by all workers through the result database.

Two hashes per pair of models, a current and a previous generation: what is found in the previous one is copied to the
current one, and when that holds half of the bound, it becomes the previous one and the one before is dropped. So memory
is bounded, there are two keys, and whatever was asked for lately stays, nearly as with least-recently-used eviction.
Two children that are given the same new photo at the same moment both look at it, and store the same.
"""

from __future__ import annotations

import json
import logging
import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.queue import keys
from packsight.shared.queue.connection import open_redis
from packsight.shared.settings import Settings
from packsight.shared.vision.features import NO_LOCAL, Features

log = logging.getLogger(__name__)

_TIMEOUT = 0.5
"""Seconds that a photo may wait for the cache; a hundred times what a healthy one takes."""
_PAUSE = 30.0
"""Seconds for which a cache that failed is not asked."""
_EXPIRES = 3 * 24 * 3600
"""Seconds after which generations that nobody uses are gone: those of models that no worker has any longer."""

_KEEP = """
-- KEYS: current, previous generation. ARGV[1]: fields that one may hold; ARGV[2]: its time to live, seconds.
local function keep(field, value)
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) and redis.call('HEXISTS', KEYS[1], field) == 0 then
    redis.call('UNLINK', KEYS[2])
    redis.call('RENAME', KEYS[1], KEYS[2])
  end
  redis.call('HSET', KEYS[1], field, value)
end
local function touch()
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
"""
_GET = f"""{_KEEP}
for i = 3, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[i])
  if not value then
    value = redis.call('HGET', KEYS[2], ARGV[i])
    if value then keep(ARGV[i], value) end
  end
  if value then
    touch()
    return {{i, value}}
  end
end
return false
"""
_PUT = f"""{_KEEP}
for i = 3, #ARGV, 2 do keep(ARGV[i], ARGV[i + 1]) end
touch()
"""


class FeatureCache:
    """Features without local ones, of up to `settings.worker.remember` photos per pair of models.

    It never fails and never holds a photo up: while the database does not answer, nothing is known and nothing is kept.
    Make it in the process that uses it; safe for several threads.
    """

    def __init__(self, settings: Settings, models: str) -> None:
        self._half = settings.worker.remember // 2
        limits = settings.decode
        # A photo that other limits let pass must not come through here.
        name = keys.seen(f"{_VERSION}:{models}:{limits.min_side}-{limits.max_pixels}")
        self._keys = [name, f"{name}:previous"]
        # An idle connection may have been closed by the other side.
        again = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        client = open_redis(settings.results, timeout=_TIMEOUT, text=False, retry=again)
        self._get = client.register_script(_GET)
        self._put = client.register_script(_PUT)
        self._silent_until = 0.0

    def get(self, sha256: str, version: str = "") -> Features | None:
        """Features of a photo that was seen before, equal to what the networks would give again.

        version: of the catalog that decides; what was read of the photo to decide from it is enough.
        """
        found = self._ask(self._get, [_field(sha256, ""), *([_field(sha256, version)] if version else [])])
        return None if found is None else decode_features(sha256, found[1], complete=found[0] == _FIRST_FIELD)

    def put(self, photos: Sequence[Features], version: str = "") -> None:
        """Remember photos; those that were not read completely are known under that catalog version only."""
        arguments = []
        for photo in photos:
            if photo.complete or version:
                arguments += [_field(photo.sha256, "" if photo.complete else version), encode_features(photo)]
        self._ask(self._put, arguments)

    def _ask(self, script: Any, arguments: list[bytes]) -> Any:
        if not self._half or not arguments or time.monotonic() < self._silent_until:
            return None
        try:
            return script(keys=self._keys, args=[self._half, _EXPIRES, *arguments])
        except (redis.RedisError, OSError) as error:
            if time.monotonic() >= self._silent_until:
                log.warning("photos seen before are not known for %.0f s: %s", _PAUSE, error)
            self._silent_until = time.monotonic() + _PAUSE
            return None


_FIRST_FIELD = 3
"""Place of the first field among a script's arguments."""


def _field(sha256: str, version: str) -> bytes:
    return bytes.fromhex(sha256) + version.encode()


_VERSION = 4
"""Of the format below."""
_HEAD = struct.Struct("<IIHHHHh")
"""Width, height, dimension of the embedding of the whole photo, of its middle, lines of text, of those
that were cut out, barcodes (-1: nobody looked)."""
_LINE = 9
"""Numbers of a line: confidence and four corners."""


def encode_features(photo: Features) -> bytes:
    """Head, embeddings (float16), numbers of the lines (float32), barcodes (int64), and as JSON whose lines
    were cut out and the texts of all lines.
    """
    codes = photo.barcodes
    sizes = len(photo.embedding), len(photo.middle), len(photo.words), len(photo.cut)
    read = [*photo.words, *photo.cut]
    lines = [[word.confidence, *(number for corner in word.box for number in corner)] for word in read]
    return b"".join(
        [
            _HEAD.pack(photo.width, photo.height, *sizes, -1 if codes is None else len(codes)),
            photo.embedding.astype("<f2").tobytes(),
            photo.middle.astype("<f2").tobytes(),
            np.array(lines, "<f4").reshape(len(lines), _LINE).tobytes(),
            np.array(codes or (), "<i8").tobytes(),
            json.dumps([photo.cut_for, *(word.text for word in read)], ensure_ascii=False).encode(),
        ]
    )


def decode_features(sha256: str, value: bytes, *, complete: bool = True) -> Features | None:
    """Features without local ones; None when these bytes hold none."""
    try:
        width, height, whole, middle, few, cut, coded = _HEAD.unpack_from(value)
        numbers = _HEAD.size + 2 * (whole + middle)
        count = few + cut
        codes = numbers + 4 * _LINE * count
        text = codes + 8 * max(coded, 0)
        looks = np.frombuffer(value, "<f2", whole + middle, _HEAD.size).astype(np.float32)
        lines = np.frombuffer(value, "<f4", _LINE * count, numbers).reshape(count, _LINE).tolist()
        barcodes = None if coded < 0 else tuple(np.frombuffer(value, "<i8", coded, codes).tolist())
        cut_for, *texts = json.loads(value[text:])
        words = tuple(
            WordRead(text=text, confidence=line[0], box=list(zip(line[1::2], line[2::2], strict=True)))
            for text, line in zip(texts, lines, strict=True)
        )
        embedding, part = looks[:whole], looks[whole:]
    except (struct.error, ValueError, TypeError):
        return None
    return Features(sha256, width, height, embedding, words[:few], NO_LOCAL, b"", complete, barcodes, part, words[few:], cut_for)
