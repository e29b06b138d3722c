"""What stands on a page for Prometheus."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from packsight.shared.metrics.table import METRICS

Values = Mapping[tuple[str, ...], float]
"""By name and values of labels, in the order that the table has."""


def values(page: bytes) -> Values:
    families = text_string_to_metric_families(page.decode())
    samples = [sample for family in families for sample in family.samples if sample.name.startswith("packsight_")]
    return {(sample.name, *_labels(sample.name, sample.labels)): sample.value for sample in samples}


def scrape(port: int) -> Values:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        return values(page.read())


def _labels(name: str, given: Mapping[str, str]) -> list[str]:
    own = METRICS.get(name) or METRICS[name.rpartition("_")[0]]
    return [*(given[label] for label in own.labels), *([given["le"]] if "le" in given else [])]
