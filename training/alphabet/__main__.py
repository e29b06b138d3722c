"""`python -m training.alphabet`: train a head for an alphabet, and write it for the worker with what it was seen to read.

    train   fits the head; needs torch, and uses a GPU where there is one
    finish  fits when the head is believed, judges it, and writes the head's file and its figures
    judge   judges a head's file again, the shipped one or another's

Another alphabet is named by a word list: `train --name armenian --list armenian.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import cv2
import torch

from packsight.worker.networks.heads import HEADS
from training.alphabet import faces
from training.alphabet.alphabets import CYRILLIC, Alphabet
from training.alphabet.batches import FreshLines, Symbols
from training.alphabet.dictionaries import FOLDER
from training.alphabet.lines import Drawer
from training.alphabet.network import Head
from training.alphabet.texts import Words
from training.alphabet.train import Plan, train


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("train", "finish", "judge"))
    parser.add_argument("--name", default=CYRILLIC.name)
    parser.add_argument("--list", type=Path, help="word list, one word a line, for another alphabet than Cyrillic")
    parser.add_argument("--recogniser", type=Path, help="PP-OCRv6_rec_small.onnx; the installed one if it is not given")
    parser.add_argument("--fonts", type=Path, nargs="+", default=faces.FOLDERS)
    parser.add_argument("--words", type=Path, default=FOLDER, help="folder of hunspell dictionaries")
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="end after so long, whatever was seen")
    parser.add_argument("--rate", type=float, default=Plan.rate)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--report", type=int, default=Plan.report)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--judged", type=int, default=2000, help="lines to judge by")
    parser.add_argument("--asked", type=int, default=6000, help="lines to fit by when the head is believed")
    parser.add_argument("--state", type=Path, default=Path("training-out/head.pt"), help="what train writes and finish reads")
    parser.add_argument("--out", type=Path, default=Path("training-out/head.npz"), help="what finish writes")
    parser.add_argument("--head", type=Path, default=HEADS / "cyrillic.npz", help="what judge reads; else the shipped one")
    options = parser.parse_args()
    alphabet, words = _read(options, parser)
    symbols, fonts = Symbols(alphabet), faces.find(options.fonts)
    own = alphabet.letters[: len(alphabet.letters) // 2]
    kept = [face for face in fonts if not faces.held_out(face)]
    held = [face for face in fonts if faces.held_out(face)]
    for part, name in ((kept, "to train in"), (held, "held out")):
        able = faces.by_family(face for face in part if face.writes(own))
        _say(f"{len(part)} fonts of {len(faces.by_family(part))} families {name}, {len(able)} of them write it")
        if not able:
            parser.error(f"No font {name} writes this alphabet. Install fonts that do, or name their folders by --fonts.")
    recogniser = options.recogniser or _installed()
    options.state.parent.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    if options.step == "train":
        torch.multiprocessing.set_sharing_strategy("file_system")
        drawer = Drawer(words, held, 77)
        judged = [drawer.line() for _ in range(options.judged)]
        named = ("lines", "rate", "seed", "processes", "report", "minutes")
        plan = Plan(**{name: getattr(options, name) for name in named})
        train(recogniser, FreshLines(words, kept, symbols, plan.seed), judged, symbols, plan, options.state, _say)
        return
    from training.alphabet.finish import Figure, finish, judge  # noqa: PLC0415 - needs the worker, not at hand where it trains

    figures: list[Figure]
    if options.step == "judge":
        figures = judge(options.head, recogniser, words, kept, held, options.asked, options.judged)
    else:
        head = Head(len(symbols))
        head.load_state_dict(torch.load(options.state, map_location="cpu", weights_only=True))
        figures = finish(head, recogniser, words, kept, held, options.asked, options.judged, options.out)
        options.out.with_suffix(".json").write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n", "utf-8")
    for figure in figures:
        _say(str(figure))


def _read(options: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[Alphabet, Words]:
    """The alphabet and its words; ends the program with the reason where what the step reads is not there or no use."""
    needed = {"judge": options.head, "finish": options.state}.get(options.step)
    if needed is not None and not needed.is_file():
        parser.error(f"{needed} does not exist. Name a head's file by --head, what train has written by --state.")
    try:
        alphabet = Alphabet.of_words(options.name, options.list) if options.list else CYRILLIC
        return alphabet, Words.of(alphabet, options.words)
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}. Install what docs/models.md names, or correct --words or --list.")
    except ValueError as error:
        parser.error(str(error))


def _installed() -> Path:
    from packsight.worker.networks.spotters.ppocr import RECOGNISER, carried  # noqa: PLC0415 - as above

    return carried()[RECOGNISER].path


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
