"""The cost of threads: a service that de-identifies in a pool, and a run over a pool of threads.

    python -m benchmarks threads [--calls 20] [--threads 4]

Serial and threaded work take turns in the same process, each with as many BLAS threads as the machine has cores, as a
service that sets nothing has; the medians of the ratios over neighbours in time are shown. Below 1 threads win. The
last row shows what BLAS's own threads would cost."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from unittest import mock

from benchmarks.whole import RECORDINGS


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks threads", description=__doc__)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(os.cpu_count(), "blas"):
        rows = {
            "deidentify, serial": (_serial, contextlib.nullcontext),
            "deidentify, threads": (_threaded, contextlib.nullcontext),
            "run, serial": (_run_serial, contextlib.nullcontext),
            "run, threads": (_run_threaded, contextlib.nullcontext),
            "deidentify, threads, BLAS not held": (_threaded, _not_held),
        }
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
        for _ in range(args.rounds):
            for name, (work, setting) in rows.items():
                with setting():
                    costs[name].append(_cost(lambda work=work: work(args.calls, args.threads)))
    print(f"{args.calls} recordings, {args.threads} threads, median of {args.rounds}")
    print(f"{'':<36}{'wall, ratio to serial':>24}{'processor time, ratio':>24}")
    for name, found in costs.items():
        base = costs["run, serial" if name.startswith("run") else "deidentify, serial"]
        ratios = [median(f[i] / b[i] for f, b in zip(found, base, strict=True)) for i in (0, 1)]
        print(f"{name:<36}{ratios[0]:>24.2f}{ratios[1]:>24.2f}")
    return 0


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock, and of this process's processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def _one(_: int = 0) -> None:
    import deident

    list(deident.deidentify(RECORDINGS / "reading.mp3"))


def _serial(calls: int, threads: int) -> None:
    for number in range(calls):
        _one(number)


def _threaded(calls: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_one, range(calls)))


def _run_serial(calls: int, threads: int) -> None:
    import deident

    with _folder(calls) as (recordings, store):
        deident.run([recordings], store, jobs=1)


def _run_threaded(calls: int, threads: int) -> None:
    import deident

    with _folder(calls) as (recordings, store), ThreadPoolExecutor(threads) as pool:
        deident.run([recordings], store, executor=pool)


@contextlib.contextmanager
def _folder(count: int) -> Iterator[tuple[Path, Path]]:
    """So many recordings, each another file, and a place for their store."""
    content = (RECORDINGS / "reading.mp3").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        recordings = Path(folder) / "in"
        recordings.mkdir()
        for number in range(count):
            (recordings / f"{number}.mp3").write_bytes(content)
        yield recordings, Path(folder) / "store"


def _not_held() -> contextlib.AbstractContextManager[object]:
    return mock.patch("deident.process._libraries", return_value=[])
