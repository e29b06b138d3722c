"""The quick tier: it needs no server and none of the large libraries that only some workers have."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.matching_catalog import Shop

ABSENT = frozenset({"torch", "torchvision", "nncf"})


class _Absent:
    """Finds no module of what this tier does without, whether or not it is installed."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"{name} is not for the tests in tests/unit: move the test to tests/integration", name=name)
        return None


@pytest.fixture(autouse=True, scope="package")
def _without_large_libraries() -> Iterator[None]:
    finder = _Absent()
    sys.meta_path.insert(0, finder)
    yield
    sys.meta_path.remove(finder)


@pytest.fixture(scope="session")
def tiny_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A version of twelve products with their photos, built once: for tests that only look at it."""
    from tests.unit.matching_catalog import shop

    return shop(tmp_path_factory.mktemp("tiny") / "v")
