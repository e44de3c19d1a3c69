"""How much of the speech in real meetings is found, and how much of what is none.

    DEIDENT_SPEECH=... python -m benchmarks vad

The reference is the turns in the `.rttm` beside each recording, without a collar. Speech found: the share of
reference speech inside found segments. False alarm: the share of the rest inside them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from deident.audio import RATE, mask_of
from deident.codec import read
from deident.sources import read_segments
from deident.vad import Speech, find_speech


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks vad", description=__doc__)
    parser.add_argument("folder", nargs="?", help="recordings with .rttm beside them")
    parser.add_argument("--gate-db", type=float, default=Speech.gate_db)
    args = parser.parse_args(argv)
    speech = os.environ.get("DEIDENT_SPEECH")
    folder = Path(args.folder) if args.folder else Path(speech, "meeting") if speech else None
    if folder is None:
        parser.error("name a folder, or set DEIDENT_SPEECH")
    totals = np.zeros(4)
    print(f"{'recording':<20}{'speech':>8}{'found':>8}{'false alarm':>13}")
    for turns in sorted(folder.glob("*.rttm")):
        audio = read(next(p for p in sorted(folder.glob(f"{turns.stem}.*")) if p.suffix != ".rttm"))
        truth = mask_of([s for found in read_segments(turns).values() for s in found], len(audio))
        found = mask_of(find_speech(audio, Speech(gate_db=args.gate_db)), len(audio))
        counts = np.array([(found & truth).sum(), truth.sum(), (found & ~truth).sum(), (~truth).sum()])
        totals += counts
        _row(turns.stem, counts)
    _row("all", totals)
    return 0


def _row(name: str, counts: np.ndarray) -> None:
    hit, said, alarm, rest = counts
    print(f"{name:<20}{said / RATE:>6.1f} s{hit / max(said, 1):>8.1%}{alarm / max(rest, 1):>13.1%}")
