"""Figures of benchmarks in benchmarks/results, and the recordings that they are measured on."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def recorded(name: str) -> dict[str, Any]:
    """Read the figures of a benchmark; nothing where it was never run."""
    place = RESULTS / f"{name}.json"
    return json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}


def record(name: str, figures: object) -> None:
    """Write the figures of a benchmark."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def speech_folder(parser: argparse.ArgumentParser) -> Path:
    """Return the folder of real recordings, or end the program with a message."""
    if not (folder := os.environ.get("DEIDENT_SPEECH")):
        parser.error("set DEIDENT_SPEECH to the folder of real recordings")
    return Path(folder)
