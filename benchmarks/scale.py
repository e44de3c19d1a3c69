"""Growth of runs with workers and with recordings, and what follows for a thousand cores.

    python -m benchmarks scale [workers] [overhead] [--recordings 200] [--seconds 10] [--tiny 20000] [--rounds 5]

Workers: the same recordings with `--jobs 1` and 2 and on a Dask cluster of 1 and 2 worker processes, in turns, so
that a ratio compares neighbours in time: the median of the ratios, and the ratio of the best turns, which is what a
machine shows that others leave alone. A cluster is up before its clock starts; its start
is shown apart. Overhead: many recordings of half a second, as a run, and as arrays through `deidentify` alone, in
turns; the difference is what reading, guarding, auditing, storing and remembering cost. Every figure is of a process
of its own. The model takes its figures from here and its assumptions from ASSUMED; both are printed."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.record import record, recorded

EXAMPLES = Path(__file__).parents[1] / "examples" / "recordings"
RATE = 16_000
TINY_SECONDS = 0.5
BARS = {"dask1_over_dask2": 1.7, "dask2_over_jobs2": 1.1, "overhead_ms": 3.0}
ASSUMED = {
    "cores": 1_000,
    "hours": 1_000_000,
    "minutes_a_recording": 5,
    "puts_a_second": 3_500,  # of one prefix, as S3 documents; a bucket divides prefixes as they get busy
    "worker_efficiency": 0.9,  # one core of a full machine against one alone
}


def make_recordings(folder: Path, count: int, seconds: float) -> None:
    """Speech of the examples from anywhere: all different."""
    import soundfile

    from deident.codec import read

    sound = np.concatenate([read(EXAMPLES / n).mono for n in ("call.wav", "reading.mp3", "meeting.flac")])
    sound = np.tile(sound, 1 + round(2 * seconds * RATE) // sound.size)
    size, rng = round(seconds * RATE), np.random.default_rng(1)
    for number in range(count):
        start = int(rng.integers(0, sound.size - size))
        soundfile.write(folder / f"{number:06}.wav", sound[start : start + size], RATE)


def measure(mode: str, folder: Path, count: int) -> dict[str, Any]:
    """One mode in a process of its own. cpu : processor seconds, start-up and decoders included."""
    command = [sys.executable, "-m", "benchmarks.scale", "--one", mode, str(folder), str(count)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        assert process.stdout is not None
        answer = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{mode} failed with code {process.returncode}")
    found: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return {**found, "cpu": used.ru_utime + used.ru_stime}


def one(mode: str, folder: Path, count: int) -> dict[str, Any]:
    """Modes: kernel, jobs1, jobs2, dask1, dask2, and bucket2, two workers with a store at a URI."""
    from deident.policy import Policy

    recordings = [str(path) for path in sorted(folder.iterdir())[:count]]
    policy = Policy()
    begun = time.perf_counter()
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-", dir=folder.parent))
        if mode == "kernel":
            return {"seconds": _kernel(recordings, policy), "ready": 0.0, **_usage()}
        how, number = mode[:-1], int(mode[-1])
        executor = None if how == "jobs" else stack.enter_context(_cluster(number, recordings[0], policy))
        store = f"file://{out}/store" if how == "bucket" else f"{out}/store"
        before, ready = _usage(), time.perf_counter()
        summary = _run(recordings, store, policy, number, executor)
        seconds, after = time.perf_counter() - ready, _usage()
        return {
            "seconds": seconds,
            "ready": ready - begun,
            "sound": summary.read_seconds,
            "snippets": summary.snippets,
            "own_cpu": after["own_cpu"] - before["own_cpu"],
            "peak_mb": after["peak_mb"],
        }


def _kernel(recordings: list[str], policy: Any) -> float:
    import soundfile

    from deident.pipeline import deidentify

    seconds = 0.0
    for path in recordings:
        samples, rate = soundfile.read(path, dtype="int16")
        begun = time.perf_counter()
        for snippet in deidentify((samples, rate), policy):
            snippet.encode()
        seconds += time.perf_counter() - begun
    return seconds


def _cluster(workers: int, recording: str, policy: Any) -> Any:
    """A client of a cluster whose workers have loaded all that they need."""
    from contextlib import contextmanager

    @contextmanager
    def ready() -> Any:
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
            Client(cluster) as client,
            tempfile.TemporaryDirectory() as scratch,
        ):
            client.run(_warm, recording, policy)
            _run([recording], f"{scratch}/store", policy, 1, client)
            yield client

    return ready()


def _warm(recording: str, policy: Any) -> None:
    from deident.pipeline import deidentify

    list(deidentify(recording, policy))


def _run(recordings: list[str], store: str, policy: Any, jobs: int, executor: Any) -> Any:
    from deident.runs.run import run

    summary = run(recordings, store, policy, jobs=jobs, executor=executor)
    assert summary.fine or summary.states["dropped"]
    return summary


def _usage() -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"own_cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


def workers(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    modes = ("jobs1", "dask1", "jobs2", "dask2")
    found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in modes}
    for _ in range(rounds):
        for mode in modes:
            found[mode].append(measure(mode, folder, count))
    seconds = {mode: [turn["seconds"] for turn in turns] for mode, turns in found.items()}

    def ratio(slow: str, fast: str) -> dict[str, float]:
        turns = [a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)]
        best = min(seconds[slow]) / min(seconds[fast])
        return {"median": round(median(turns), 2), "best_turns": round(best, 2)}

    print(
        f"\n{count} recordings, {found['jobs1'][0]['sound'] / 60:.0f} min of sound, median of {rounds} turns"
    )
    print(f"{'':<8}{'s':>8}{'× real time':>13}{'start s':>9}   turns")
    for mode, turns in found.items():
        took = median(seconds[mode])
        each = " ".join(f"{s:.1f}" for s in seconds[mode])
        start = median(turn["ready"] for turn in turns)
        print(f"{mode:<8}{took:>8.2f}{turns[0]['sound'] / took:>13.0f}{start:>9.1f}   {each}")
    ratios = {
        "dask1_over_dask2": ratio("dask1", "dask2"),
        "dask2_over_jobs2": ratio("dask2", "jobs2"),
        "jobs1_over_jobs2": ratio("jobs1", "jobs2"),
        "dask1_over_jobs1": ratio("dask1", "jobs1"),
    }
    print(f"{'ratio of times':<28}{'median':>8}{'best turns':>12}")
    for name, values in ratios.items():
        bar = f"   bar {BARS[name]}" if name in BARS else ""
        print(f"{name.replace('_', ' '):<28}{values['median']:>8}{values['best_turns']:>12}{bar}")
    first = found["jobs1"][0]
    return {
        "seconds": {mode: [round(s, 2) for s in turns] for mode, turns in seconds.items()},
        "ratios": ratios,
        "sound_seconds": first["sound"],
        "times_real_time": round(first["sound"] / min(seconds["jobs1"]), 1),
        "snippets_an_hour": round(3600 * first["snippets"] / first["sound"]),
    }


def overhead(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """Of tiny recordings: per recording, by count; and what the client of a cluster spends on each."""
    few, rows = max(1, count // 4), {}
    columns = ("run_ms", "kernel_ms", "overhead_ms", "overhead_cpu_ms", "peak_mb")
    print(f"\nrecordings of {TINY_SECONDS} s; bar: {BARS['overhead_ms']} ms")
    print(f"{'':<10}" + "".join(f"{name.replace('_', ' '):>17}" for name in columns), flush=True)
    for number in (few, count):
        turns = [
            (measure("jobs1", folder, number), measure("kernel", folder, number))
            for _ in range(rounds if number == few else 1)
        ]
        rows[str(number)] = row = {
            "run_ms": round(1000 * median(r["seconds"] for r, _ in turns) / number, 2),
            "kernel_ms": round(1000 * median(k["seconds"] for _, k in turns) / number, 2),
            "overhead_ms": round(1000 * median(r["seconds"] - k["seconds"] for r, k in turns) / number, 2),
            "overhead_cpu_ms": round(1000 * median(r["cpu"] - k["cpu"] for r, k in turns) / number, 2),
            "peak_mb": round(max(r["peak_mb"] for r, _ in turns)),
        }
        print(f"{number:<10}" + "".join(f"{row[name]:>17}" for name in columns), flush=True)
    client = {}
    for mode in ("dask2", "bucket2"):
        found = measure(mode, folder, few)
        client[mode] = {
            "ms_a_recording": round(1000 * found["own_cpu"] / few, 3),
            "snippets_a_recording": round(found["snippets"] / few, 2),
            "peak_mb": round(found["peak_mb"]),
        }
        print(f"{mode}: client and scheduler spend {client[mode]['ms_a_recording']} ms of processor a recording,"
              f" {client[mode]['peak_mb']} MB")  # fmt: skip
    return {"by_count": rows, "client": client}


def model(speech: dict[str, Any], tiny: dict[str, Any]) -> dict[str, Any]:
    """Time is what the slowest of four takes: workers, client, object store; and what starting costs."""
    hours, cores = ASSUMED["hours"], ASSUMED["cores"]
    recordings = hours * 60 / ASSUMED["minutes_a_recording"]
    snippets = hours * speech["snippets_an_hour"]
    bucket = tiny["client"]["bucket2"]
    # A tiny recording has about one snippet, and most of the client's share is spent on its rows.
    rows_ms = bucket["ms_a_recording"] / (1 + bucket["snippets_a_recording"])
    worker_hours = hours / speech["times_real_time"] / ASSUMED["worker_efficiency"]
    took = {
        "workers": worker_hours / cores,
        "client": (recordings + snippets) * rows_ms / 3.6e6,
        "store": snippets / ASSUMED["puts_a_second"] / 3600,
    }
    slowest = max(took, key=lambda part: took[part])
    stores = max(1, int(np.ceil(max(took["client"], took["store"]) / took["workers"])))
    print("\nassumed: " + ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in ASSUMED.items()))
    print(f"measured: {speech['times_real_time']} × real time a core, {speech['snippets_an_hour']} snippets an hour of"
          f" sound, {rows_ms:.2f} ms of the client a row")  # fmt: skip
    print(f"{hours:,} hours on {cores:,} cores, one store in a bucket:")
    for part, hours_taken in took.items():
        print(f"  {part:<9}{hours_taken:>9.1f} h")
    print(
        f"  the {slowest} rule; {stores} runs at a time, each with a store (prefix) of its own, let the workers rule"
    )
    print("  " + " · ".join(f"{n:,} cores {worker_hours / n:.1f} h" for n in (1, 10, 100, 1_000, 10_000)))
    return {
        "assumed": ASSUMED,
        "rows_ms": round(rows_ms, 3),
        "hours": {part: round(value, 1) for part, value in took.items()},
        "slowest": slowest,
        "stores": stores,
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="workers|overhead", help="only these; the others stay as they are"
    )
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tiny", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    parts = args.parts or ["workers", "overhead"]
    figures = recorded("scale") | {"cores": os.cpu_count(), "bars": BARS}
    for part, measured in (("workers", workers), ("overhead", overhead)):
        if part not in parts:
            continue
        count, seconds = (args.recordings, args.seconds) if part == "workers" else (args.tiny, TINY_SECONDS)
        before = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="scale-") as scratch:
            folder = Path(scratch) / "recordings"
            folder.mkdir()
            make_recordings(folder, count, seconds)
            figures[part] = measured(folder, count, args.rounds)
        figures[part]["load"] = [round(before, 1), round(os.getloadavg()[0], 1)]
        print(f"load before and after, on {os.cpu_count()} cores: {figures[part]['load']}")
    if {"workers", "overhead"} <= figures.keys():
        figures["model"] = model(figures["workers"], figures["overhead"])
    record("scale", figures)
    return 0


if __name__ == "__main__" and sys.argv[1:2] == ["--one"]:
    print(json.dumps(one(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
