"""Sources that are refused, rights that a decoder lacks, and children that die without harm to other recordings."""

import contextlib
import importlib.util
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.codec import Limits, decode, guard
from deident.codec.problems import CODES, ENDINGS, PROBLEMS, RefusedError
from deident.codec.worker import HEADER
from deident.errors import RecordingError
from tests import hostile, taken_over

pytestmark = pytest.mark.skipif(not guard.is_available(), reason="no guarded decoding on this platform")
HERE = Path(__file__).parent


def recording(seconds=1.0, rate=16_000) -> bytes:
    samples = np.random.default_rng(3).normal(0, 3_000, int(seconds * rate)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def consume(source, **settings) -> int:
    with decode(source, **settings) as decoding:
        return sum(block.shape[1] for block in decoding)


def code_of(source, **settings) -> str:
    with pytest.raises(RecordingError) as caught:
        consume(source, **settings)
    return caught.value.code


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


# Sources that are refused


def test_only_regular_files_are_opened(tmp_path):
    pipe, link, folder_link = tmp_path / "pipe", tmp_path / "link", tmp_path / "folder link"
    real, listening = tmp_path / "real.wav", tmp_path / "socket"
    os.mkfifo(pipe)
    real.write_bytes(recording())
    link.symlink_to(real)
    folder_link.symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(listening) if len(str(listening)) > 100 else str(listening))
        started = time.monotonic()
        assert code_of(pipe) == "not-regular"
        assert time.monotonic() - started < 5, "opening a pipe must not wait for a writer"
        assert code_of(pipe, follow_links=True) == "not-regular"
        assert code_of(listening) == "not-regular"
    assert code_of("/dev/zero") == "not-regular"
    assert code_of(tmp_path) == "directory"
    assert code_of(link) == "symlink"
    assert code_of(folder_link) == "symlink"
    assert code_of(folder_link, follow_links=True) == "directory"
    assert consume(link, follow_links=True) == 16_000
    assert code_of(tmp_path / "none.wav") == "missing"
    assert code_of(real / "below a file") == "missing"
    assert code_of("nul\0byte") == "missing"
    assert code_of(tmp_path / ("long" * 100)) == "missing"


def test_a_link_that_replaces_a_checked_file_is_not_followed(tmp_path, monkeypatch):
    real, link = tmp_path / "real.wav", tmp_path / "link"
    real.write_bytes(recording())
    link.symlink_to(real)
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **_: look(path))
    assert code_of(link) == "symlink"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_unreadable_files_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "private.wav"
        path.write_bytes(recording())
        path.chmod(0)
        path.parent.chmod(0o755)
        assert in_fork(lambda: taken_over.become("nobody"), lambda: code_of(path)) == "unreadable"


def in_fork(*steps) -> str:
    """The answer of the last step, made after the others in a forked process, which may change its user."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            *_, answer = [step() for step in steps]
        except BaseException as error:
            answer = repr(error)
        os.write(writer, str(answer).encode())
        guard.close_idle()
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return told


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may change its groups")
@pytest.mark.skipif(sys.platform != "linux", reason="limits are set from outside on Linux only")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_changes_its_group_gets_decoders_that_it_can_limit():
    def decoded() -> int:
        return consume(io.BytesIO(recording()))

    assert in_fork(decoded, lambda: os.setresgid(65534, 65534, 65534), decoded) == "16000"
    refused = in_fork(decoded, lambda: os.setegid(65534), decoded)  # the real group is another
    assert refused == "16000" or "(limits)" in refused  # the first, where root may limit every process


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


@pytest.mark.parametrize("interpreter", ["/nonexistent/canary", "/bin/false"])
def test_a_child_that_cannot_be_started_refuses_the_recording(monkeypatch, interpreter):
    guard.close_idle()
    monkeypatch.setattr(sys, "executable", interpreter)
    with pytest.raises(RecordingError) as caught:
        decode(io.BytesIO(recording()))
    assert caught.value.code == "no-decoder"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["typing", "struct", "tempfile", "socket"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_packages_cannot_replace_modules_of_the_standard_library(monkeypatch, tmp_path, name, place):
    (tmp_path / f"{name}.py").write_text("raise RuntimeError")
    monkeypatch.setattr(
        sys, "path", [str(tmp_path), *sys.path] if place == "first" else [*sys.path, str(tmp_path)]
    )
    guard.close_idle()
    assert consume(io.BytesIO(recording())) == 16_000
    guard.close_idle()


def test_no_module_of_the_standard_library_is_taken_from_a_package(monkeypatch, tmp_path):
    for name in filter(importlib.util.find_spec, sys.stdlib_module_names):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    guard.close_idle()
    assert consume(io.BytesIO(recording())) == 16_000
    guard.close_idle()


def test_a_failed_start_has_a_reason_in_one_word(monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError")
    guard.close_idle()
    for path, executable, word in (
        ([str(tmp_path), *sys.path], sys.executable, "import"),
        (sys.path, "/bin/false", "exit"),
        (sys.path, "/nonexistent/canary", "exec"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", path)
            patch.setattr(sys, "executable", executable)
            with pytest.raises(RecordingError, match=rf"\({word}\)") as caught:
                decode(io.BytesIO(recording()))
        assert caught.value.code == "no-decoder"


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


def test_the_samples_are_the_same_with_and_without_the_guard(monkeypatch):
    content = hostile.sane("flac_16", 3.0)
    with decode(io.BytesIO(content)) as decoding:
        guarded = np.concatenate(list(decoding), axis=1)
    monkeypatch.setattr(guard, "is_available", lambda: False)
    with pytest.warns(RuntimeWarning, match="no guarded decoding"), decode(io.BytesIO(content)) as decoding:
        assert np.array_equal(np.concatenate(list(decoding), axis=1), guarded)


# Messages


def test_every_code_has_a_message_and_no_message_quotes_the_input(tmp_path):
    assert len(set(CODES)) == len(CODES) == len(PROBLEMS) + len(ENDINGS)
    for code in CODES:
        error = RefusedError(code, 3, 5).error()
        assert error.code == code
        assert len(str(error)) > 20
    path = tmp_path / "canary-name.wav"
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVEcanary-content" + bytes(100))
    for source in (path, tmp_path / "canary-missing.wav"):
        with pytest.raises(RecordingError) as caught:
            decode(source)
        shown = str(caught.value) + repr(caught.value) + repr(caught.value.__context__)
        assert caught.value.__cause__ is None
        assert "canary" not in str(caught.value)
        assert "canary" not in repr(caught.value)
        assert caught.value.__suppress_context__, shown


# Hostile recordings


@pytest.fixture(scope="module")
def hostile_run():
    """The end of every hostile recording, decoded in a process of its own, and the peak memory of that process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.hostile"],
        capture_output=True, cwd=HERE.parent, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    assert done.stderr == b""
    return json.loads(done.stdout)


def test_every_hostile_recording_ends_in_one_state(hostile_run):
    states = hostile_run["states"]
    assert len(states) >= 700
    allowed = {"whole", *CODES} - {"decoder-crashed", "limit-time", "limit-memory", "unreadable"}
    assert {name: state for name, state in states.items() if state[0] not in allowed} == {}


def test_no_hostile_recording_takes_long_or_much(hostile_run):
    assert {name: state for name, state in hostile_run["states"].items() if state[2] > 20.0} == {}
    assert hostile_run["peak_kib"] < 300 << 10


def test_names_of_hostile_recordings_are_unique():
    names = [name for name, _ in hostile.hostile()]
    assert len(set(names)) == len(names)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_decoding_stays_with_the_parent_after_a_fork(tmp_path):
    """Two readers of one stream would each get a part of it."""
    samples = (0.1 * np.sin(np.arange(16_000 * 20) / 5.0)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, "FLOAT")
    with decode(tmp_path / "a.wav") as decoding:
        blocks = iter(decoding)
        got = [next(blocks)]
        child = os.fork()
        if not child:
            code = 1
            try:
                next(blocks)
            except RecordingError as error:
                code = 7 if error.code == "forked" else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        got += blocks
    assert np.array_equal(np.concatenate(got, axis=1)[0], samples)


def test_at_most_twice_as_many_decoders_as_cores_wait_idle(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)
    guard.close_idle()
    many = [decode(tmp_path / "a.wav") for _ in range(guard._MOST_IDLE + 3)]
    for decoding in many:
        list(decoding)
        decoding.close()
    assert len(guard._idle) == guard._MOST_IDLE
    guard.close_idle()


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
