"""Who reads what: each target makes damaged input of its kind and hands it to the code that reads such input in production.

What may come of it is an answer or an error that names what is wrong; anything else is a fault of ours.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from celery.exceptions import InvalidTaskError
from kombu.transport import virtual

from packsight.deploy.demo.shop.dataset import write_feed
from packsight.deploy.demo.shop.products import items
from packsight.indexer.feed.offers import FeedError
from packsight.producer.evaluation.variants import match
from packsight.producer.sources import expand
from packsight.shared.catalog.manifest import MANIFEST, seal
from packsight.shared.catalog.parts import verify
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError, ImageError, MessageError, UserError
from packsight.shared.contract.messages import DescribeRequest, RecognizeRequest, parse_request
from packsight.shared.queue import headers
from packsight.shared.queue.refused import dead_letter
from packsight.shared.queue.transport.message import Message, read
from packsight.shared.settings import Decode, Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables.labels import read_labels
from packsight.worker.pipeline.decode import decode
from tests.feeds import read_offers
from tests.fuzz.mutations import spoiled
from tests.fuzz.pictures import pictures
from tests.unit.matching_catalog import photo, shop
from tests.unit.test_exports import ATOM, PAGE, RSS, sheet
from tests.unit.test_feed import zipped


class Target(ABC):
    """One kind of input. `folder`: its own, to write files to."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def case(self, chance: random.Random) -> bytes:
        """Make an input."""

    @abstractmethod
    def ask(self, data: bytes) -> str:
        """Read it; returns how that ended. What it raises is a fault."""


class Images(Target):
    """Files of photos, as a child decodes them."""

    name = "images"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._samples = list(pictures().values())
        self._limits = Decode()

    def case(self, chance: random.Random) -> bytes:
        return spoiled(chance.choice(self._samples), self._samples, chance)

    def ask(self, data: bytes) -> str:
        try:
            found = decode(data, self._limits)
        except ImageError as error:
            return error.code.value
        assert found.pixels.dtype == np.uint8
        assert found.pixels.shape[2] == 3
        return "decoded"


class _Files(Target):
    """Input that is read from a file of some suffix."""

    suffixes: tuple[str, ...]
    words: tuple[bytes, ...] = ()
    samples: tuple[bytes, ...]

    def case(self, chance: random.Random) -> bytes:
        data = spoiled(chance.choice(self.samples), self.samples, chance, self.words)
        return bytes([chance.randrange(len(self.suffixes))]) + data

    def written(self, data: bytes) -> Path:
        """The file of a case, whose first byte chooses the suffix."""
        path = self.folder / f"case{self.suffixes[data[0] % len(self.suffixes)]}"
        path.write_bytes(data[1:])
        return path


_TABLE = "id\tpicture\tname\tvendor\n1\thttps://shop.example/1.jpg\tЧай «Ночь»\tArvelo\n2\t2.jpg\t\"Soap, \"\"50\"\" ml\"\t\n"


class Feeds(_Files):
    """Feeds of products: YML, Google's, tables and workbooks."""

    name, suffixes = "feeds", (".xml",)
    words = (
        b"<!DOCTYPE a [<!ENTITY b \"cccc\">]>", b"&b;", b"&", b"]]>", b"<![CDATA[", b"<offer id=\"1\">", b"</offers>", b"\x00",
        b"&#x0;", b"&#55296;", b"encoding=\"utf-16\"", b"<?xml version=\"1.1\"?>", b"<picture>" * 50, b"\xff\xfe", b"id=\"\"",
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        feed = folder / "sample.xml"
        write_feed(feed, [item for item in items() if item.listed][:4])
        plain = feed.read_bytes()
        tables = (_TABLE.encode(), _TABLE.replace("\t", ";").encode("cp1251"))
        self._book = sheet([["id", "picture", "name"], ["101.0", "a.jpg", "Крем"], ["0102", "b.jpg", "Мыло"]])
        google = (RSS.encode(), ATOM.encode())
        others = (gzip.compress(plain), zipped({"feed.xml": plain}), self._book, PAGE.encode())
        self.samples = (plain, plain.decode().encode("utf-16"), *tables, *google, *others)
        self._settings = Settings(_env_file=None)

    def case(self, chance: random.Random) -> bytes:
        return b"\0" + self._spoiled_inside(chance) if chance.random() < 0.15 else super().case(chance)

    def _spoiled_inside(self, chance: random.Random) -> bytes:
        """A workbook with a damaged part; a ZIP file that is damaged itself is seldom looked into."""
        with zipfile.ZipFile(io.BytesIO(self._book)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        one = chance.choice(list(parts))
        parts[one] = spoiled(parts[one], list(parts.values()), chance, self.words)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        return file.getvalue()

    def ask(self, data: bytes) -> str:
        try:
            read_offers(str(self.written(data)), self._settings)
        except FeedError:
            return "feed error"
        return "read"


class Tables(_Files):
    """Tables of labels."""

    name, suffixes = "tables", (".csv", ".tsv", ".xlsx")
    words = (b'"', b"\t", b";", b",", b"\r", b"\x00", b"\xef\xbb\xbf", b"image", b"product_id", b"\xff", b'""', b"../" * 9)
    samples = (
        b"image,product_id,nearest_id,kind\na.jpg,1,1,present;shelf\nb.jpg,,2,sibling\n",
        b"image\tproduct_id\nx y.jpg\t1\n\"z,z.jpg\"\t2\n",
        "picture;product_id\r\nч.jpg;3\r\n".encode(),
    )

    def ask(self, data: bytes) -> str:
        try:
            read_labels(self.written(data))
        except UserError:
            return "refused"
        return "read"


class Lists(_Files):
    """Lists of references that a producer submits."""

    name, suffixes = "lists", (".txt", ".csv", ".tsv")
    words = (b"\n", b"#", b"s3://", b"https://", b"file://", b"\x00", b"\x1b[2J", b"\xff", b"//", b"..", b'"', b"image")
    samples = (
        b"s3://bucket/a.jpg\nhttps://shop.example/b.jpg?sig=1\n# remark\nphotos/c.jpg\n\n",
        b"image,name\ns3://bucket/a.jpg,one\nc.jpg,two\n",
        "url\tx\nhttps://магазин.example/ч.jpg\t1\n".encode(),
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._store = ObjectStore(Settings(_env_file=None).s3)

    def ask(self, data: bytes) -> str:
        try:
            for item in expand([str(self.written(data))], store=self._store, skipped=Counter()):
                item.name.encode()
        except UserError:
            return "refused"
        return "read"


_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 2**70, "", "x" * 300, "\ud800", "\x00", "2026-11-22T10:00:00", "9999-12-31T23:59:59", [], {}, [[]],
    {"a": {"b": {}}}, ["s3://b/k"] * 3, {"images": ["s3://b/k"]}, {"images": []},
)  # fmt: skip


class _Bodies:
    """What a message asks of the channel that it came over: to undo the transport's encoding."""

    codecs = virtual.Channel.codecs
    decode_body = virtual.Channel.decode_body


_CHANNEL = _Bodies()


class Messages(Target):
    """Messages of whoever writes to the broker, as far as the worker's parent and the child's task read them."""

    name = "messages"

    def case(self, chance: random.Random) -> bytes:
        argument: dict[str, Any] = {"version": 1, "images": ["s3://bucket/a.jpg", "https://shop.example/b.jpg"], "top_k": 5}
        body: list[Any] = [[argument], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        header: dict[str, Any] = {
            "lang": "py", "task": "packsight.recognize", "id": "1-2-3", "root_id": "1-2-3", "parent_id": None, "group": None,
            "retries": 0, "timelimit": [None, None], "eta": None, "expires": None, "argsrepr": "()", "kwargsrepr": "{}",
        }  # fmt: skip
        for _ in range(chance.randrange(3)):
            place = chance.choice([argument, header, header, body[2]])
            place[chance.choice([*place, "odd"])] = chance.choice(_VALUES)
        if chance.random() < 0.1:
            body[chance.randrange(3)] = chance.choice(_VALUES)
        text = json.dumps(body).encode()
        if chance.random() < 0.3:
            text = spoiled(text, [text], chance)
        envelope = {
            "body": base64.b64encode(text).decode(), "content-encoding": "utf-8", "content-type": "application/json",
            "headers": header, "properties": {
                "correlation_id": "1-2-3", "reply_to": "r", "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_tag": "t",
            },
        }  # fmt: skip
        if chance.random() < 0.1:
            part = chance.choice([envelope, envelope["properties"]])
            assert isinstance(part, dict)
            part[chance.choice(list(part))] = chance.choice(_VALUES)
        whole = json.dumps(envelope).encode()
        return spoiled(whole, [whole], chance) if chance.random() < 0.3 else whole

    def ask(self, data: bytes) -> str:
        message = Message(read(data.decode(errors="replace"), "celery", "t"), _CHANNEL, accept={"application/json"})
        try:
            headers.admit(message)
        except InvalidTaskError as error:
            dead_letter(message, error).model_dump_json()
            return "put aside"
        args = message.payload["args"] if isinstance(message.payload, dict) else message.payload[0]
        found = []
        for kind in (RecognizeRequest, DescribeRequest):
            try:
                parse_request(kind, args[0] if args else None)
            except MessageError:
                found.append("refused")
            else:
                found.append("taken")
        return found[0]


class Catalogs(Target):
    """Files of a published version that were changed, with their hashes (a forger's) or without them (a disk's)."""

    name = "catalogs"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._whole = folder / "whole"
        shop(self._whole, print_=True)
        self._names = sorted(path.name for path in self._whole.iterdir())
        self._query = photo("asked", ["ARVELO", "Night Cream"], 0)

    def case(self, chance: random.Random) -> bytes:
        name = chance.choice(self._names)
        data = (self._whole / name).read_bytes()
        changed = spoiled(data, [data], chance)
        return json.dumps([name, chance.random() < 0.7, base64.b64encode(changed).decode()]).encode()

    def ask(self, data: bytes) -> str:
        name, sealed, content = json.loads(data)
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._whole, copy)
        changed = base64.b64decode(content)
        same = changed == (copy / name).read_bytes()
        (copy / name).write_bytes(changed)
        try:
            manifest = verify(self._whole)
            if sealed and name != MANIFEST:
                seal(copy, manifest)
            verify(copy)
        except CatalogError:
            assert not same
            return "refused by its hashes"
        assert sealed or same or name == MANIFEST, f"{name} was changed, and its hash still holds"
        try:
            snapshot = Snapshot.open(copy)
        except CatalogError:
            return "refused when opened"
        try:
            match(self._query, snapshot, top_k=3)
        except Exception as error:  # arrays that fit and say nonsense: only who holds the indexer's key can make them
            return f"served, and a photo failed: {type(error).__name__}"
        return "served"


TARGETS: dict[str, type[Target]] = {kind.name: kind for kind in (Images, Feeds, Tables, Lists, Messages, Catalogs)}
