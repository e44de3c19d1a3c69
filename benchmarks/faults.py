"""Stops at any moment: kill -9 of real runs, of their workers, of erasures and reviews, and full disks.

After every stop the same command runs again to its end; then snippets are counted: lost, released twice, half-written,
and files that should not be there."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import soundfile

from deident.audit import audit_store
from deident.codec import read
from deident.errors import DeidentError
from deident.keys import Key
from deident.review import MARKER, UNFINISHED
from deident.store import Linkage, Sealed, audit_linkage

ROOT = Path(__file__).parents[1]
RECORDINGS = 12
REVIEWERS = 3


@dataclass
class Count:
    """Failures in so many stops.

    stopped : stops in which the program was really at work.   changed : audits that changed a byte or a time."""

    stops: int = 0
    stopped: int = 0
    lost: int = 0
    twice: int = 0
    half: int = 0
    strays: int = 0
    changed: int = 0

    @property
    def clean(self) -> bool:
        return self.stopped > 0 and not (self.lost or self.twice or self.half or self.strays or self.changed)


class Place:
    """Recordings, a key, and how a person would start the programs on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.links = folder, folder / "store", folder / "links"
        self.inputs, self.keyfile = folder / "in", folder / "key"
        self.inputs.mkdir()
        Key.fresh().write(self.keyfile)
        speech = read(ROOT / "examples" / "recordings" / "reading.mp3").mono
        for number in range(RECORDINGS):
            piece = speech[number * 15_000 : number * 15_000 + 60_000]
            soundfile.write(self.inputs / f"{number:02}.wav", piece, 16_000)

    def run(self, *, out: Path | None = None) -> list[str]:
        return self._command(
            "run", str(self.inputs), "--out", str(out or self.store), "--jobs", "2", "--quiet"
        )

    def erase(self) -> list[str]:
        return self._command("erase", str(self.store), "--source", str(self.inputs / "00.wav"))

    def review(self, number: int) -> list[str]:
        return self._command(
            "review", str(self.store), "--out", str(self.folder / "rounds"), "--round", f"r{number}",
            "--reviewers", str(REVIEWERS), "--per-reviewer", "1",
        )  # fmt: skip

    def _command(self, *words: str) -> list[str]:
        kept = ["--linkage", str(self.links), "--key-file", str(self.keyfile)]
        return [sys.executable, "-m", "deident", *words, *kept]

    def key(self) -> Key:
        return Key.read(self.keyfile)

    def clear(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)
        self.links.unlink(missing_ok=True)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def finish(command: list[str]) -> float:
    """Run to the end; how long that took."""
    began = time.monotonic()
    with start(command) as process:
        process.wait()
    return time.monotonic() - began


def kill_at(command: list[str], seconds: float) -> bool:
    """Kill a program and all it started at a moment; False when it had ended by then."""
    with start(command) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        was_at_work = process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return was_at_work


def kill_a_worker(command: list[str], seconds: float, moments: random.Random) -> bool:
    """Kill one process of those that a program started, and let it go on."""
    with start(command) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        children = _children(process.pid) if process.poll() is None else []
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(moments.choice(children), signal.SIGKILL)
        process.wait()
    return bool(children)


def _children(parent: int) -> list[int]:
    """Descendants of a process, as Linux lists them."""
    found: list[int] = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_children(child)]
    return found


def audits_change(place: Place) -> int:
    """Audit a store as a stop left it; 1 if that changed a byte, mode or time of the store or linkage, else 0."""
    before = _digest(place)
    audit_store(place.store, max_seconds=10.0)
    with contextlib.suppress(
        DeidentError
    ):  # a store that was not yet made, or a linkage without its first record
        audit_linkage(place.store, place.links, place.key())
    return int(_digest(place) != before)


def _digest(place: Place) -> str:
    found = hashlib.sha256()
    for path in sorted((place.links, place.store, *place.store.rglob("*"))):
        with contextlib.suppress(FileNotFoundError):
            info = path.lstat()
            found.update(repr((str(path), info.st_mode, info.st_mtime_ns, info.st_size)).encode())
            found.update(path.read_bytes() if path.is_file() else b"")
    return found.hexdigest()


def judge(place: Place, expected: int, count: Count) -> None:
    """Add what is wrong with a finished store to a count. expected : snippets that it should hold."""
    released = list(place.store.glob("*.wav"))
    linked = [name for link in Linkage(place.links, place.key()).links() for name in link.names]
    count.lost += max(0, expected - len(released)) + len(set(linked) - {path.name for path in released})
    count.twice += max(0, len(released) - expected) + len(linked) - len(set(linked))
    problems = audit_store(place.store, max_seconds=10.0).problems
    count.strays += sum(problem.code == "stray" for problem in problems)
    count.half += sum(problem.code != "stray" for problem in problems)
    count.strays += sum(1 for _ in (place.store / ".private" / "staging").iterdir())


def killed_runs(place: Place, stops: int, moments: random.Random) -> Count:
    """A store is made by runs of which several are killed; then by one to its end."""
    place.clear()
    whole = finish(place.run())
    expected = len(list(place.store.glob("*.wav")))
    count = Count()
    while count.stopped < stops and count.stops < 4 * stops:
        place.clear()
        for _ in range(4):
            count.stops += 1
            if not kill_at(place.run(), moments.uniform(0.05, 1.0) * whole):
                whole *= 0.9  # it had little left to do, or the machine is less busy than at first
                break
            count.stopped += 1
            count.changed += audits_change(place)
            whole *= 1.03
        finish(place.run())
        judge(place, expected, count)
    return count


def killed_workers(place: Place, stops: int, moments: random.Random) -> Count:
    place.clear()
    whole = finish(place.run())
    expected = len(list(place.store.glob("*.wav")))
    count = Count()
    for _ in range(stops):
        place.clear()
        count.stops += 1
        count.stopped += kill_a_worker(place.run(), moments.uniform(0.3, 0.95) * whole, moments)
        finish(place.run())  # one that was refused for its decoder's death is tried again
        judge(place, expected, count)
    return count


def killed_erasures(place: Place, stops: int, moments: random.Random) -> Count:
    place.clear()
    finish(place.run())
    gone = len(_names_of(place, "00.wav"))
    expected = len(list(place.store.glob("*.wav"))) - gone
    kept = place.folder / "kept"
    shutil.copytree(place.store, kept)
    links = place.links.read_bytes()
    count = Count()
    whole = 0.0
    for number in range(stops + 1):
        shutil.rmtree(place.store)
        shutil.copytree(kept, place.store)
        place.links.write_bytes(links)
        if number == 0:
            whole = finish(place.erase())
        else:
            count.stops += 1
            count.stopped += kill_at(place.erase(), moments.uniform(0.2, 1.0) * whole)
            count.changed += audits_change(place)
            finish(place.erase())
        judge(place, expected, count)
        count.strays += len(_names_of(place, "00.wav"))
    shutil.rmtree(kept)
    return count


def _names_of(place: Place, file: str) -> list[str]:
    links = Linkage(place.links, place.key()).links()
    return [name for link in links if link.path.endswith(f"/{file}") for name in link.names]


def killed_reviews(place: Place, stops: int, moments: random.Random) -> Count:
    """Make rounds until every snippet is assigned: no subject twice for a reviewer, and no half a round left."""
    place.clear()
    finish(place.run())
    whole = finish(place.review(0))
    count = Count()
    rounds = place.folder / "rounds"
    for number in range(1, stops + 1):
        count.stops += 1
        count.stopped += kill_at(place.review(number), moments.uniform(0.2, 1.0) * whole)
    finish(place.review(stops + 1))
    history = Sealed(place.store / ".private" / "reviews", place.key(), "rounds")
    given = [(record["reviewer"], subject) for record in history.records() for subject in record["subjects"]]
    count.twice += len(given) - len(set(given))
    count.strays += sum(
        1 for path in rounds.iterdir() if path.name.startswith(f"{MARKER}.") or path.name == UNFINISHED
    )
    count.half += sum(
        len(list(folder.glob("*.wav"))) != len(json.loads((folder / "tasks.json").read_text()))
        for folder in rounds.glob("r*/*")
    )
    shutil.rmtree(rounds)
    return count


def every_call(_: Place) -> Count:
    """A stop before and after every file-system call of a small run, and a disk full from each on."""
    from deident.errors import StoreError
    from deident.store import Disk
    from tests.test_store import Stopped, StoppingDisk, small_run

    count = Count()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counting = StoppingDisk(-1, "none")
        small_run(folder / "whole", {}, counting)
        for how in ("before", "after", "full"):
            for stop_at in range(1, counting.calls + 1):
                out = folder / f"{how}{stop_at}"
                count.stops += 1
                try:
                    small_run(out, {}, StoppingDisk(stop_at, how))
                except (Stopped, StoreError):
                    count.stopped += 1
                small_run(out, {}, Disk())
                sounds = [path.read_bytes() for path in out.glob("*.wav")]
                each = [sounds.count(sound) for sound in set(sounds)]
                count.lost += sum(max(0, 2 - number) for number in each) + 2 * (2 - len(each))
                count.twice += sum(max(0, number - 2) for number in each)
                problems = audit_store(out, max_seconds=10.0).problems
                count.half += len(problems)
                count.strays += sum(1 for _ in (out / ".private" / "staging").iterdir())
    return count


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[int], bool]]:
    """A file system of so many kB at `folder`; gives what makes it larger. Raises `OSError` where that may not be."""

    def mount(*options: str) -> bool:
        return (
            subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode == 0
        )

    if not mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "none"):
        raise OSError("mounting is not permitted")
    try:
        yield lambda size: mount("-o", f"remount,size={size}k")
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def full_disks(place: Place, stops: int, moments: random.Random) -> Count:
    """Runs on a disk that is too small, made larger step by step, and at last large enough."""
    place.clear()
    finish(place.run())
    expected = len(list(place.store.glob("*.wav")))
    needed = sum(path.stat().st_size for path in place.store.rglob("*") if path.is_file()) // 1024
    place.clear()
    place.store.mkdir()
    count = Count()
    for _ in range(-(-stops // 4)):
        with small_disk(place.store, 40) as grow:
            place.links.unlink(missing_ok=True)
            for size in sorted(moments.randrange(60, 2 * needed) for _ in range(4)):
                count.stops += 1
                grow(size)
                with start(place.run()) as process:
                    count.stopped += process.wait() == 4
            grow(20 * needed)
            finish(place.run())
            judge(place, expected, count)
    place.store.rmdir()
    return count


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks faults", description=__doc__)
    parser.add_argument("--stops", type=int, default=200, help="kills of whole runs (default 200)")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument(
        "--json", default=str(ROOT / "benchmarks" / "results" / "faults.json"), metavar="FILE"
    )
    args = parser.parse_args(argv)
    moments, few = random.Random(args.seed), max(2, args.stops // 10)
    kinds: dict[str, Callable[[Place], Count]] = {
        "kill -9 of a run": lambda place: killed_runs(place, args.stops, moments),
        "kill -9 of one of its processes": lambda place: killed_workers(place, few, moments),
        "kill -9 of an erasure": lambda place: killed_erasures(place, few, moments),
        "kill -9 of a review's dealing": lambda place: killed_reviews(place, few, moments),
        "stop at every call, disk full from it on": every_call,
        "a small disk": lambda place: full_disks(place, few, moments),
    }
    results: dict[str, dict[str, int] | str] = {}
    clean = True
    print(f"{'':42}{'stops':>7}{'at work':>9}{'lost':>6}{'twice':>7}{'half':>6}{'strays':>8}{'changed':>9}")
    for kind, experiment in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                count = experiment(Place(Path(folder)))
            except OSError as error:
                results[kind] = f"skipped: {error.strerror or error}"
                print(f"{kind:42}{results[kind]}")
                continue
        results[kind] = asdict(count)
        clean &= count.clean
        print(
            f"{kind:42}{count.stops:7}{count.stopped:9}{count.lost:6}{count.twice:7}{count.half:6}"
            f"{count.strays:8}{count.changed:9}", flush=True,
        )  # fmt: skip
    Path(args.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0 if clean else 1
