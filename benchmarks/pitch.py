"""Agreement of our pitch tracker with `librosa.pyin` on real speech.

    DEIDENT_SPEECH=... python -m benchmarks pitch [--files 40]

Of the frames both call voiced, the share within 20 % of each other; for pyin with frames of 64 ms, as long as
ours, and of its default length of 2,048 samples."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.record import record, speech_folder
from deident.audio import Floats
from deident.dsp.pitch import PitchTracker

RATE, HOP = 16_000, 256


def agreement(samples: Floats, frame: int) -> npt.NDArray[np.int64]:
    """Count frames: agreeing, voiced for both, for pyin, for us, in all."""
    import librosa

    theirs, _, _ = librosa.pyin(
        samples, fmin=50.0, fmax=500.0, sr=RATE, frame_length=frame, hop_length=HOP, fill_na=0.0
    )
    ours = PitchTracker(hop=HOP).track(samples).f0_hz
    count = min(len(ours), len(theirs))
    ours, theirs = ours[:count], theirs[:count]
    both = (ours > 0.0) & (theirs > 0.0)
    near = np.abs(np.log(ours[both] / theirs[both])) < np.log(1.2)
    return np.array([near.sum(), both.sum(), (theirs > 0.0).sum(), (ours > 0.0).sum(), count])


def speech_files(folder: Path, count: int) -> list[Path]:
    """List readings of many speakers, of two more, and one long reading."""
    verify = sorted((folder / "verify").rglob("*.flac"))
    rest = sorted(path for name in ("vctk", "long") for path in (folder / name).rglob("*.flac"))
    return [*verify[:: max(1, len(verify) // count)][:count], *rest]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks pitch", description=__doc__)
    parser.add_argument("--files", type=int, default=40, help="of the verify folder, besides the others")
    options = parser.parse_args(argv)
    speech = speech_folder(parser)
    import librosa

    totals = {1_024: np.zeros(5, np.int64), 2_048: np.zeros(5, np.int64)}
    for path in speech_files(speech, options.files):
        samples, _ = librosa.load(path, sr=RATE, duration=10.0)
        for frame in totals:
            totals[frame] += agreement(samples, frame)
    print(f"{'pyin frame':>10}{'agree':>9}{'both voiced':>13}{'pyin':>8}{'ours':>8}   of frames")
    result = {}
    for frame, (near, both, theirs, ours, count) in totals.items():
        print(
            f"{frame:>10}{near / both:>9.1%}{both / count:>13.1%}{theirs / count:>8.1%}{ours / count:>8.1%}"
        )
        result[str(frame)] = {"agree": round(float(near / both), 4), "frames_both_voiced": int(both)}
    record("pitch", result)
    return 0
