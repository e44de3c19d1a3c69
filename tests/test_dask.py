"""A Dask cluster: the same store, nothing twice, and no word of what it works on."""

import base64
import logging
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deident.audio import Segment
from deident.audit import AuditError, audit_store
from deident.cli import main
from deident.codec import read
from deident.errors import DeidentError, SettingError, StoreError
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.local import BATCH_BYTES, BATCH_RECORDINGS, _batches
from deident.runs.run import run
from deident.runs.worker import Outcome
from deident.segmentation.turns import Turn
from tests.methods import Sine

distributed = pytest.importorskip("distributed")
Cluster = pytest.importorskip("deident.runs.dask").Cluster

MATERIAL = bytes(range(101, 133))
KEY = Key(MATERIAL)
POLICY = Policy(disguise=Sine(), repeatable=True)


@pytest.fixture(scope="module")
def many(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short recordings, all different, and two that cannot be used or hold nothing."""
    folder = tmp_path_factory.mktemp("canary-folder")
    audio = read(recordings / "reading.mp3").mono
    for number in range(12):
        start = number * 20_000
        soundfile.write(folder / f"canary{number:02}.wav", audio[start : start + 60_000], 16_000)
    soundfile.write(folder / "silence.wav", np.zeros(32_000), 16_000)
    (folder / "text.wav").write_text("this is not a recording")
    return folder


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster inside this process: a scheduler, and a worker with two threads."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deident.runs.local.BATCH_RECORDINGS", 1)


def snippets(store: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in store.glob("*.wav")}


def test_a_cluster_makes_the_same_store(many: Path, client: Any, small_batches: None, tmp_path: Path) -> None:
    seen: list[Outcome] = []
    here = run([many], tmp_path / "here", POLICY, key=KEY, jobs=1)
    waiting = []

    def look(outcome: Outcome, recording: Recording) -> None:
        seen.append(outcome)
        waiting.append(len(client.futures))

    there = run([many], tmp_path / "there", POLICY, key=KEY, executor=client, progress=look)
    assert max(waiting) <= 2 * 2  # two batches a thread, of fourteen
    assert there.states == here.states
    assert there.states["released"] == 12
    assert there.states["refused"] == 1
    assert sorted(o.number for o in seen) == list(range(14))
    assert snippets(tmp_path / "there") == snippets(tmp_path / "here")
    assert audit_store(tmp_path / "there", max_seconds=10).clean
    assert not list((tmp_path / "there" / ".private" / "staging").iterdir())
    again = run([many], tmp_path / "there", POLICY, key=KEY, executor=client)
    assert again.states["skipped"] == 13


@pytest.mark.parametrize("workers", [1, 2, 50])
def test_batches_keep_all_workers_busy_to_the_end(workers: int) -> None:
    sizes = [1 << 16] * 300 + [1 << 24] * 3 + [100] * 1_000
    todo = [(number, Recording("s3://a/b", size=size)) for number, size in enumerate(sizes)]
    batches = list(_batches(todo, workers))
    assert [numbered for batch in batches for numbered in batch] == todo
    assert len(batches) >= 3 * workers
    for batch in batches:
        *most, _ = [sizes[number] for number, _ in batch]
        assert len(batch) <= BATCH_RECORDINGS
        assert sum(most) < BATCH_BYTES


def test_nothing_shows_the_key_or_a_path(
    many: Path, client: Any, small_batches: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All that the scheduler and the workers hold of the tasks, and all they log, while a run goes on."""
    seen: list[bytes] = []

    def look(outcome: Outcome, recording: Recording) -> None:
        seen.append(_everything_shown(client))

    # The summary of a failed task goes to the log with its arguments.
    with caplog.at_level(logging.DEBUG, logger="distributed"):
        turn = Turn(Segment(0, 40_000), "canary-speaker")
        recordings = [Recording(str(p), turns=(turn,)) for p in sorted(many.iterdir())]
        run(recordings, tmp_path / "s", POLICY, key=KEY, executor=client, progress=look)
        with pytest.raises(StoreError):
            run([many], tmp_path / "t", Policy(disguise=_Unpicklable()), executor=client)
    shown = b"\n".join([*seen, caplog.text.encode()])
    assert b"run_sealed" in shown  # the tasks were there to be seen
    forms = [MATERIAL, MATERIAL.hex().encode(), base64.b64encode(MATERIAL), base64.b32encode(MATERIAL)]
    for secret in [*forms, *(repr(f).encode() for f in forms), b"canary", str(many).encode()]:
        assert secret not in shown


class _Unpicklable(Sine):
    """Fails where the task is opened, with a message that holds a path."""

    def __reduce__(self) -> Any:
        return _fail_at_opening, ()


def _fail_at_opening() -> None:
    raise FileNotFoundError("canary-path")


def _fail_with(error: type[Exception], path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as cause:
        raise error("it failed") from cause


@pytest.mark.parametrize("error", [StoreError, SettingError, AuditError, MemoryError, ValueError])
def test_an_error_takes_no_path_out_of_a_worker(error: type[Exception], client: Any, tmp_path: Path) -> None:
    """Dask sends an error with those that it was raised from; here these name the file that could not be read."""

    def sent(dask_scheduler: Any) -> list[bytes]:
        return [task.exception.data for task in dask_scheduler.tasks.values() if task.exception]

    with Cluster(client) as cluster:
        future = cluster.send(_fail_with, error, str(tmp_path / "canary.wav"))
        distributed.wait([future])
        found = client.run_on_scheduler(sent)
        assert len(found) == 1
        assert b"canary" not in found[0]
        with pytest.raises(error if issubclass(error, DeidentError) else StoreError):
            cluster.result(future)


def _everything_shown(client: Any) -> bytes:
    def of_scheduler(dask_scheduler: Any) -> bytes:
        tasks = [
            (key, repr(task), repr(task.run_spec), pickle.dumps(task.run_spec), str(task.annotations))
            for key, task in dask_scheduler.tasks.items()
        ]
        events = dask_scheduler.get_events()
        plugins = [*dask_scheduler.worker_plugins.items(), *dask_scheduler.plugins.items()]
        return repr((tasks, events, plugins, list(dask_scheduler.transition_log))).encode() + b"".join(
            part for task in tasks for part in task if isinstance(part, bytes)
        )

    def of_worker(dask_worker: Any) -> bytes:
        state = dask_worker.state
        tasks = [(key, repr(task), repr(task.run_spec)) for key, task in state.tasks.items()]
        results = [pickle.dumps(result) for result in dict(dask_worker.data).values()]
        return repr((tasks, list(state.log), dask_worker.plugins)).encode() + b"".join(results)

    logs = repr((client.get_scheduler_logs(), client.get_worker_logs()))
    futures = repr(list(client.futures.items()))
    workers = client.run(of_worker)
    return b"\n".join(
        [client.run_on_scheduler(of_scheduler), *workers.values(), logs.encode(), futures.encode()]
    )


def test_a_task_that_cannot_write_ends_the_run_and_leaves_nothing(
    many: Path, client: Any, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="FileNotFoundError"):
        run([many], tmp_path / "s", Policy(disguise=_Unpicklable()), executor=client)
    assert not client.futures
    left = client.run(lambda dask_worker: [name for name in dask_worker.plugins if "deident" in name])
    assert not any(left.values())


def test_only_executors_and_clients_are_taken(many: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Executor or a"):
        run([many], tmp_path / "s", POLICY, key=KEY, executor=Future())  # type: ignore[arg-type]


def test_the_executor_of_a_client_is_refused(many: Path, client: Any, tmp_path: Path) -> None:
    """It is one of `concurrent.futures`, and would send everything as it is."""
    with pytest.raises(SettingError, match="unsealed"):
        run([many], tmp_path / "s", POLICY, key=KEY, executor=client.get_executor())
    assert not (tmp_path / "s").exists()


def test_a_cluster_reads_and_writes_uris(
    many: Path, client: Any, small_batches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound goes from the source to a worker to the store; tasks of both kinds are sealed."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for path in many.iterdir():
        memory.pipe_file(f"/canary-bucket/{path.name}", path.read_bytes())
    monkeypatch.setattr("deident.runs.dask.Releaser.window", 4)
    here = run([many], tmp_path / "here", POLICY, key=KEY, jobs=1)
    seen: list[bytes] = []
    there = run(
        ["memory://canary-bucket"], "memory://canary-store", POLICY, key=KEY, executor=client,
        progress=lambda o, r: seen.append(_everything_shown(client)),
    )  # fmt: skip
    assert there.states == here.states
    names = {path.rpartition("/")[2] for path in memory.ls("/canary-store", detail=False)}
    assert {name for name in names if name.endswith(".wav")} == set(snippets(tmp_path / "here"))
    assert audit_store("memory://canary-store", max_seconds=10).clean
    assert all(word not in shown for shown in seen for word in (b"canary", MATERIAL, MATERIAL.hex().encode()))
    assert (
        run(["memory://canary-bucket"], "memory://canary-store", POLICY, key=KEY, executor=client).states[
            "skipped"
        ]
        == 13
    )
    memory.store.clear()


def test_without_the_package_its_extra_is_named(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "deident.runs.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["run", str(many), "--out", str(tmp_path / "s"), "--dask", "local"]) == 2
    assert "deident[dask]" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--dask", "scheduler"], "address"), (["--dask", "tcp://127.0.0.1:1", "--jobs", "2"], "start more")],
)
def test_wrong_options_are_errors(
    options: list[str], message: str, many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(many), "--out", str(tmp_path / "s"), *options]) == 2
    assert message in capsys.readouterr().err
