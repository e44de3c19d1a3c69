"""Decoders that were taken over can neither read, write, connect, fork nor outlive their time, whoever runs them."""

import errno
import io
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from deident.codec import Limits, confinement, decode, guard
from deident.codec.confine import ALLOWED, LAYERS
from deident.codec.write import encode_wav
from deident.errors import RecordingError
from tests import taken_over

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="system calls of Linux"),
    pytest.mark.skipif(platform.machine() not in ALLOWED, reason="no filter for this architecture"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
USERS = ["root", "nobody"] if hasattr(os, "getuid") and os.getuid() == 0 else ["nobody"]
SILENCE = encode_wav(np.zeros(16_000, np.int16))
Attack = Callable[[str, Callable[[], None]], None]


@pytest.fixture(params=USERS)
def attack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attack]:
    """Checks what comes of an attack: all of it, this side too, in processes of a user."""
    user = request.param
    imported, called = "from deident.codec.worker import main", "sys.argv[2])"
    boot = guard._BOOT
    assert imported in boot
    assert called in boot

    def start(name: str, check: Callable[[], None]) -> None:
        changed = boot.replace(imported, "from tests.taken_over import main")
        monkeypatch.setattr(guard, "_BOOT", changed.replace(called, f"sys.argv[2], {name!r}, {user!r})"))
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                guard._server("sound")  # while this user may run the interpreter
                taken_over.become(user)
                for server in guard._servers.values():
                    server._user = guard._identity()
                check()
            except BaseException:
                os.write(writer, traceback.format_exc().encode()[-8_000:])
            guard.close_idle()
            os._exit(0)
        os.close(writer)
        with open(reader) as answer:
            wrong = answer.read()
        os.waitpid(child, 0)
        assert wrong == ""

    return start


def answers() -> list[int]:
    return answers_to(SILENCE)


def answers_to(content: bytes) -> list[int]:
    with decode(io.BytesIO(content)) as decoding:
        return np.concatenate(list(decoding), axis=1)[0].astype(int).tolist()


def test_every_system_call_that_is_not_listed_is_denied(attack: Attack) -> None:
    def check() -> None:
        numbers = [number for number in range(taken_over.LAST_CALL) if number not in taken_over.listed()]
        wrong = {n: a for n, a in zip(numbers, answers(), strict=True) if a != errno.EPERM}
        assert wrong == {}

    attack("system_calls", check)


def test_a_hostile_decoder_can_do_nothing(attack: Attack) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        victim = Path(folder) / "victim"
        victim.write_text("private")
        victim.chmod(0o666)
        victim.parent.chmod(0o777)

        def check() -> None:
            told = f"{victim}|{server.getsockname()[1]}".encode() + b"\0"
            names = list(taken_over.deeds("", 0, 0))
            found = answers_to(SILENCE[:44] + told + SILENCE[44 + len(told) :])
            assert [name for name, answer in zip(names, found, strict=True) if answer == 0] == []

        attack("crimes", check)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
        assert victim.read_text() == "private"
        assert [path.name for path in victim.parent.iterdir()] == ["victim"]


@pytest.mark.skipif("landlock" not in confinement(), reason="no Landlock in this kernel")
def test_landlock_denies_files_where_the_filter_would_not(attack: Attack) -> None:
    """The one must hold where a hole is found in the other."""
    with tempfile.TemporaryDirectory() as folder:
        victim = Path(folder) / "victim"
        victim.write_text("private")
        victim.chmod(0o666)
        victim.parent.chmod(0o777)

        def check() -> None:
            told = f"{victim}|1".encode() + b"\0"
            names = list(taken_over.deeds("", 0, 0))
            found = answers_to(SILENCE[:44] + told + SILENCE[44 + len(told) :])
            answers = dict(zip(names, found, strict=True))
            files = (
                "read",
                "write",
                "append",
                "create",
                "list",
                "unlink",
                "rename",
                "link",
                "environment",
                "exec",
            )
            assert {name: answers[name] for name in files} == dict.fromkeys(files, errno.EACCES)
            assert answers["stat"] == answers["thread"] == 0  # which show that there was no filter

        attack("without_filter", check)
        assert victim.read_text() == "private"
        assert [path.name for path in victim.parent.iterdir()] == ["victim"]


def refused_as(code: str, **limits: float) -> None:
    with pytest.raises(RecordingError) as caught:
        answers_with(Limits(**limits))  # type: ignore[arg-type]
    assert caught.value.code == code


def answers_with(limits: Limits) -> None:
    with decode(io.BytesIO(SILENCE), limits=limits) as decoding:
        list(decoding)


def test_a_decoder_that_drips_is_ended_by_the_wall_clock(attack: Attack) -> None:
    started = time.monotonic()
    attack("drip", lambda: refused_as("limit-time", stall_seconds=300.0, wall_seconds=1.0))
    assert time.monotonic() - started < 120.0


def test_a_decoder_that_spins_is_ended_by_its_processor_time(attack: Attack) -> None:
    started = time.monotonic()
    bounds = {"cpu_seconds": 0.1, "cpu_seconds_per_megabyte": 0.1}
    attack("spin", lambda: refused_as("limit-time", stall_seconds=300.0, **bounds))
    assert time.monotonic() - started < 120.0


def test_a_decoder_sends_no_more_samples_than_its_recording_may_hold(attack: Attack) -> None:
    """It is far from its limits of time when it has sent days of sound, which would all be disguised and written."""
    bounds = {"expansion_grace": 16_000, "max_expansion": 10}
    attack("flood", lambda: refused_as("decoder-crashed", **bounds))


def test_a_decoder_opens_a_recording_once(attack: Attack) -> None:
    attack("open_twice", lambda: refused_as("decoder-crashed"))


def test_a_decoder_that_met_damage_gets_no_other_recording(attack: Attack) -> None:
    def check() -> None:
        answers()
        assert guard._idle == []

    attack("claim_damage", check)


def test_layers_are_reported() -> None:
    assert set(confinement()) <= set(LAYERS)
    assert {"limits", "no-new-privileges", "seccomp"} <= set(confinement())
    told = subprocess.run(
        [sys.executable, "-m", "deident.codec"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split(": ")[0] for line in told.splitlines()] == list(LAYERS)
    assert "seccomp: yes" in told


def test_no_system_call_is_allowed_that_opens_writes_starts_or_changes_anything() -> None:
    """Behind the filter stand other layers: a call too many would be noticed by no attack."""
    memory = {"mmap", "mprotect", "munmap", "mremap", "madvise", "brk", "close"}
    recordings = {"pread64", "recvmsg", "sendto"}
    waiting = {
        "futex",
        "sched_yield",
        "clock_nanosleep",
        "restart_syscall",
        "rt_sigreturn",
        "exit",
        "exit_group",
    }
    times = {"gettimeofday", "clock_gettime", "clock_getres"}
    questions = times | {"getpid", "gettid", "getrusage", "sched_getaffinity", "getrandom"}
    for _, numbers in ALLOWED.values():
        assert numbers.keys() == memory | recordings | waiting | questions
        assert len(set(numbers.values())) == len(numbers) == 25  # as THREATS.md says
