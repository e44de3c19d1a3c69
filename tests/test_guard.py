"""Rights that a decoder lacks, and children that die without harm to other recordings."""

import contextlib
import io
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.codec import Limits, decode, guard
from deident.codec.problems import CODES, RefusedError
from deident.codec.worker import HEADER
from deident.errors import RecordingError
from tests import hostile
from tests.decoders import code_of, consume, recording

pytestmark = pytest.mark.skipif(not guard.is_available(), reason="no guarded decoding on this platform")
HERE = Path(__file__).parent


@pytest.fixture
def worker():
    """The idle decoder that gets the next recording."""
    guard.close_idle()
    consume(io.BytesIO(recording()))
    (only,) = guard._idle
    yield only
    guard.close_idle()


def pid_of(worker: guard.Decoder) -> int:
    return worker.pid


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_files_of_other_kinds_reach_no_decoder(worker):
    before = worker.recordings
    for name, content in hostile.strangers():
        if not name.endswith("of random bytes"):
            assert code_of(io.BytesIO(content)) in ("not-audio", "empty"), name
    assert code_of(io.BytesIO(content[:0])) == "empty"
    assert worker.recordings - before <= 1, "only a file that begins with RIFF may reach a decoder"


# Rights of a decoder's process


def read_proc(worker, name: str) -> str:
    try:
        return Path(f"/proc/{pid_of(worker)}/{name}").read_text()
    except OSError:
        pytest.skip("this system does not show it")


def test_a_child_has_no_environment_and_no_path_in_its_arguments(monkeypatch, tmp_path):
    guard.close_idle()
    monkeypatch.setenv("DEIDENT_KEY", "a very secret key")
    path = tmp_path / "a very private name.wav"
    path.write_bytes(recording())
    consume(path)
    (worker,) = guard._idle
    for process in (worker.pid, guard._servers[worker.engine]._process.pid):
        assert "secret" not in Path(f"/proc/{process}/environ").read_text()
        assert "private" not in Path(f"/proc/{process}/cmdline").read_text()


def test_a_child_can_open_nothing_and_write_nothing(worker):
    limits = {line[:26].strip(): line[26:].split() for line in read_proc(worker, "limits").splitlines()[1:]}
    soft, hard = map(int, limits["Max open files"][:2])
    assert soft == hard
    descriptors = Path(f"/proc/{pid_of(worker)}/fd")
    if os.access(descriptors, os.R_OK):
        deadline = time.monotonic() + 5  # the last recording is closed just after its end was sent
        while (free := set(range(soft)) - {int(held.name) for held in descriptors.iterdir()}) == set():
            assert time.monotonic() < deadline
        assert free == {soft - 1}, "room for one recording"
    assert limits["Max file size"][:2] == ["0", "0"]
    assert limits["Max core file size"][:2] == ["0", "0"]


def test_a_child_has_a_budget_of_memory_and_time(worker):
    consume(io.BytesIO(recording()), limits=Limits(memory_bytes=100 << 20, cpu_seconds=17))
    limits = {line[:26].strip(): line[26:].split() for line in read_proc(worker, "limits").splitlines()[1:]}
    size = int(read_proc(worker, "statm").split()[0]) * resource.getpagesize()
    assert int(limits["Max address space"][0]) <= size + (101 << 20)
    assert 17 <= int(limits["Max cpu time"][0]) <= 40


# Children that die, hang or exceed a limit


def long_recording() -> io.BytesIO:
    return io.BytesIO(recording(120.0))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_dies_takes_only_its_recording(worker, number):
    with decode(long_recording()) as decoding:
        blocks = iter(decoding)
        next(blocks)
        os.kill(pid_of(worker), number)
        with pytest.raises(RecordingError) as caught:
            list(blocks)
    assert caught.value.code == "decoder-crashed"
    assert number.name in str(caught.value)
    assert consume(io.BytesIO(recording())) == 16_000
    assert pid_of(guard._idle[0]) != pid_of(worker)


def test_a_child_that_died_idle_is_replaced_silently(worker):
    os.kill(pid_of(worker), signal.SIGKILL)
    wait_for_end(pid_of(worker))
    assert consume(io.BytesIO(recording())) == 16_000


def test_a_child_that_hangs_is_killed(worker):
    with decode(long_recording(), limits=Limits(stall_seconds=0.3)) as decoding:
        blocks = iter(decoding)
        next(blocks)
        os.kill(pid_of(worker), signal.SIGSTOP)
        with pytest.raises(RecordingError) as caught:
            list(blocks)
    assert caught.value.code == "limit-time"
    wait_for_end(pid_of(worker))
    assert consume(io.BytesIO(recording())) == 16_000


def test_waiting_is_bounded_in_all():
    assert code_of(long_recording(), limits=Limits(wall_seconds=1e-6)) == "limit-time"


def test_processor_time_is_bounded():
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000 * 10)
    soundfile.write(file, noise, 48_000, format="OGG", subtype="OPUS")
    bounds = Limits(cpu_seconds=1e-3, cpu_seconds_per_megabyte=1e-3)
    assert code_of(io.BytesIO(file.getvalue() * 100), limits=bounds) == "limit-time"
    assert consume(io.BytesIO(recording())) == 16_000


def test_memory_is_bounded():
    file = io.BytesIO()
    soundfile.write(file, np.zeros((400_000, 64), np.float32), 384_000, format="WAV", subtype="FLOAT")
    content = file.getvalue()
    assert code_of(io.BytesIO(content), limits=Limits(memory_bytes=1 << 20)) == "limit-memory"
    assert consume(io.BytesIO(content)) > 16_000


def test_a_child_whose_recording_is_abandoned_ends(worker):
    with decode(long_recording()) as decoding:
        next(iter(decoding))
    wait_for_end(pid_of(worker))
    assert guard._idle == []
    assert consume(io.BytesIO(recording())) == 16_000
    abandoned = iter(decode(long_recording()))
    next(abandoned)
    del abandoned
    assert consume(io.BytesIO(recording())) == 16_000


def test_abandoning_a_recording_does_not_wait_for_a_decoder_that_hangs(worker):
    started = time.monotonic()
    with decode(long_recording()):
        os.kill(pid_of(worker), signal.SIGSTOP)
    assert time.monotonic() - started < 30  # of the 120 s that a recording may stall
    wait_for_end(pid_of(worker))
    assert consume(io.BytesIO(recording())) == 16_000


def test_children_are_reused_and_recordings_may_overlap(worker):
    for _ in range(5):
        consume(io.BytesIO(recording()))
    assert guard._idle == [worker]
    with decode(long_recording()) as first, decode(long_recording()) as second:
        pairs = list(zip(first, second, strict=True))
        assert all(np.array_equal(a, b) for a, b in pairs)
    assert len(guard._idle) == 2


def test_a_child_ends_after_its_last_recording(worker, monkeypatch):
    monkeypatch.setattr(guard, "_RECORDINGS_A_DECODER", worker.recordings + 1)
    consume(io.BytesIO(recording()))
    assert guard._idle == []
    wait_for_end(pid_of(worker))


def test_messages_that_no_child_of_ours_sends_end_it(worker):
    worker._link.close()
    ones = b"\xff" * 20
    for message in (b"HTTP" + bytes(20), b"blok" + ones, b"refu" + ones, b"open" + ones, b"ends" + ones):
        ours, worker._link = socket.socketpair()
        with ours, worker._link:
            ours.sendall(message)
            with pytest.raises(RefusedError) as caught:
                worker.receive()
        assert (caught.value.code, caught.value.word) == ("decoder-crashed", "message")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_uses_children_of_its_own(worker):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            number = consume(io.BytesIO(recording()))
            os.write(writer, f"{number} {pid_of(guard._idle[0])}".encode())
            guard.close_idle()
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as answer:
        number, pid = map(int, answer.read().split())
    assert number == 16_000
    assert pid != pid_of(worker)
    assert consume(io.BytesIO(recording())) == 16_000
    assert guard._idle == [worker]


def test_a_fork_that_ends_leaves_a_recording_in_work_alone(worker):
    """The forked process has a copy of the generator, and closes it when it ends."""
    with decode(long_recording()) as decoding:
        blocks = iter(decoding)
        samples = next(blocks).shape[1]
        child = os.fork()
        if not child:
            decoding.close()
            os._exit(0)
        os.waitpid(child, 0)
        samples += sum(block.shape[1] for block in blocks)
    assert samples == 120 * 16_000
    assert guard._idle == [worker]


def test_children_end_with_the_process_that_started_them():
    code = (
        "import io, os, signal, sys; sys.path.insert(0, sys.argv[1]); from tests import test_guard as t\n"
        "blocks = iter(t.decode(t.long_recording())); next(blocks)\n"
        "t.consume(io.BytesIO(t.recording()))\n"
        "print(t.pid_of(t.guard._idle[0]), blocks.gi_frame is not None, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(HERE.parent)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    pid = int(ended.stdout.split()[0])
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")  # an orphan that no one collects is a zombie, not running
    try:
        os.kill(pid, 0)
        return not Path("/proc/self/stat").exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):  # the second where it ended in between
        return False


@pytest.fixture
def idle(tmp_path):
    """An idle decoder, and a recording for it."""
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)
    guard.close_idle()
    list(decode(tmp_path / "a.wav"))
    (worker,) = guard._idle
    return worker, tmp_path / "a.wav"


def test_waiting_counts_for_one_recording_only(idle):
    worker, path = idle
    worker._waited = 1e9
    list(decode(path))


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_decoder_gains_no_rights_and_outlives_ctrl_c(idle):
    worker, path = idle
    pid = pid_of(worker)
    assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert is_running(pid)
    list(decode(path))
    assert guard._idle == [worker]


OPENED = HEADER.pack(b"open", 16_000, 1, 1, 0)


def block(channels: int, size: int, value: float = 0.1) -> bytes:
    samples = np.full((channels, min(size, 100)), value, np.float32)
    return HEADER.pack(b"blok", channels, size, 0, 0) + samples.tobytes()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (OPENED + block(1, 100, np.nan), "not-finite"),
        (OPENED + block(1, 100, np.inf), "not-finite"),
        (block(1, 100), "decoder-crashed"),
        (OPENED + block(2, 100), "decoder-crashed"),
        (OPENED + block(1, 1 << 28), "decoder-crashed"),
        (HEADER.pack(b"open", 16_000, 2, 3, 0), "decoder-crashed"),
        (OPENED + HEADER.pack(b"ends", 1 + CODES.index("empty"), 0, 0, 0), "decoder-crashed"),
        (OPENED + HEADER.pack(b"what", 0, 0, 0, 0), "decoder-crashed"),
        (OPENED, "decoder-crashed"),
    ],
)
def test_impossible_messages_of_a_decoder_end_it(idle, message, code):
    worker, _ = idle
    guard._idle.clear()
    worker._opened, worker.is_sound = None, False  # as when a recording is started
    worker._link.close()
    worker._link, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(message)
    with pytest.raises(RefusedError) as caught:
        list(iter(worker.receive, None))
    assert caught.value.code == code
    guard._give_back(worker)
    assert guard._idle == []
    wait_for_end(pid_of(worker))
