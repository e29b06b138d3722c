"""A worker's figures, shown by its parent process; loaded only where somebody is to scrape them."""

from __future__ import annotations

from functools import partial

from packsight.shared.metrics import vital_signs
from packsight.shared.metrics.exporter import NOTED, Figures, hear_children
from packsight.shared.queue.pulse import pulses
from packsight.shared.queue.vitals import Vitals
from packsight.shared.settings import Metrics


def show(settings: Metrics, vitals: Vitals) -> None:
    """Keep what this process notes and its children tell, and show it; called before there are children."""
    figures = Figures(NOTED, [partial(vital_signs.samples_of, vitals)])
    hear_children(pulses().folder, figures)
    figures.serve(settings)
