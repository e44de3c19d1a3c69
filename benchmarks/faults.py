"""Stops at any moment: kill -9 of real runs, of their workers, of erasures and reviews, and full disks.

After every stop an audit must change no byte, and the same command runs again to its end; then snippets are counted:
lost, released twice, half-written, and files that should not be there. Programs are forks of this process, which has
all modules loaded, and so are their servers of decoders: a stop then meets work, and seldom imports."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from benchmarks.stops import Place, finish, folder_in_memory, kill_a_worker, kill_at, load, serve, start
from deident.audit import audit_store
from deident.codec import guard
from deident.errors import DeidentError
from deident.review import MARKER, UNFINISHED
from deident.store import Linkage, Sealed, audit_linkage

ROOT = Path(__file__).parents[1]
ROUNDS = 4  # of a store, until little is left to assign
TRIES = 4  # at most so many times the stops that were asked for, where programs often end too early
SHARES = {
    "runs": 0.45,
    "processes": 0.03,
    "erasures": 0.17,
    "reviews": 0.12,
    "disks": 0.06,
}  # the rest: every call


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
    count.lost += max(0, expected - len(released)) + len({path.name for path in released} ^ set(linked))
    count.twice += max(0, len(released) - expected) + len(linked) - len(set(linked))
    problems = audit_store(place.store, max_seconds=10.0).problems
    problems += tuple(audit_linkage(place.store, place.links, place.key()))
    count.strays += sum(problem.code == "stray" for problem in problems)
    count.half += sum(problem.code != "stray" for problem in problems)
    count.strays += sum(1 for _ in (place.store / ".private" / "staging").iterdir())


def made(place: Place) -> tuple[float, int]:
    """Make the store by an undisturbed run; how long that took, and its snippets."""
    place.clear()
    return finish(place.run()), place.released()


def killed_runs(place: Place, stops: int, moments: random.Random) -> Count:
    """A store is made by runs of which several are killed; then by one to its end."""
    whole, expected = made(place)
    count = Count()
    while count.stopped < stops and count.stops < TRIES * stops:
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
    _, expected = made(place)
    place.clear()
    whole = finish(place.run(jobs=2))
    count = Count()
    while count.stopped < stops and count.stops < TRIES * stops:
        place.clear()
        count.stops += 1
        count.stopped += kill_a_worker(place.run(jobs=2), moments.uniform(0.1, 0.95) * whole, moments)
        count.changed += audits_change(place)
        finish(place.run())  # one that was refused for its decoder's death is tried again
        judge(place, expected, count)
    return count


def killed_erasures(place: Place, stops: int, moments: random.Random) -> Count:
    """Erasures with a receipt: what a stop left is erased by the same command, and the receipt says all of it."""
    _, before = made(place)
    erased = len(_names_of(place, "00.wav"))
    expected = before - erased
    place.keep()
    whole = finish(place.erase())
    count = Count()
    while count.stopped < stops and count.stops < TRIES * stops:
        place.restore()
        count.stops += 1
        count.stopped += (was_at_work := kill_at(place.erase(), moments.uniform(0.05, 1.0) * whole))
        whole *= 1.03 if was_at_work else 0.9
        count.changed += audits_change(place)
        if not place.receipt.exists():  # else all is done, and nothing repeats it
            finish(place.erase())
        judge(place, expected, count)
        said = json.loads(place.receipt.read_bytes())
        count.half += (said["snippets"], said["recordings"], "earlier" in said) != (erased, 1, False)
        count.strays += len(_names_of(place, "00.wav"))
    return count


def _names_of(place: Place, file: str) -> list[str]:
    links = Linkage(place.links, place.key()).links()
    return [name for link in links if link.path.endswith(f"/{file}") for name in link.names]


def killed_reviews(place: Place, stops: int, moments: random.Random) -> Count:
    """Make rounds of which some are killed: no subject twice for a reviewer, and no half a round left."""
    _, expected = made(place)
    place.keep()
    whole = finish(place.review(0))
    count = Count()
    while count.stopped < stops and count.stops < TRIES * stops:
        place.restore()
        for number in range(1, ROUNDS + 1):
            count.stops += 1
            count.stopped += (
                was_at_work := kill_at(place.review(number), moments.uniform(0.05, 1.0) * whole)
            )
            whole *= 1.03 if was_at_work else 0.9
            count.changed += audits_change(place)
        finish(place.review(ROUNDS + 1))
        judge(place, expected, count)
        _judge_rounds(place, count)
    return count


def _judge_rounds(place: Place, count: Count) -> None:
    history = Sealed(place.store / ".private" / "reviews", place.key(), "rounds")
    given = [(record["reviewer"], subject) for record in history.records() for subject in record["subjects"]]
    count.twice += len(given) - len(set(given))
    count.lost += not given  # no round was made
    known = {(r["round"], r["reviewer"], r["file"]) for r in history.records()}
    present = {
        (path.parent.parent.name, path.parent.name, path.name) for path in place.rounds.glob("r*/*/*.wav")
    }
    count.lost += len(present - known)  # a copy that nobody could withdraw
    count.strays += sum(
        1 for path in place.rounds.iterdir() if path.name.startswith(f"{MARKER}.") or path.name == UNFINISHED
    )
    count.half += sum(
        len(list(folder.glob("*.wav"))) != len(json.loads((folder / "tasks.json").read_text()))
        for folder in place.rounds.glob("r*/*")
    )


def every_call(_: Place) -> Count:
    """A stop before and after every file-system call of a small run, and a disk full from each on."""
    from deident.errors import StoreError
    from deident.store import Disk
    from tests.test_store import Stopped, StoppingDisk, small_run

    count = Count()
    with folder_in_memory() as name:
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
    _, expected = made(place)
    needed = sum(path.stat().st_size for path in place.store.rglob("*") if path.is_file()) // 1024
    place.clear()
    count = Count()
    while count.stopped < stops and count.stops < TRIES * stops:
        place.store.mkdir()
        with small_disk(place.store, 40) as grow:
            place.links.unlink(missing_ok=True)
            for size in sorted(moments.randrange(60, 2 * needed) for _ in range(4)):
                count.stops += 1
                grow(size)
                count.stopped += start(place.run()).wait() == 4
                count.changed += audits_change(place)
            grow(20 * needed)
            finish(place.run())
            judge(place, expected, count)
        place.store.rmdir()
    return count


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks faults", description=__doc__)
    parser.add_argument("--stops", type=int, default=1000, help="in all, about (default 1000)")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument(
        "--json", default=str(ROOT / "benchmarks" / "results" / "faults.json"), metavar="FILE"
    )
    args = parser.parse_args(argv)
    moments = random.Random(args.seed)
    stops = {kind: max(2, round(share * args.stops)) for kind, share in SHARES.items()}
    kinds: dict[str, Callable[[Place], Count]] = {
        "kill -9 of a run": lambda place: killed_runs(place, stops["runs"], moments),
        "kill -9 of one of its processes": lambda place: killed_workers(place, stops["processes"], moments),
        "kill -9 of an erasure": lambda place: killed_erasures(place, stops["erasures"], moments),
        "kill -9 of a review": lambda place: killed_reviews(place, stops["reviews"], moments),
        "stop at every call, disk full from it on": every_call,
        "a small disk": lambda place: full_disks(place, stops["disks"], moments),
    }
    load()
    guard._spawn = serve  # type: ignore[assignment]
    results: dict[str, dict[str, int] | str] = {}
    clean = True
    total = Count()
    print(f"{'':42}{'stops':>7}{'at work':>9}{'lost':>6}{'twice':>7}{'half':>6}{'strays':>8}{'changed':>9}")
    for kind, experiment in kinds.items():
        with folder_in_memory() as folder:
            try:
                count = experiment(Place(Path(folder)))
            except OSError as error:
                results[kind] = f"skipped: {error.strerror or error}"
                print(f"{kind:42}{results[kind]}")
                continue
        results[kind] = asdict(count)
        clean &= count.clean
        total = Count(*map(sum, zip(astuple(total), astuple(count), strict=True)))
        _print(kind, count)
    _print("in all", total)
    Path(args.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0 if clean else 1


def _print(kind: str, count: Count) -> None:
    print(
        f"{kind:42}{count.stops:7}{count.stopped:9}{count.lost:6}{count.twice:7}{count.half:6}"
        f"{count.strays:8}{count.changed:9}", flush=True,
    )  # fmt: skip
