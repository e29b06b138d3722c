"""`python -m bench.alphabet DATA`: what a second head changes of the lines read on photos of sets, and what it costs.

Both spotters stand in one process and read each photo in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console

from bench import entry
from bench.photos import sample
from bench.sets import sets_in
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.settings import Decode, Models
from packsight.worker.networks.base import Spotter
from packsight.worker.networks.load import load_spotter
from packsight.worker.pipeline.decode import Pixels, decode

console = Console(width=130, highlight=False)


def main(
    data: Annotated[Path, typer.Argument(help="Folder of sets, as for bench.sets.")],
    photos: Annotated[int, typer.Option(help="Labelled photos of each set at most.")] = 60,
    alphabet: Annotated[str, typer.Option(help="The head, as PACKSIGHT_MODELS__ALPHABET.")] = Models().alphabet,
    cache: Annotated[Path, typer.Option(help="Folder for compiled networks.")] = Path("bench-out/models"),
) -> None:
    """Compare what is read without and with a second head, and its processor time a photo."""
    sets = sets_in(data)
    cv2.setNumThreads(1)  # as in a worker's child
    spotters = [load_spotter(Models(alphabet=name, cache_dir=cache), 1) for name in ("", alphabet)]
    for spotter in spotters:
        spotter.warm_up()
    for photo_set in sets:
        ratios, lines, changed = [], 0, list[tuple[str, str, str]]()
        for path in sample(photo_set.usable(), photos):
            (without, cost), (with_head, dearer) = in_turns(spotters, decode(path.read_bytes(), Decode()).pixels)
            ratios.append(dearer / cost)
            lines += len(without)
            changed += [(path.name, *pair) for pair in differing(without, with_head)]
        quarter, median, upper = np.quantile(ratios, (0.25, 0.5, 0.75))
        console.print(
            f"{photo_set.name}: {len(ratios)} photos, {lines} lines, {len(changed)} read otherwise; reading with "
            f"the head ÷ without, processor time by photo: median {median:.3f} (quartiles {quarter:.3f} to {upper:.3f})"
        )
        for name, before, after in changed:
            console.print(f"  {name}: {before or '-'} → {after or '-'}", markup=False)


def in_turns(spotters: Sequence[Spotter], pixels: Pixels, rounds: int = 3) -> list[tuple[list[WordRead], float]]:
    """What each reads on a photo, and the least processor seconds of so many rounds, the order turned each time."""
    read, least = [list[WordRead]() for _ in spotters], [float("inf")] * len(spotters)
    for turn in range(rounds):
        for place in range(len(spotters))[:: -1 if turn % 2 else 1]:
            begun = time.process_time()
            [read[place]] = spotters[place].spot([pixels])
            least[place] = min(least[place], time.process_time() - begun)
    return list(zip(read, least, strict=True))


def differing(before: Sequence[WordRead], after: Sequence[WordRead]) -> Iterator[tuple[str, str]]:
    """Texts at the same place that are not the same, "" where one reads none; places are the detector's, which both share."""
    texts = [{tuple(one.box): one.text for one in lines} for lines in (before, after)]
    for box in dict.fromkeys((*texts[0], *texts[1])):
        pair = (texts[0].get(box, ""), texts[1].get(box, ""))
        if pair[0] != pair[1]:
            yield pair


if __name__ == "__main__":
    entry.run(main)
