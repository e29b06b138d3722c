"""What packsight relies on inside kombu, Celery and billiard is there, and is relied on in its fence only."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from celery.app.defaults import SETTING_KEYS

from packsight.shared.queue.app import make_app
from packsight.shared.queue.transport import contract
from packsight.shared.settings import Settings
from tests.unit.sources import parsed

ROOT = Path(contract.__file__).parents[3]
QUEUE = ("transport/", "consumer.py", "callbacks.py", "heartbeat.py", "remote_control.py", "result_backend.py", "watchdog.py")
FENCE = (*(f"shared/queue/{name}" for name in QUEUE), "worker/queue/request.py")
ROOMS = ("shared", "worker", "producer", "indexer", "deploy")
OF_TUPLES = {"_replace", "_asdict", "_make", "_fields"}
"""Public, for all the line in front: Python's named tuples keep it so apart from their fields."""
PRIVATE_ATTRIBUTE = re.compile(r"\.\s*_[^_]")
PRIVATE = {name for names in contract.FOREIGN.values() for name in names if name.startswith("_")}


def test_no_foreign_name_vanished_or_changed() -> None:
    changes = contract.changes()
    assert not changes, "compare shared/queue/transport with the new releases:\n" + "\n".join(changes)


def test_a_name_that_vanished_or_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"kombu.transport.redis:QoS": {"ack": "(self)", "gone": contract.PRESENT}, "kombu.transport.nowhere": {}}
    monkeypatch.setattr(contract, "FOREIGN", listed)
    assert contract.changes() == [
        "kombu.transport.redis:QoS.ack is (self, delivery_tag), expected (self)",
        "kombu.transport.redis:QoS.gone vanished",
        "kombu.transport.nowhere vanished",
    ]


@dataclass(frozen=True)
class Names:
    """Of a module: attributes that it names, and names that it gives itself: functions, classes, variables and what it sets."""

    attributes: frozenset[str]
    own: frozenset[str]


def names_of(tree: ast.Module) -> Names:
    attributes, own = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute):
            attributes.add(node.attr)
            if isinstance(node.ctx, ast.Store):
                own.add(node.attr)
    return Names(frozenset(attributes), frozenset(own))


def sources() -> Iterator[tuple[str, Names]]:
    """Files of the fence, and those that write any private attribute: of the others there is nothing to say."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(FENCE) or PRIVATE_ATTRIBUTE.search(path.read_text(encoding="utf-8")):
                yield name, names_of(parsed(path))


def test_private_names_are_used_in_the_fence_only_and_all_of_them_are_listed() -> None:
    inside, wrong = set(), []
    for path, found in sources():
        foreign = found.attributes - found.own - OF_TUPLES
        names = {name for name in foreign if name.startswith("_") and not name.startswith("__")}
        if path.startswith(FENCE):
            inside |= names | found.own & PRIVATE  # used, or replaced by one of ours
        elif names & PRIVATE:
            wrong.append(f"{path} uses {sorted(names & PRIVATE)}")
    assert not wrong
    assert inside <= PRIVATE, "list them in shared/queue/transport/contract.py"
    assert {name for name in PRIVATE if not name.startswith("__")} <= inside, "no longer used: take them off the list"


def test_what_is_overridden_is_listed() -> None:
    """A method of ours that replaces one of theirs does so under the parameters that the list expects."""
    import_module("packsight.shared.queue.transport.connection")
    import_module("packsight.shared.queue.callbacks")
    import_module("packsight.shared.queue.result_backend")
    import_module("packsight.shared.queue.remote_control")
    import_module("packsight.worker.queue.request")
    missing = []
    for owner in contract.FOREIGN:
        module, _, kind = owner.partition(":")
        if not kind:
            continue
        base = getattr(import_module(module), kind)
        for ours in base.__subclasses__():
            if not ours.__module__.startswith("packsight."):
                continue
            for name, value in vars(ours).items():
                listed = any(
                    name in contract.FOREIGN.get(f"{home}:{one.__name__}", {})
                    for one in inspect.getmro(base)
                    for home in (one.__module__, one.__module__.rpartition(".")[0], "celery.worker.consumer")
                )
                overrides = inspect.isfunction(value) and hasattr(base, name) and name != "__init__"
                if overrides and not listed:
                    missing.append(f"{ours.__qualname__}.{name}")
    assert not missing


def test_every_setting_is_one_that_celery_knows() -> None:
    app = make_app("test", Settings(_env_file=None), beat_schedule={"x": {"task": "x", "schedule": 1}})
    # The first is Celery's own note; the second is documented and read, but not in its list of defaults.
    unlisted = {"deprecated_settings", "redis_backend_health_check_interval"}
    assert set(app.conf.changes) - unlisted <= SETTING_KEYS
