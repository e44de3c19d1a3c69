"""Clusters of processes, as docs/cluster.md starts them: minutes rather than seconds on a busy machine."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deident.audit import audit_store
from deident.codec import read
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.runs.worker import Outcome
from tests.methods import Deadly, Sine

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
KEY = Key(bytes(32))
POLICY = Policy(disguise=Sine(), repeatable=True)


@pytest.fixture(scope="module")
def many(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    audio = read(recordings / "reading.mp3").mono
    audio = 0.3 * audio / np.abs(audio).max()
    for number in range(40):
        start = number * 7_000
        soundfile.write(folder / f"r{number:02}.wav", audio[start : start + 60_000], 16_000)
    return folder


@pytest.fixture
def client() -> Iterator[Any]:
    """Two worker processes of one thread, each with a nanny that starts another when it dies."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_worker_killed_in_the_middle_changes_nothing(
    kind: str, many: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deident.runs.local.BATCH_RECORDINGS", 2)
    out = str(tmp_path / "there") if kind == "folder" else f"file://{tmp_path}/there"
    pids = list(client.run(os.getpid).values())
    seen: list[Outcome] = []

    def kill(outcome: Outcome, recording: Recording) -> None:
        seen.append(outcome)
        if len(seen) in (4, 12):
            os.kill(pids.pop(), signal.SIGKILL)

    here = run([many], tmp_path / "here", POLICY, key=KEY, jobs=1)
    there = run([many], out, POLICY, key=KEY, executor=client, progress=kill)
    assert not pids
    assert there.states == here.states
    assert sorted(o.number for o in seen) == list(range(40))
    contents = [{p.name: p.read_bytes() for p in (tmp_path / n).glob("*.wav")} for n in ("here", "there")]
    assert contents[0] == contents[1]
    assert audit_store(tmp_path / "there", max_seconds=10).clean
    assert not list((tmp_path / "there" / ".private" / "staging").iterdir())


def test_a_recording_that_kills_its_workers_is_refused_and_takes_nothing_along(
    many: Path, client: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(many, folder)
    audio = read(folder / "r00.wav").mono
    soundfile.write(folder / "deadly.wav", 0.99 * audio / np.abs(audio).max(), 16_000)
    seen: dict[str, Outcome] = {}
    summary = run(
        [folder], tmp_path / "s", Policy(disguise=Deadly(above=0.9)), executor=client,
        progress=lambda o, r: seen.update({Path(r.path).name: o}),
    )  # fmt: skip
    assert seen["deadly.wav"].code == "worker-died"
    assert summary.states["refused"] == 1
    assert summary.states["released"] == 40
    assert audit_store(tmp_path / "s", max_seconds=10).clean
    assert not list((tmp_path / "s" / ".private" / "staging").iterdir())


def test_a_run_killed_on_a_cluster_goes_on(many: Path, tmp_path: Path) -> None:
    """The client dies, its cluster with it; the same command again finishes, everything once."""
    out = tmp_path / "s"
    command = [sys.executable, "-m", "deident", "run", str(many), "--out", str(out), "--dask", "local",
               "--jobs", "2", "--disguise", "psola", "--quiet"]  # fmt: skip
    process = subprocess.Popen(command, env=environment(), cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(out.glob(".private/staging/*.spool")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command, env=environment(), cwd=tmp_path, check=True)
    assert audit_store(out, max_seconds=10).clean
    once = run([many], tmp_path / "once", Policy.preset("review", disguise=Sine()), jobs=1)
    assert len(list(out.glob("*.wav"))) == once.snippets


def test_a_scheduler_that_dies_ends_the_run_and_the_next_goes_on(many: Path, tmp_path: Path) -> None:
    port = "18786"
    started = [_start(f"dask scheduler --host 127.0.0.1 --port {port} --no-dashboard", tmp_path)]
    started.append(_start(f"dask worker tcp://127.0.0.1:{port} --nthreads 1 --no-dashboard", tmp_path))
    out, options = f"file://{tmp_path}/s", ["--disguise", "psola", "--quiet"]
    command = [sys.executable, "-m", "deident", "run", str(many), "--out", out, *options]
    try:
        process = subprocess.Popen(
            [*command, "--dask", f"tcp://127.0.0.1:{port}"], env=environment(), cwd=tmp_path,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not list((tmp_path / "s").glob(".private/log/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        started[0].kill()
        _, said = process.communicate(timeout=120)
    finally:
        for one in started:
            one.kill()
            one.wait()
    assert process.returncode == 4, said
    assert "the cluster went away" in said
    assert str(many) not in said.replace(str(tmp_path), "")
    subprocess.run([*command, "--jobs", "1"], env=environment(), cwd=tmp_path, check=True)
    assert audit_store(tmp_path / "s", max_seconds=10).clean


def environment() -> dict[str, str]:
    folder = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return {**os.environ, "PATH": folder, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
BY_HAND = [
    b for b in re.findall(r"^```sh\n(.*?)^```", PAGE, re.S | re.M) if b.startswith(("dask", "openssl"))
]


@pytest.mark.parametrize("block", BY_HAND, ids=["tcp", "tls"])
def test_the_commands_of_the_documentation(block: str, tmp_path: Path) -> None:
    """A scheduler and workers started by hand, and a run on them, pasted from docs/cluster.md."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "bin").mkdir()
    for tool in ("dask", "deident"):
        script = tmp_path / "bin" / tool
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {tool} "$@"\n')
        script.chmod(0o700)
    variables = environment()
    variables["PATH"] = os.pathsep.join([str(tmp_path / "bin"), variables["PATH"]])
    [port] = re.findall(r"--port (\d+)", block)
    result = subprocess.run(
        ["bash", "-ec", block.replace(port, str(_free_port()))], env=variables, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "3 released" in result.stdout
    [store] = set(re.findall(r"--out (\S+) ", block))
    assert audit_store(tmp_path / store, max_seconds=10).clean


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _start(command: str, folder: Path) -> subprocess.Popen[bytes]:
    program, *arguments = command.split()
    assert program == "dask"
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments], env=environment(), cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
