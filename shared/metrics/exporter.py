"""The page that Prometheus scrapes: figures that a process keeps, and those that are looked up when it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from packsight.shared.metrics import noting
from packsight.shared.metrics.table import METRICS, SECONDS, Kind, Metric, Sample, Where
from packsight.shared.settings import Metrics

log = logging.getLogger(__name__)
disable_created_metrics()  # type: ignore[no-untyped-call] # as many series again, which nobody asks for

Look = Callable[[], Iterable[Sample]]
NOTED = tuple(metric for metric in METRICS.values() if metric.where is Where.WORKER and metric.kind is not Kind.GAUGE)
"""What workers note as it happens."""
_SOCKET = "figures"


class Figures:
    """The figures of one process. kept: those to which it adds; looked: give those that are as they are."""

    def __init__(self, kept: Iterable[Metric], looked: Sequence[Look] = ()) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._kept = {metric.name: _made(metric, self.registry) for metric in kept}
        self.registry.register(_Looked(looked))

    def take(self, samples: Sequence[Sample]) -> None:
        """Add to figures; what is not kept here is left out."""
        for sample in samples:
            if (kept := self._kept.get(sample.metric)) is None:
                continue
            labelled = kept.labels(*sample.labels) if sample.labels else kept
            if METRICS[sample.metric].kind is Kind.COUNTER:
                labelled.inc(sample.value)
            else:
                labelled.observe(sample.value)

    def page(self) -> tuple[bytes, str]:
        """The page as Prometheus reads it, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def serve(self, settings: Metrics) -> None:
        """Show the page to whoever asks at the address that the settings name, from threads of its own.

        Where it is taken that is said in the log: nobody scrapes then, and the work goes on.
        """
        try:
            start_http_server(settings.port, settings.address, self.registry)
        except OSError as error:
            log.error(
                "no figures can be scraped at %s:%s (%s): give each process a PACKSIGHT_METRICS__PORT of its own",
                settings.address, settings.port, error,
            )  # fmt: skip


def hear_children(folder: Path, figures: Figures) -> None:
    """Keep what this process notes, and what its children tell over a socket in a folder of theirs and its own."""
    noting.keep(figures.take)
    try:
        noting.Listener(folder / _SOCKET, figures.take).start()
    except OSError as error:  # such as a folder whose path is too long for a socket
        log.error("figures of children are not heard in %s: %s", folder, error)


class _Looked:
    """A collector in the sense of prometheus_client."""

    def __init__(self, looked: Sequence[Look]) -> None:
        self._looked = looked

    def describe(self) -> Iterable[Any]:
        """Nothing is looked up to be registered."""
        return ()

    def collect(self) -> Iterator[Any]:
        """Look; a metric of which there is nothing to say is left out."""
        families: dict[str, Any] = {}
        for sample in (sample for look in self._looked for sample in look()):
            metric = METRICS[sample.metric]
            if metric.name not in families:
                kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
                families[metric.name] = kind(metric.name, metric.text, labels=metric.labels)
            families[metric.name].add_metric(sample.labels, sample.value)
        yield from families.values()


def _made(metric: Metric, registry: CollectorRegistry) -> Any:
    if metric.kind is Kind.COUNTER:
        return Counter(metric.name, metric.text, metric.labels, registry=registry)
    if metric.kind is Kind.HISTOGRAM:
        return Histogram(metric.name, metric.text, metric.labels, registry=registry, buckets=SECONDS)
    return Summary(metric.name, metric.text, metric.labels, registry=registry)
