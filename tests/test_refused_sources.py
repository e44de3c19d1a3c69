"""Sources that are refused, decoders that cannot start, messages, and hostile recordings."""

import importlib.util
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.codec import decode, guard
from deident.codec.problems import CODES, ENDINGS, PROBLEMS, RefusedError
from deident.errors import RecordingError
from tests import hostile, taken_over
from tests.decoders import code_of, consume, recording

pytestmark = pytest.mark.skipif(not guard.is_available(), reason="no guarded decoding on this platform")
HERE = Path(__file__).parent


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
    for circle, target in (("self", "self"), ("there", "back"), ("back", "there")):
        (tmp_path / circle).symlink_to(tmp_path / target)
    for circle in ("self", "there", "back"):
        assert code_of(tmp_path / circle) == "symlink"
        assert code_of(tmp_path / circle, follow_links=True) == "missing"
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


# Decoders that cannot start


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


# With and without the guard


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
