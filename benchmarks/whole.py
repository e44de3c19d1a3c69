"""Cost of a whole run: processor time and memory, and the growth of both with the length of a recording.

    python -m benchmarks whole [--hours 2] [--disguise psola,vocoder]

The recording is 48 kHz stereo WAV, made of the examples over and over, so about eight tenths of it are speech.
Every figure is of a process of its own with one numeric thread, with what its children used (`wait4`). Runs take
turns, so that a ratio compares neighbours in time; the median of the ratios is shown. Peers that are not
installed are left out and named. `× real time` is of processor time, not of the clock; `in STFTs` is the cost
over that of a short-time Fourier transform and back (512/128, float32) of as much sound at 16 kHz."""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.fill import SPEED, fill
from benchmarks.record import record
from deident.audio import Audio
from deident.disguise import Method
from deident.dsp.stft import Stft

RECORDINGS = Path(__file__).parents[1] / "examples" / "recordings"
RATE = 48_000
HOURS, DISGUISES = 2.0, "psola,vocoder"


@dataclass(frozen=True)
class PassThrough(Method[None]):
    """No disguise: exists only here, as the denominator."""

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
        return audio


@dataclass(frozen=True)
class Cost:
    cpu_seconds: float
    system_seconds: float  # of them: copying, files, and finding memory
    peak_mb: float


def measure(command: list[str]) -> Cost:
    """Processor time of a process and its children, and the peak memory of the largest of them.

    What it leaves is removed when all is measured: ext4 passes over the places of files that were deleted in the
    last five minutes, one by one, for each new file. The interpreter keeps bytecode, as an installed package has it."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "",
            "TMPDIR": tempfile.mkdtemp(dir=_left_over()),
        },
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed with code {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_stime, usage.ru_maxrss / 1024)


@cache
def _left_over() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return folder


def make_recordings(folder: Path, seconds: float, count: int) -> None:
    """48 kHz stereo PCM 16: the examples, resampled, repeated, the right channel a little later; each of `count`
    recordings begins elsewhere in them."""
    import soundfile
    import soxr

    from deident.codec import read

    parts = [read(RECORDINGS / name).mono for name in ("call.wav", "reading.mp3", "meeting.flac")]
    once = soxr.resample(np.concatenate(parts), 16_000, RATE)
    stereo = (np.stack([once, np.roll(once, 480)], axis=1) * 32_000).clip(-32_768, 32_767).astype(np.int16)
    for number in range(count):
        turned = np.roll(stereo, -(number * len(stereo) // count), axis=0)
        left = round(seconds * RATE)
        with soundfile.SoundFile(folder / f"{number}.wav", "w", RATE, 2, "PCM_16") as file:
            while left > 0:
                file.write(turned[:left])
                left -= len(turned)


def make_apart(folder: Path, seconds: float, count: int = 1) -> None:
    """In a process of its own: the kernel counts this one's peak memory to every process it starts."""
    folder.mkdir()
    measure([sys.executable, "-m", "benchmarks.whole", "--make", str(seconds), str(count), str(folder)])


def ours(path: Path, disguise: str) -> list[str]:
    store = tempfile.mkdtemp(dir=_left_over())
    method = "benchmarks.whole:PassThrough" if disguise == "none" else disguise
    run = [sys.executable, "-m", "deident", "run", str(path), "--out", store]
    return [*run, "--disguise", method, "--jobs", "1"]


def librosa_and_vad(path: Path) -> list[str]:
    code = (
        "import sys, librosa, _webrtcvad as w\n"
        "x, r = librosa.load(sys.argv[1], sr=16000)\n"
        "raw = (x * 32767).astype('<i2').tobytes(); v = w.create(); w.init(v); w.set_mode(v, 2)\n"
        "[w.process(v, 16000, raw[i:i + 960], 480) for i in range(0, len(raw) - 959, 960)]\n"
    )
    return [sys.executable, "-c", code, str(path)]


def ffmpeg_chain(path: Path) -> list[str]:
    # The usual recipe for another pitch at the same length, with ffmpeg's own filters.
    pitch = "asetrate=16000*1.2,aresample=16000,atempo=1/1.2"
    return ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-ac", "1", "-ar", "16000",
            "-af", f"aresample=16000,{pitch}", "-f", "wav", "-y", os.devnull]  # fmt: skip


def main(argv: list[str]) -> int:

    parser = argparse.ArgumentParser(prog="python -m benchmarks whole", description=__doc__)
    parser.add_argument("--hours", type=float, default=HOURS)
    parser.add_argument("--disguise", default=DISGUISES)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long"
        make_apart(path, args.hours * 3600)
        costs = _compare(path / "0.wav", args.hours * 3600, args.disguise.split(","), args.rounds)
        lengths = _lengths(Path(folder), args.hours, args.disguise.split(",")[0])
    if (args.hours, args.disguise) == (HOURS, DISGUISES) and shutil.which("ffmpeg"):
        # anything less is another table than the documented one
        figures = {"hours": args.hours, "rounds": args.rounds, "cost": costs, "length": lengths}
        record("whole", figures)
        fill(SPEED, "whole", _table(costs))
    return 0


def _table(costs: dict[str, dict[str, float]]) -> list[list[str]]:
    rows = [["run", "real time", "processor time over that of no disguise", "of it the system's", "peak MB"]]
    for name, cost in costs.items():
        shown = [f"{cost['real_time']:,.0f}", f"{cost['ratio']:.2f}", f"{cost['system']:.0%}"]
        rows.append([name, *shown, f"{cost['peak_mb']:,.0f}"])
    return rows


def _compare(path: Path, seconds: float, disguises: list[str], rounds: int) -> dict[str, dict[str, float]]:
    runs: dict[str, Callable[[], list[str]]] = {"without a disguise": partial(ours, path, "none")}
    for name in disguises:
        runs[name] = partial(ours, path, name)
    runs["librosa.load + webrtcvad"] = partial(librosa_and_vad, path)
    if shutil.which("ffmpeg"):
        runs["ffmpeg mono/16 kHz/pitch"] = partial(ffmpeg_chain, path)
    else:
        print("ffmpeg is not installed: left out")
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    yardsticks: list[float] = []
    for _ in range(rounds):
        for name, command in runs.items():
            costs[name].append(measure(command()))
        yardsticks.append(_stft_seconds(seconds))
    base = costs["without a disguise"]
    print(f"\n{seconds / 3600:g} h of 48 kHz stereo WAV, median of {rounds}")
    print(f"{'':<28}{'CPU s':>8}{'system':>8}{'ratio':>8}{'in STFTs':>10}{'× real time':>13}{'peak MB':>9}")
    rows = {}
    for name, found in costs.items():
        cpu = median(c.cpu_seconds for c in found)
        ratio = median(c.cpu_seconds / b.cpu_seconds for c, b in zip(found, base, strict=True))
        system = median(c.system_seconds / c.cpu_seconds for c in found)
        stfts = median(c.cpu_seconds / yardstick for c, yardstick in zip(found, yardsticks, strict=True))
        peak = max(c.peak_mb for c in found)
        rows[name] = {"cpu_seconds": round(cpu, 2), "ratio": round(ratio, 2), "stfts": round(stfts, 2)}
        rows[name] |= {"system": round(system, 2), "real_time": round(seconds / cpu), "peak_mb": round(peak)}
        print(f"{name:<28}{cpu:>8.1f}{system:>8.0%}{ratio:>8.2f}{stfts:>10.2f}", end="")
        print(f"{seconds / cpu:>13.0f}{peak:>9.0f}")
    return rows


def _stft_seconds(seconds: float) -> float:
    """Processor time of a short-time Fourier transform and back of so much sound at 16 kHz."""
    stft, sound = Stft(), np.random.default_rng(0).standard_normal(9 * 16_000).astype(np.float32)
    turns = []
    for _ in range(40):
        started = time.process_time()
        stft.process(sound, lambda _, spectra: spectra)
        turns.append(time.process_time() - started)
    return median(turns) * seconds / 9


def _lengths(folder: Path, hours: float, disguise: str) -> list[dict[str, float]]:
    """Processor time per second of recording and memory, as recordings get longer: what so many recordings cost
    more than one of 10 s, as starting is paid for once."""
    print(f"\n{disguise} by length\n{'':<20}{'ms CPU a second':>16}{'peak MB':>9}")
    rows = []
    make_apart(folder / "start", 10.0)
    for seconds in (10.0, 60.0, 600.0, hours * 3600):
        count = max(1, round(1200 / seconds))
        path = folder / f"{seconds:.0f}"
        make_apart(path, seconds, count)
        rounds = 3 if seconds <= 1200 else 1
        costs = [
            (measure(ours(path, disguise)), measure(ours(folder / "start", disguise))) for _ in range(rounds)
        ]
        shutil.rmtree(path)
        more = median(cost.cpu_seconds - start.cpu_seconds for cost, start in costs)
        a_second = more / (count * seconds - 10.0)
        peak = max(cost.peak_mb for cost, _ in costs)
        rows.append({"seconds": seconds, "cpu_ms": round(1000 * a_second, 3), "peak_mb": round(peak)})
        print(f"{count:>6} of {seconds:>6.0f} s  {1000 * a_second:>16.2f}{peak:>9.0f}")
    return rows


if __name__ == "__main__" and sys.argv[1:2] == ["--make"]:
    make_recordings(Path(sys.argv[4]), float(sys.argv[2]), int(sys.argv[3]))
