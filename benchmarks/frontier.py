"""The front of protection against words: settings of the vocoder drawn at random, each attacked and transcribed.

`python -m benchmarks frontier --encoder onnx:PATH --recogniser whisper:PATH` on the recordings in the folder that
DEIDENT_SPEECH names. It chooses on every second speaker on trial; `--report` measures settings on the others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from benchmarks.strength import material
from deident.disguise.vocoder import Vocoder
from deident.evaluation.cache import Cache
from deident.evaluation.corpus import Corpus
from deident.evaluation.encoders import encoder_named
from deident.evaluation.run import evaluate
from deident.evaluation.settings import Settings, Tools
from deident.evaluation.words import recogniser_named

SPACE: Mapping[str, tuple[float, float]] = {  # of standard deviations and amounts, drawn evenly
    "warp": (0.0, 0.5),
    "colour": (0.0, 1.2),
    "tilt_db": (0.0, 3.0),
}
WIDTH = (1.05, 1.3)  # of the drawn vocal tract: from its inverse to it


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks frontier", description=__doc__)
    parser.add_argument("--encoder", required=True, help="as `deident evaluate` takes it: onnx:PATH")
    parser.add_argument("--recogniser", required=True, help="as `deident evaluate` takes it: whisper:PATH")
    parser.add_argument("--points", type=int, default=12, help="settings to try (default 12)")
    parser.add_argument("--seed", type=int, default=0, help="of the settings")
    parser.add_argument(
        "--report", help="a JSON list of settings, measured on the other half of the speakers"
    )
    parser.add_argument("--cache", help="keep work in this folder")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args(argv)
    chosen = json.loads(Path(args.report).read_text()) if args.report else drawn(args.points, args.seed)
    tools = Tools(dict([encoder_named(args.encoder)]), dict([recogniser_named(args.recogniser)]))
    report = evaluate(
        half(material()[0], int(bool(args.report))),
        {f"point {number}": Vocoder(**settings) for number, settings in enumerate(chosen)},
        settings=Settings(invert=False),
        tools=tools,
        cache=Cache(Path(args.cache) if args.cache else None),
        jobs=args.jobs,
    )
    points = [point(settings, report.verdicts[f"point {k}"]) for k, settings in enumerate(chosen)]
    for found in sorted(points, key=lambda found: found["added"][0]):
        mark = "*" if on_front(found, points) else " "
        eer, added = (f"{a:5.1f} [{b:.1f}, {c:.1f}]" for a, b, c in (found["eer"], found["added"]))
        print(f"{mark} EER {eer:24} words {added:24} {json.dumps(found['settings'])}")
    record("frontier_report" if args.report else "frontier", points)
    return int(report.exit_code)


def drawn(points: int, seed: int) -> list[dict[str, Any]]:
    """Draw settings: the default first, then random ones."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = [{}]
    for _ in range(points - 1):
        values = {name: round(float(rng.uniform(*bounds)), 3) for name, bounds in SPACE.items()}
        width = round(float(rng.uniform(*WIDTH)), 3)
        found.append({**values, "tract": (round(1.0 / width, 3), width)})
    return found


def half(corpus: Corpus, which: int) -> Corpus:
    """Keep the training speakers, and every second of the others."""
    trial = sorted({u.speaker for u in corpus.utterances if u.role != "train"})
    kept = set(trial[which::2])
    return replace(
        corpus, utterances=tuple(u for u in corpus.utterances if u.role == "train" or u.speaker in kept)
    )


def point(settings: dict[str, Any], verdict: Any) -> dict[str, Any]:
    """Take equal error rate and added words, in percent with intervals, from a verdict."""
    [use] = verdict.utility.words.values()
    strongest = verdict.headline
    return {
        "settings": settings,
        "eer": [round(100.0 * value, 1) for value in (strongest.eer, strongest.low, strongest.high)],
        "top_1": round(verdict.identification.top_1.value, 2),
        "added": [round(100.0 * value, 1) for value in (use.added.value, use.added.low, use.added.high)],
    }


def on_front(found: dict[str, Any], points: Sequence[dict[str, Any]]) -> bool:
    """No other point protects as much for fewer words."""
    return not any(
        other["eer"][0] >= found["eer"][0] and other["added"][0] < found["added"][0] for other in points
    )
