"""How much of the speech in real meetings is found, and how much of what is none.

    DEIDENT_SPEECH=... python -m benchmarks vad

The reference is the turns in the `.rttm` beside each recording, without a collar. Speech found: the share of
reference speech inside found segments. False alarm: the share of the rest inside them."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from deident.audio import RATE, mask_of
from deident.codec import read
from deident.datasets.recordings import read_segments
from deident.segmentation.vad import VadSettings, find_speech

RESULT = Path(__file__).parent / "results" / "vad.json"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks vad", description=__doc__)
    parser.add_argument("folder", nargs="?", help="recordings with .rttm beside them")
    parser.add_argument("--gate-db", type=float, default=VadSettings.gate_db)
    args = parser.parse_args(argv)
    speech = os.environ.get("DEIDENT_SPEECH")
    folder = Path(args.folder) if args.folder else Path(speech, "meeting") if speech else None
    if folder is None:
        parser.error("name a folder, or set DEIDENT_SPEECH")
    totals, rows = np.zeros(4), {}
    print(f"{'recording':<20}{'speech':>8}{'found':>8}{'false alarm':>13}")
    for turns in sorted(folder.glob("*.rttm")):
        audio = read(next(p for p in sorted(folder.glob(f"{turns.stem}.*")) if p.suffix != ".rttm"))
        truth = mask_of([s for found in read_segments(turns).values() for s in found], len(audio))
        found = mask_of(find_speech(audio, VadSettings(gate_db=args.gate_db)), len(audio))
        counts = np.array([(found & truth).sum(), truth.sum(), (found & ~truth).sum(), (~truth).sum()])
        totals += counts
        rows[turns.stem] = _row(turns.stem, counts)
    rows["all"] = _row("all", totals)
    if not args.folder and args.gate_db == VadSettings.gate_db:
        RESULT.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _row(name: str, counts: np.ndarray) -> dict[str, float]:
    hit, said, alarm, rest = counts
    found, false = float(hit / max(said, 1)), float(alarm / max(rest, 1))
    print(f"{name:<20}{said / RATE:>6.1f} s{found:>8.1%}{false:>13.1%}")
    return {"speech_seconds": round(said / RATE, 1), "found": round(found, 4), "false_alarm": round(false, 4)}
