"""Processes of a run: one that dies loses little, and tasks, results and progress arrive."""

import multiprocessing
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.codec import read
from deident.errors import SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs import local as pools
from deident.runs.local import outcomes
from deident.runs.run import run
from tests.methods import Deadly, Sine

KEY = Key(bytes(32))


def test_a_worker_that_dies_before_its_pool_is_given_more_takes_only_its_recording(
    many: Path, tmp_path: Path
) -> None:
    folder, staging, go = tmp_path / "in", tmp_path / "staging", tmp_path / "go"
    folder.mkdir()
    staging.mkdir()
    for number in range(12):
        audio = read(many / f"r{number:02}.wav").mono
        loudest = 0.99 if number == 2 else 0.3
        soundfile.write(
            folder / f"r{number:02}.wav", audio * (loudest / np.abs(audio).max()), 16_000, "FLOAT"
        )
    todo = [(number, Recording(folder / f"r{number:02}.wav")) for number in range(12)]
    policy = Policy(disguise=Deadly(above=0.9, after=str(go)))
    results = outcomes(todo, policy, None, str(staging), 2, None)
    told = list(next(results)[0])
    go.touch()  # now the pool breaks, and is given work after that
    until = time.monotonic() + 60
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.05)
    for more, _ in results:
        told += more
    assert sorted((o.number, o.state) for o in told) == [
        (number, "refused" if number == 2 else "released") for number in range(12)
    ]


def test_a_worker_killed_between_two_suspects_takes_none_along(many: Path, tmp_path: Path) -> None:
    todo = [(number, Recording(many / f"r{number:02}.wav")) for number in range(3)]
    told = []
    task = partial(pools._process, policy=Policy(disguise=Sine()), key=None, staging=str(tmp_path))
    for outcomes_of_one, _ in pools._one_by_one(todo, task):
        told += outcomes_of_one
        (worker,) = multiprocessing.active_children()
        worker.kill()
        worker.join(60)
        time.sleep(0.5)  # until the pool knows
    assert [(o.number, o.state) for o in told] == [(number, "released") for number in range(3)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_reports_audio_while_it_reads(recordings: Path, tmp_path: Path, jobs: int) -> None:
    seconds_read: list[float] = []
    audio = read(recordings / "reading.mp3").mono
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.tile(audio, 40), 16_000)
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    summary = run(files, tmp_path / "s", Policy(disguise=Sine()), jobs=jobs, on_read=seconds_read.append)
    assert len(seconds_read) > (20 if jobs == 1 else 1)
    assert 0.5 * summary.read_seconds < sum(seconds_read) <= 1.001 * summary.read_seconds


def test_workers_are_started_with_ctrl_c_held_back() -> None:
    """Before they ignore it, it would end them with a traceback, and the executor would wait for them for ever."""
    with pools._pool(2) as pool:
        assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_callback_ends_the_run(many: Path, tmp_path: Path, jobs: int) -> None:
    def reading(seconds: float) -> None:
        raise LookupError("mine")

    audio = read(many / "r00.wav").mono
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.tile(audio, 120), 16_000)
    with pytest.raises(LookupError, match="mine"):
        run([tmp_path], tmp_path / "s", Policy(disguise=Sine()), jobs=jobs, on_read=reading)


def test_a_policy_that_cannot_be_pickled_is_an_error(many: Path, tmp_path: Path) -> None:
    policy = Policy(disguise=Sine(), detector=lambda samples, rate: [(0, rate)])
    with pytest.raises(SettingError, match="top of a module"):
        run([many], tmp_path / "s", policy, jobs=2)
    with ProcessPoolExecutor(1) as pool, pytest.raises(SettingError, match="top of a module"):
        run([many], tmp_path / "s", policy, executor=pool)
    with ThreadPoolExecutor(1) as threads:
        assert run([many], tmp_path / "s", policy, executor=threads).snippets == 13
