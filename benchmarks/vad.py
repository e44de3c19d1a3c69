"""Recall and false alarm of the speech detectors: on real meetings, and on readings in noise.

    DEIDENT_SPEECH=... python -m benchmarks vad [--detectors webrtcvad silero] [--readings 8]

Meetings: the reference is the turns in the `.rttm` beside each recording, without a collar. Recall is the share of
reference speech inside detected segments, the false-alarm rate the share of the rest inside them. Noise: the share of
what `find_speech` detects in the clean reading that a detector still detects, by kind of noise and by level of the
noise below the speech: the mean over readings, and in brackets the lowest of them. Readings are those of every other
training speaker; the settings were chosen on the others."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.record import RESULTS, record, speech_folder
from deident.audio import RATE, Audio, Bools, Floats, Segment, mask_of
from deident.codec import read
from deident.datasets.annotation_files import read_annotations
from deident.segmentation.detectors import DETECTORS, check_detector
from deident.segmentation.vad import VadSettings, find_speech

LEVELS_DB = (20, 15, 10, 5, 0)
TALKING = 6  # readings in babble
Find = Callable[[Audio], list[Segment]]

SPECTRA: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {  # amplitude by Hz
    "white": np.ones_like,
    "pink": lambda hz: np.maximum(hz, 20.0) ** -0.5,
    "hiss": lambda hz: np.where(hz >= 4_000.0, 1.0, 0.0),
    "telephone": lambda hz: np.where((hz >= 300.0) & (hz <= 3_400.0), 1.0, 0.0),
    "car": lambda hz: (hz > 20.0) / (1.0 + (hz / 100.0) ** 2),
}
KINDS = (*SPECTRA, "babble")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks vad", description=__doc__)
    parser.add_argument("--detectors", nargs="*", default=["webrtcvad", *DETECTORS])
    parser.add_argument("--readings", type=int, default=8)
    args = parser.parse_args(argv)
    speech = speech_folder(parser)
    results = {name: _measure(name, speech, args.readings) for name in args.detectors}
    record("vad", results)
    _draw(results)
    return 0


def detector(name: str) -> Find:
    """Find speech by `find_speech`, called webrtcvad here, or by a detector of an extra."""
    if name == "webrtcvad":
        return find_speech
    check_detector(name)
    return lambda audio: DETECTORS[name](audio, VadSettings())


def _measure(name: str, speech: Path, readings: int) -> dict[str, object]:
    find = detector(name)
    print(f"{name}\n  {'recording':<18}{'speech':>8}{'recall':>8}{'false alarm':>13}")
    meetings = dict(meetings_of(find, sorted((speech / "meeting").glob("*.rttm"))))
    print(f"  {'noise':<12}" + "".join(f"{level:>13} dB" for level in LEVELS_DB) + "  below the speech")
    mean: dict[str, dict[str, float]] = {}
    least: dict[str, dict[str, float]] = {}
    for kind, row in in_noise(find, speech, readings).items():
        mean[kind] = {level: round(float(np.mean(shares)), 4) for level, shares in row.items()}
        least[kind] = {level: round(min(shares), 4) for level, shares in row.items()}
        cells = (f"{mean[kind][level]:>8.1%} [{least[kind][level]:4.0%}]" for level in row)
        print(f"  {kind:<12}" + "".join(f"{cell:>16}" for cell in cells))
    return {"meetings": meetings, "recall_in_noise": mean, "least_recall_in_noise": least}


def meetings_of(find: Find, turns: Iterable[Path]) -> Iterable[tuple[str, dict[str, float]]]:
    """Measure recall and false alarm on each meeting, and on all."""
    totals = np.zeros(4)
    for path in turns:
        audio = read(path.with_suffix(".flac"))
        truth = mask_of([annotation.segment for annotation in read_annotations(path)], len(audio))
        found = mask_of(find(audio), len(audio))
        counts = np.array([(found & truth).sum(), truth.sum(), (found & ~truth).sum(), (~truth).sum()])
        totals += counts
        yield path.stem, _row(path.stem, counts)
    yield "all", _row("all", totals)


def _row(name: str, counts: npt.NDArray[np.float64]) -> dict[str, float]:
    hit, spoken, alarm, rest = counts
    recall, false = float(hit / max(spoken, 1)), float(alarm / max(rest, 1))
    print(f"  {name:<18}{spoken / RATE:>6.1f} s{recall:>8.1%}{false:>13.1%}")
    return {
        "speech_seconds": round(spoken / RATE, 1),
        "recall": round(recall, 4),
        "false_alarm": round(false, 4),
    }


def in_noise(find: Find, speech: Path, readings: int) -> dict[str, dict[str, list[float]]]:
    """Measure the recall of each reading, by kind of noise and level."""
    chosen = readings_of(speech, "dev_train")[1::2][:readings]
    others = readings_of(speech, "dev_trial")[: 2 * TALKING]
    recall: dict[str, dict[str, list[float]]] = {
        kind: {str(level): [] for level in LEVELS_DB} for kind in KINDS
    }
    for number, samples in enumerate(chosen):
        clean = mask_of(find_speech(Audio(samples, RATE)), samples.size)
        for kind in KINDS:
            noise = noise_of(kind, samples.size, number, others)
            for level in LEVELS_DB:
                noisy = Audio(in_noise_at(samples, clean, noise, level), RATE)
                found = mask_of(find(noisy), samples.size)
                recall[kind][str(level)].append(float((found & clean).sum() / clean.sum()))
    return recall


def readings_of(speech: Path, role: str) -> list[Floats]:
    """Read the snippets of each speaker of a role, one after another."""
    files: dict[str, list[str]] = {}
    with (speech / "files.tsv").open() as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if row["path"].startswith("verify/") and row["role"] == role:
                files.setdefault(row["speaker"], []).append(row["path"])
    return [
        np.concatenate([read(speech / path).mono for path in paths]) for _, paths in sorted(files.items())
    ]


def noise_of(kind: str, samples: int, seed: int, others: list[Floats]) -> Floats:
    """Make noise of power 1: (samples,)."""
    rng = np.random.default_rng(seed)
    if kind == "babble":
        chosen = rng.choice(len(others), TALKING, replace=False)
        voices = [np.roll(np.resize(others[at], samples), rng.integers(samples)) for at in chosen]
        noise = np.sum([voice / voice.std() for voice in voices], axis=0)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        noise = np.fft.irfft(spectrum * SPECTRA[kind](np.fft.rfftfreq(samples, 1.0 / RATE)), samples)
    scaled: Floats = (noise / noise.std()).astype(np.float32)
    return scaled


def in_noise_at(samples: Floats, clean: Bools, noise: Floats, level_db: float) -> Floats:
    """Add noise of power 1 at so many dB below the speech."""
    speech = float(np.sqrt(np.mean(np.square(samples[clean]))))
    return samples + noise * np.float32(speech * 10.0 ** (-level_db / 20.0))


def _draw(results: dict[str, dict[str, object]]) -> None:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        return
    figure, axes = plt.subplots(
        1, len(results), figsize=(4.5 * len(results), 3.5), sharey=True, squeeze=False
    )
    for axis, (name, result) in zip(axes[0], results.items(), strict=True):
        for kind, row in result["recall_in_noise"].items():  # type: ignore[attr-defined]
            axis.plot(LEVELS_DB, [100.0 * row[str(level)] for level in LEVELS_DB], marker="o", label=kind)
        every = result["meetings"]["all"]  # type: ignore[index]
        axis.set_title(
            f"{name}: meetings {every['recall']:.1%}, false alarm {every['false_alarm']:.1%}", fontsize=9
        )
        axis.set_xlabel("speech over noise, dB")
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("recall, % of the clean reading")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / "vad.png", dpi=100)
