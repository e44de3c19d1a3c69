"""Cost of each disguise against an STFT and back of the same audio and against what others offer.

Everything is measured in turns on one core, in processor time (that of programs too, less what a short file
costs them), as a ratio to the STFT of the same turn; the median over the turns is printed with the middle
half."""

from __future__ import annotations

import argparse
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.fill import SPEED, fill
from benchmarks.peers import PEERS, installed
from benchmarks.record import record
from deident.audio import RATE, Audio, Samples
from deident.disguise import DISGUISES, Method
from deident.disguise.base import V, apply_all
from deident.dsp.pitch import PitchTracker
from deident.dsp.stft import Stft
from deident.pipeline import TOGETHER

REFERENCE = "STFT and back"
RECORDED = "recorded speech"
BARS = [  # (ours, theirs, how many times as fast); the reference stands for a cost instead
    ("psola", REFERENCE, 1 / 2.5),
    ("psola", "Praat Change gender", 15.0),
    ("psola", "Rubber Band -p 4 -F", 15.0),
    ("psola", "librosa pitch_shift", 6.0),
    ("psola", "sox pitch", 2.0),
    ("psola", "B2 loop (librosa.lpc, lfilter)", 40.0),
    ("mcadams", "B2 loop (librosa.lpc, lfilter)", 8.0),
    ("vocoder", REFERENCE, 1 / 4.0),
    ("vocoder", "Praat Change gender", 10.0),
    ("vocoder", "Rubber Band -p 4 -F", 10.0),
    ("vocoder", "B2 loop (librosa.lpc, lfilter)", 25.0),
    ("vocoder", "WORLD dio", 60.0),
]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed", description=__doc__)
    parser.add_argument("--seconds", type=float, default=9.0, help="of audio, for the first table")
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    samples, source = _audio(options.seconds)
    print(f"{options.seconds:g} s of {source}, {options.turns} turns, one core\n")
    present = {name: peer for name, peer in PEERS.items() if installed(peer)}
    ratios = _measure({**_ours(samples), **present}, samples, options.turns)
    _print_costs(ratios)
    for name in PEERS.keys() - present.keys():
        print(f"{name:34}missing here")
    lengths = _by_length(_audio(TOGETHER / RATE)[0], options.turns)
    bars = _print_bars(ratios)
    result = {
        "seconds": options.seconds,
        "audio": source,
        "turns": options.turns,
        "stft_times_real_time": round(float(np.median(ratios[REFERENCE]))),
        "cost_in_stft": {
            name: round(float(np.median(values)), 2) for name, values in ratios.items() if name != REFERENCE
        },
        "missing": sorted(PEERS.keys() - present.keys()),
        "by_seconds": lengths,
        "bars": bars,
    }
    record("speed", result)
    if source == RECORDED and not result["missing"]:
        fill(SPEED, "speed", _times_as_fast(ratios))
    return 0


def _audio(seconds: float) -> tuple[Samples, str]:
    """Recordings from DEIDENT_SPEECH where it is set, otherwise a synthetic speaker."""
    wanted = round(seconds * RATE)
    folder = os.environ.get("DEIDENT_SPEECH")
    if folder:
        import soundfile

        parts: list[Samples] = []
        for path in sorted(Path(folder, "verify").rglob("*.flac"))[::7]:
            parts.append(soundfile.read(path, dtype="float32")[0])
            if sum(map(len, parts)) >= wanted:
                return np.concatenate(parts)[:wanted], RECORDED
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.voices import speech

    return speech(seconds=seconds), "synthetic speech (set DEIDENT_SPEECH for recordings)"


def _ours(samples: Samples) -> dict[str, Callable[[Samples], object]]:
    stft, rng = Stft(), np.random.default_rng(1)

    def disguised(name: str) -> Callable[[Samples], object]:
        method = DISGUISES[name]()
        voices = [method.draw(rng) for _ in range(32)]
        turns = iter(range(10**9))  # another voice every time: the cost depends on it
        return lambda samples: method.apply(
            Audio(samples, RATE), voices[next(turns) % len(voices)], np.random.default_rng(0)
        )

    return {
        REFERENCE: lambda samples: stft.process(samples, lambda _, spectra: spectra),
        "pitch alone, hop 128": PitchTracker(hop=128).track,
        "pitch alone, hop 256": PitchTracker(hop=256).track,
        **{name: disguised(name) for name in DISGUISES},
    }


def _measure(
    methods: dict[str, Callable[[Samples], object]], samples: Samples, turns: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Ratios to the reference, one a turn, of each method; and the reference's real-time factor."""
    for method in methods.values():
        method(samples)  # imports, compilers and caches are not what is asked about
    start_up = {name: _cost(method, samples[:800]) for name, method in methods.items() if _is_program(method)}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(turns):
        for name, method in methods.items():
            repeats = 1 if name in PEERS else 5
            cost = sorted(_cost(method, samples) for _ in range(repeats))[repeats // 2]
            seconds[name].append(cost - start_up.get(name, 0.0))
    reference = np.array(seconds[REFERENCE])
    ratios = {name: np.array(values) / reference for name, values in seconds.items()}
    ratios[REFERENCE] = len(samples) / RATE / reference
    return ratios


def _is_program(method: Callable[[Samples], object]) -> bool:
    return getattr(method, "__qualname__", "").startswith("command")


def _cost(method: Callable[[Samples], object], samples: Samples) -> float:
    """Seconds of processor time, of this process and of those it started."""
    before = _spent()
    method(samples)
    return _spent() - before


def _spent() -> float:
    import time

    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _print_costs(ratios: dict[str, npt.NDArray[np.float64]]) -> None:
    real_time = float(np.median(ratios[REFERENCE]))
    print(f"{'':34}{'cost in STFTs':>14}{'middle half':>20}{'× real time':>14}")
    print(f"{REFERENCE:34}{1:>14}{'':>20}{real_time:>14,.0f}")
    for name, values in ratios.items():
        if name != REFERENCE:
            low, middle, high = np.percentile(values, [25, 50, 75])
            spread = f"{low:.2f} to {high:.2f}"
            print(f"{name:34}{middle:>14.2f}{spread:>20}{real_time / middle:>14,.0f}")


def _by_length(samples: Samples, turns: int) -> dict[str, dict[str, float]]:
    """The cost of a second of audio cut into snippets of other lengths, disguised one by one and as many
    together as a run does, in STFTs of a second of all of it."""
    lengths = (1.0, 3.0, 9.0)
    whole, rng = _ours(samples)[REFERENCE], np.random.default_rng(1)
    table: dict[str, dict[str, float]] = {}
    print(f"\n{'cost a second, snippets of':34}" + "".join(f"{seconds:>12g} s" for seconds in lengths))
    for name in DISGUISES:
        for way, work in WAYS.items():
            costs: dict[float, list[float]] = {seconds: [] for seconds in lengths}
            for _ in range(turns):
                reference = _cost(whole, samples) / len(samples)
                for seconds in lengths:
                    costs[seconds].append(_cost_a_sample(work, name, samples, seconds, rng) / reference)
            row = {f"{seconds:g}": round(float(np.median(costs[seconds])), 2) for seconds in lengths}
            table[f"{name}, {way}"] = row
            print(f"{name + ', ' + way:34}" + "".join(f"{value:>14.2f}" for value in row.values()))
    return table


def _cost_a_sample(
    work: Callable[..., object], name: str, samples: Samples, seconds: float, rng: np.random.Generator
) -> float:
    method, audios = DISGUISES[name](), _cuts(samples, seconds)
    voices = [method.draw(rng) for _ in audios]
    costs = sorted(_cost(lambda _: work(method, audios, voices), samples) for _ in range(5))
    return costs[2] / sum(map(len, audios))


def _one_by_one(method: Method[V], audios: Sequence[Audio], voices: Sequence[V]) -> list[Audio]:
    return [
        method.apply(audio, voice, np.random.default_rng(0))
        for audio, voice in zip(audios, voices, strict=True)
    ]


def _together(method: Method[V], audios: Sequence[Audio], voices: Sequence[V]) -> object:
    return apply_all(method, audios, voices, [np.random.default_rng(0) for _ in audios])


WAYS: dict[str, Callable[..., object]] = {"alone": _one_by_one, "together": _together}


def _cuts(samples: Samples, seconds: float) -> list[Audio]:
    """As many snippets, one after another, as a run disguises together."""
    size = round(seconds * RATE)
    count = len(samples) // size
    return [Audio(samples[start : start + size], RATE) for start in range(0, count * size, size)]


def _print_bars(ratios: dict[str, npt.NDArray[np.float64]]) -> dict[str, float]:
    """Print each ratio of speeds beside its bar."""
    print(f"\n{'times as fast as':48}{'measured':>10}{'bar':>8}")
    found: dict[str, float] = {}
    for ours, theirs, bar in BARS:
        if ours in ratios and theirs in ratios:
            base = np.ones(1) if theirs == REFERENCE else ratios[theirs]
            times = float(np.median(base / ratios[ours]))
            found[f"{ours} / {theirs}"] = round(times, 2)
            mark = "" if times >= bar else "   below the bar"
            print(f"{ours + ' and ' + theirs:48}{times:>10.2f}{bar:>8.2f}{mark}")
    return found


def _times_as_fast(ratios: dict[str, npt.NDArray[np.float64]]) -> list[list[str]]:
    """A table: each disguise, how many times real time, and how many times as fast as each peer."""
    real_time = float(np.median(ratios[REFERENCE]))
    rows = [["method", "real time", REFERENCE, *PEERS]]
    for name in DISGUISES:
        ours = ratios[name]
        times = [float(np.median(base / ours)) for base in (1.0, *(ratios[peer] for peer in PEERS))]
        shown = [f"{value:.{int(value < 10.0)}f}" for value in times]
        rows.append([name, f"{real_time / float(np.median(ours)):,.0f}", *shown])
    return rows
