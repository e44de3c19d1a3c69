"""BLAS is limited to one thread while snippets are made, and only then."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from deident import process
from deident.audio import RATE, Audio
from deident.disguise import DISGUISES
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.process import each_on_one_thread, one_thread
from deident.runs.run import run
from tests.methods import Sine
from tests.voices import speech


def threads() -> set[int]:
    """The thread counts of numpy's BLAS; other libraries may be loaded by other tests."""
    return {library["num_threads"] for library in threadpool_info() if "numpy" in library["filepath"]}


class Asks(Sine):
    """Counts threads while it is applied."""

    found: ClassVar[list[set[int]]] = []

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        Asks.found.append(threads())
        return super().apply(audio, voice, rng)


def test_between_items_the_caller_has_all_threads() -> None:
    closed = []

    def made() -> Generator[set[int]]:
        try:
            yield threads()
            yield threads()
        finally:
            closed.append(True)

    with threadpool_limits(2, "blas"):
        items = each_on_one_thread(made())
        assert next(items) == {1}
        assert threads() == {2}
        items.close()
        assert closed


def test_the_last_thread_gives_back_the_limit() -> None:
    """Each of several giving back what it found would leave the process at one thread for ever."""
    found, inside, leave = [], threading.Barrier(3), threading.Event()

    def other() -> None:
        with one_thread():
            found.append(threads())
            inside.wait(10)
            leave.wait(10)

    with threadpool_limits(2, "blas"):
        others = [threading.Thread(target=other) for _ in range(2)]
        for thread in others:
            thread.start()
        inside.wait(10)
        assert found == [{1}, {1}]
        with one_thread():
            pass
        assert threads() == {1}
        leave.set()
        for thread in others:
            thread.join(10)
        assert threads() == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_thread_that_it_lacks() -> None:
    with process._threads._lock:  # as another thread has it, while it sets the limit
        child = os.fork()
        if not child:
            signal.alarm(20)
            with one_thread():
                os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_pool_of_threads_makes_every_recording_with_one(recordings: Path, tmp_path: Path) -> None:
    Asks.found.clear()
    for name in ("a.mp3", "b.mp3", "c.mp3"):
        (tmp_path / name).write_bytes((recordings / "reading.mp3").read_bytes() + name.encode())
    with threadpool_limits(2, "blas"):
        with ThreadPoolExecutor(3) as pool:
            run([tmp_path], tmp_path / "s", Policy(disguise=Asks()), executor=pool)
        assert Asks.found
        assert all(count == {1} for count in Asks.found)
        assert threads() == {2}


def test_disguises_and_recordings_use_one_thread() -> None:
    Asks.found.clear()
    with threadpool_limits(2, "blas"):
        audio = Audio(speech(seconds=3.0), RATE)
        Asks()(audio.mono, RATE)
        list(deidentify(audio, Policy(disguise=Asks())))
        assert len(Asks.found) > 1
        assert all(count == {1} for count in Asks.found)
        assert threads() == {2}
        for disguise in DISGUISES.values():
            disguise()(audio.mono, RATE)
        assert threads() == {2}


KERNEL = """
import sys
from deident import Key, Policy, deidentify
for snippet in deidentify(sys.argv[1], Policy(repeatable=True), key=Key(bytes(32))):
    print(snippet.name, snippet.pcm.size)
"""


def test_names_and_lengths_of_a_repeatable_run_do_not_depend_on_the_kernel_of_blas(recordings: Path) -> None:
    """Some of its samples do: the documentation promises them for the same machine only."""
    root = Path(__file__).parents[1]
    told = {
        subprocess.run(
            [sys.executable, "-c", KERNEL, str(recordings / "reading.mp3")],
            env={**os.environ, "OPENBLAS_CORETYPE": kernel, "PYTHONPATH": str(root)},
            capture_output=True, text=True, check=True,
        ).stdout
        for kernel in ("Prescott", "Haswell")
    }  # fmt: skip
    assert len(told) == 1
    assert told.pop().count("\n") > 3
    promise = " ".join((root / "docs" / "settings.md").read_text(encoding="utf-8").split())
    assert "same bytes where processor and libraries" in promise
