"""`python -m benchmarks NAME`: measure, print a table, write benchmarks/results/NAME.json."""

from __future__ import annotations

import importlib
import os
import sys

BENCHMARKS = {
    "speed": "benchmarks.speed",
    "pitch": "benchmarks.pitch",
    "vad": "benchmarks.vad",
    "strength": "benchmarks.strength",
    "ablation": "benchmarks.ablation",
    "methods": "benchmarks.methods_page",
    "frontier": "benchmarks.frontier",
    "whole": "benchmarks.whole",
    "mutations": "benchmarks.mutations",
    "faults": "benchmarks.faults",
    "find": "benchmarks.find",
    "music": "benchmarks.music",
    "voices": "benchmarks.voices",
    "scale": "benchmarks.scale",
    "threads": "benchmarks.threads",
}

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # before numpy is loaded; a figure is for one core

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        sys.exit(f"usage: python -m benchmarks {{{','.join(BENCHMARKS)}}} [options]")
    sys.exit(importlib.import_module(BENCHMARKS[sys.argv[1]]).main(sys.argv[2:]))
