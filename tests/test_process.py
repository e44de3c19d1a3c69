"""Processes leave no worker, no traceback at Ctrl-C, no core dump, and no path in an error."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


POOL = """
import multiprocessing, sys, time
from deident.runs.local import _pool
if __name__ == "__main__":
    with _pool(2) as pool:
        tasks = [pool.submit(time.sleep, 60) for _ in range(4)]
        while len(multiprocessing.active_children()) < 2: time.sleep(0.01)
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        time.sleep(60)
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@linux_only
def test_workers_do_not_outlive_a_killed_run() -> None:
    with start(POOL) as run:
        assert run.stdout is not None
        workers = [int(word) for word in run.stdout.readline().split()]
        assert len(workers) == 2
        deadline = time.monotonic() + 20
        for pid in workers:  # each has started its thread that watches the parent
            while len(list(Path(f"/proc/{pid}/task").iterdir())) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
        os.kill(run.pid, signal.SIGKILL)
        while any(map(running, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(running, workers))


def test_an_interrupted_run_prints_one_line(recordings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "canary-folder"
    folder.mkdir()
    for number in range(24):  # enough for a while; a worker still finishes its three
        (folder / f"{number}.mp3").write_bytes((recordings / "reading.mp3").read_bytes())
    code = (
        "import signal, sys; from deident.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # in the background it may be ignored
        "if __name__ == '__main__': sys.exit(main(sys.argv[1:]))"
    )
    with start(code, "run", str(folder), "--out", str(tmp_path / "s"), "--jobs", "2", "--quiet") as run:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("s/.private/staging/*.spool")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors == "deident: interrupted; the same command goes on where it stopped\n"


@linux_only
def test_core_dumps_are_disabled() -> None:
    code = (
        "import resource\nfrom deident.process import disable_core_dumps\ndisable_core_dumps()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    with start(code) as run:
        out, _ = run.communicate(timeout=30)
    assert out.splitlines()[0].startswith("(0, 0)")
    assert out.splitlines()[1] == "0"


RUN = """
import ctypes, os, resource, sys
from contextlib import suppress
import deident
def state(*_):
    print(resource.getrlimit(resource.RLIMIT_CORE)[0] == 0, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
def files():  # of all processes that come from this one
    mine = {os.getpid()}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with suppress(OSError), open(f"/proc/{pid}/stat") as stat:  # it may just have ended
            if int(stat.read().rpartition(")")[2].split()[1]) in mine:
                mine.add(pid)
    return [f"/proc/{pid}/environ" for pid in mine - {os.getpid()}]
def look(*_):
    for file in files():
        with suppress(OSError), open(file, "rb") as environment:
            print(b"canary" in environment.read(), flush=True)
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    told = {"state": state, "look": look}[sys.argv[1]]
    if told is state: state()
    deident.run([sys.argv[2]], sys.argv[3], jobs=2, progress=told)
    if told is state: state()
    print(os.environ["DEIDENT_KEY"])
"""


@linux_only
def test_a_run_from_python_prevents_core_dumps_while_it_lasts(recordings: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(RUN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DEIDENT_KEY": "canary"}
    arguments = [sys.executable, str(script), "state", str(recordings / "reading.mp3"), str(tmp_path / "s")]
    told = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    before, while_running, after = told[1], told[3], told[5]
    assert (before, while_running, after) == ("1", "0", "1")
    assert told[2] == "True"


@linux_only
@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() != 0, reason="only root sees their environment")
def test_no_process_of_a_run_has_the_key_in_its_environment(recordings: Path, tmp_path: Path) -> None:
    """Workers, their decoders, and the process in which `multiprocessing` keeps track of resources."""
    script = tmp_path / "script.py"
    script.write_text(RUN)
    files = [str(tmp_path / name) for name in ("in", "s")]
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.mp3").write_bytes((recordings / "reading.mp3").read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DEIDENT_KEY": "canary"}
    arguments = [sys.executable, str(script), "look", *files]
    told = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert told[-1] == "canary"
    assert len(told) > 4
    assert set(told[:-1]) == {"False"}


@pytest.mark.parametrize(
    "arguments",
    [["run", "canary.wav", "--ot", "canary"], ["audit", "s", "canary.wav"], ["run", "x", "--jobs", "canary"],
     ["run", "x", "--scope=canary"], ["canary.wav"], ["run", "x", "--s=canary"], ["run", "x", "--quiet=canary"],
     ["run", "x", "--s=a canary it is"]],
    ids=" ".join,
)  # fmt: skip
def test_usage_errors_do_not_quote_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deident.cli import main

    monkeypatch.setattr("deident.cli.disable_core_dumps", lambda: None)  # not for the process that tests
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "canary" not in said
    assert said.startswith("usage: deident")
    assert said.count("\n") == 2


@pytest.mark.parametrize(
    "arguments",
    [["run", "x", "--dry-run", "--preset", "canary"], ["run", "x", "--dry-run", "--disguise", "canary"],
     ["preview", "x", "--disguise", "canary"], ["preview", "x", "--disguise", "canary:a"],
     ["preview", "x", "--disguise", "psola:canary=1"], ["preview", "x", "--disguise", "psola:semitones=canary"]],
    ids=" ".join,
)  # fmt: skip
def test_errors_about_settings_do_not_quote_them(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deident.cli import main

    monkeypatch.setattr("deident.cli.disable_core_dumps", lambda: None)
    assert main(arguments) == 2
    assert "canary" not in capsys.readouterr().err
