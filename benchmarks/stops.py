"""Programs to stop: forks of this process, and the place that their commands work on."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import soundfile

from deident.cli import main as deident_main
from deident.codec import guard, read, worker
from deident.keys import Key

ROOT = Path(__file__).parents[1]
RECORDINGS = 5

REVIEWERS = 3

MEMORY = Path(
    "/dev/shm"
)  # a kill loses nothing that was written, wherever it was; a disk would only be slower


class Place:
    """Recordings, a key, and the words of the commands on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.links = folder, folder / "store", folder / "links"
        self.inputs, self.keyfile, self.rounds = folder / "in", folder / "key", folder / "rounds"
        self.receipt = folder / "receipt"
        self.inputs.mkdir()
        Key.fresh().write(self.keyfile)
        speech = read(ROOT / "examples" / "recordings" / "reading.mp3").mono
        for number in range(RECORDINGS):
            piece = speech[number * 15_000 : number * 15_000 + 26_000]
            soundfile.write(self.inputs / f"{number:02}.wav", piece, 16_000)

    def run(self, jobs: int = 1) -> list[str]:
        return self._command(
            "run", str(self.inputs), "--out", str(self.store), "--jobs", str(jobs), "--quiet"
        )

    def erase(self) -> list[str]:
        source = str(self.inputs / "00.wav")
        return self._command("erase", str(self.store), "--source", source, "--receipt", str(self.receipt))

    def review(self, number: int) -> list[str]:
        return self._command(
            "review", str(self.store), "--out", str(self.rounds), "--round", f"r{number}",
            "--reviewers", str(REVIEWERS), "--per-reviewer", "1",
        )  # fmt: skip

    def _command(self, *words: str) -> list[str]:
        return [*words, "--linkage", str(self.links), "--key-file", str(self.keyfile)]

    def key(self) -> Key:
        return Key.read(self.keyfile)

    def released(self) -> int:
        return len(list(self.store.glob("*.wav")))

    def clear(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.rmtree(self.rounds, ignore_errors=True)
        self.links.unlink(missing_ok=True)
        self.receipt.unlink(missing_ok=True)

    def keep(self) -> None:
        """Copy the store and linkage as they are, for `restore`."""
        shutil.copytree(self.store, self.folder / "kept", copy_function=shutil.copy2)
        shutil.copy2(self.links, self.folder / "kept links")

    def restore(self) -> None:
        self.clear()
        shutil.copytree(self.folder / "kept", self.store, copy_function=shutil.copy2)
        shutil.copy2(self.folder / "kept links", self.links)


class Fork:
    """A function in a forked process; what it returns is the exit code. It has what `guard` needs of a `Popen`."""

    def __init__(self, work: Callable[[], int | None], *, is_session: bool = False) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            if is_session:
                os.setsid()
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nowhere, stream)
            code = work() or 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        finally:
            os._exit(code)

    def wait(self, seconds: float = float("inf")) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("fork", seconds)
            time.sleep(0.001)
        assert self.returncode is not None
        return self.returncode

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def load() -> None:
    """Do all that the programs do once here, so that forks have all modules."""
    with folder_in_memory() as name, contextlib.redirect_stdout(io.StringIO()):
        place = Place(Path(name))
        for command in (place.run(), place.review(0), place.erase()):
            deident_main(command)
    guard.close_idle()


def serve(link: int, engine: str) -> Fork:
    """Fork a server of decoders, as `guard` starts one: with no other descriptor."""

    def work() -> None:
        own = os.dup2(link, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        worker.main(own, engine)

    return Fork(work)


def start(command: list[str]) -> Fork:
    def work() -> int:
        try:
            return deident_main(command)
        finally:
            guard.close_idle()

    return Fork(work, is_session=True)


def finish(command: list[str]) -> float:
    """Run to the end; how long that took."""
    began = time.monotonic()
    start(command).wait()
    return time.monotonic() - began


def kill_at(command: list[str], seconds: float) -> bool:
    """Kill a program and all it started at a moment; False when it had ended by then."""
    process = start(command)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    was_at_work = process.poll() is None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return was_at_work


def kill_a_worker(command: list[str], seconds: float, moments: random.Random) -> bool:
    """Kill one process of those that a program started, and let it go on."""
    process = start(command)
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


def folder_in_memory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
