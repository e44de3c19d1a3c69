"""Decode in confined processes, so that a broken or hostile file can do harm only there.

A server process for each decoding library forks decoders, which are kept for the next recording until they have met a
damaged one: starting the server takes two tenths of a second, a fork some milliseconds, reusing a decoder less than
one. All are started without an environment, and so without a key.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from deident.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, Samples
from deident.codec.confine import limit_recording
from deident.codec.files import Bytes
from deident.codec.limits import Limits
from deident.codec.problems import CODES, ENDINGS, RefusedError
from deident.codec.worker import (
    BLOCK,
    ENDED,
    FORKS,
    HEADER,
    IMPORT_FAILED,
    OPENED,
    READY,
    REFUSED,
    STARTED,
    Ended,
    Job,
    Opened,
    work,
)

_MAX_BLOCK_BYTES = 1 << 28
_RECORDINGS_A_DECODER = 100  # then a fresh one, so that nothing can pile up in a library
_START_SECONDS = 120.0
_ANSWER_SECONDS = 1.0
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
# Behind the standard library, so that no package takes the place of one of its modules.
_BOOT = """
import os, sys
sys.path += os.environ.pop("DEIDENT_IMPORTS").split(os.pathsep)
try:
    from deident.codec.worker import main
except BaseException:
    os._exit(3)
main(int(sys.argv[1]), sys.argv[2])
"""


def decode_guarded(descriptor: int, job: Job, limits: Limits) -> Iterator[Opened | Samples | Ended]:
    """Yield what `worker.work` yields, from a confined process. Raises `RefusedError`, also for a process that died,
    hung or exceeded a limit.
    """
    if not is_available():
        warnings.warn(
            "this platform offers no guarded decoding: recordings are decoded in this process, "
            "without limits on memory and time",
            RuntimeWarning,
            stacklevel=4,
        )
        yield from work(Bytes(descriptor, job.start), job)
        return
    decoder = _take(job.engine)
    try:
        decoder.start(descriptor, job, limits)
        while not isinstance(event := decoder.receive(), Ended):
            yield event
        yield event
    finally:
        _give_back(decoder)


def is_available() -> bool:
    """Tell whether this platform can decode in a process of its own."""
    return (
        hasattr(socket, "send_fds")
        and os.name == "posix"
        and bool(sys.executable)
        and not getattr(sys, "frozen", False)
    )


def _identity() -> tuple[int, ...]:
    """Return the users and groups of this process: Linux lets it limit decoders of the same ones only."""
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


class Server:
    """The process that forks decoders, and the socket to it."""

    def __init__(self, engine: str) -> None:
        self._user = _identity()
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(theirs.fileno(), engine)
            except OSError:
                self._control.close()
                raise RefusedError("no-decoder", word="exec") from None
        answer = bytearray(len(READY))
        with contextlib.suppress(TimeoutError):
            _receive_into(self._control, answer, time.monotonic() + _START_SECONDS)
        if answer != READY:
            raise RefusedError("no-decoder", word=_reason(self.close()))

    def fork(self, link: socket.socket, status: socket.socket) -> None:
        """Start a decoder. Raises `OSError` when this process has ended."""
        with self._lock:
            socket.send_fds(self._control, [b"f"], [link.fileno(), status.fileno()])

    def is_usable(self) -> bool:
        """Tell whether the process is there, and of this user: the system may have killed it for want of memory, and
        this process may have given up privileges.
        """
        return self._process.poll() is None and self._user == _identity()

    def close(self) -> int:
        """End the process and its decoders; return its exit code."""
        self._control.close()
        try:
            return self._process.wait(_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def disown(self) -> None:
        """In a forked process, leave the server to the parent."""
        self._control.close()
        self._process.returncode = 0


class Decoder:
    """A process that decodes one recording at a time, and the socket to it. is_sound : it can be given another."""

    def __init__(self, server: Server, engine: str) -> None:
        self.engine = engine
        self.recordings = 0
        self.is_sound = True
        self._server = server
        self._owner = os.getpid()
        self._limits = Limits()
        self._waited = 0.0
        self._opened: Opened | None = None
        self._room = math.inf  # samples that it may send still
        self._link, theirs = socket.socketpair()
        self._status, their_status = socket.socketpair()
        answer = bytearray(STARTED.size)
        with theirs, their_status:
            try:
                server.fork(theirs, their_status)
            except OSError:
                self.close()
                raise
        with contextlib.suppress(TimeoutError):
            _receive_into(self._status, answer, time.monotonic() + _START_SECONDS)
        self.pid, self._base = STARTED.unpack(answer)
        if not self.pid:
            self.close()
            raise OSError

    def start(self, descriptor: int, job: Job, limits: Limits) -> None:
        """Give it a recording. Raises `RefusedError`."""
        self.recordings += 1
        self.is_sound = False  # until the recording has ended well
        self._limits, self._waited, self._opened, self._room = limits, 0.0, None, job.most_samples
        if FORKS:
            try:
                limit_recording(self.pid, self._base, job.memory_bytes, job.cpu_seconds)
            except OSError:
                raise RefusedError("no-decoder", word="limits") from None
        try:
            socket.send_fds(self._link, [job.to_bytes()], [descriptor])
        except OSError:
            self._raise_death()

    def is_waiting(self) -> bool:
        """Tell whether an idle one can be used: the system may have killed it for want of memory."""
        if not self._server.is_usable():
            return False
        try:
            self._link.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False  # it has ended, or sent what nobody asked for

    def receive(self) -> Opened | Samples | Ended:
        """Wait for the next event. Raises `RefusedError`."""
        if os.getpid() != self._owner:  # two readers would share one stream of blocks
            raise RefusedError("forked")
        started = time.monotonic()
        stall_seconds = min(self._limits.stall_seconds, self._limits.wall_seconds - self._waited)
        try:
            event = self._receive_event(started + stall_seconds)
        except TimeoutError:
            raise RefusedError("limit-time") from None
        self._waited += time.monotonic() - started
        return event

    def _receive_event(self, deadline: float) -> Opened | Samples | Ended:
        """Receive a message of the decoder, and check all of its numbers."""
        kind, a, b, c, count = HEADER.unpack(self._receive(bytearray(HEADER.size), deadline))
        if (
            kind == BLOCK
            and self._opened
            and a == self._opened.channels
            and 0 < 4 * a * b <= _MAX_BLOCK_BYTES
            and a * b <= self._room
        ):
            self._room -= a * b
            block = np.empty((a, b), dtype=np.float32)
            self._receive(block.data.cast("B"), deadline)
            if not math.isfinite(float(np.vdot(block, block))):
                raise RefusedError("not-finite")
            return block
        opens = kind == OPENED and not self._opened
        if opens and MIN_RATE <= a <= MAX_RATE and 1 <= b <= MAX_CHANNELS and c in (1, b):
            self._opened = Opened(a, b, c, count)
            return self._opened
        if kind == ENDED and c <= 1 and (a == 0 or (a <= len(CODES) and CODES[a - 1] in ENDINGS)):
            self.is_sound = a == 0
            return Ended(count, CODES[a - 1] if a else None, b, bool(c))
        if kind == REFUSED and a < len(CODES):
            raise RefusedError(CODES[a], b, c)
        raise RefusedError("decoder-crashed", word="message")  # our own code sends nothing of the kind

    def _receive(self, buffer: bytearray | memoryview, deadline: float) -> bytearray | memoryview:
        """Fill a buffer from the decoder, or raise what its death means."""
        if _receive_into(self._link, buffer, deadline) < len(buffer):
            self._raise_death()
        return buffer

    def _raise_death(self) -> NoReturn:
        """Raise the reason for which the process died."""
        answer = bytearray(1)
        with contextlib.suppress(OSError, TimeoutError):
            self._status.shutdown(socket.SHUT_WR)
            _receive_into(self._status, answer, time.monotonic() + _ANSWER_SECONDS)
        if answer[0] == signal.SIGXCPU:
            raise RefusedError("limit-time")
        raise RefusedError("decoder-crashed", word=_reason(-answer[0]))

    def close(self) -> None:
        """End the process, if it is still running."""
        self._link.close()
        self._status.close()
        if not FORKS:
            self._server.close()


def _receive_into(sock: socket.socket, buffer: bytearray | memoryview, deadline: float) -> int:
    """Fill a buffer from a socket; return fewer bytes where the stream ends. Raises `TimeoutError`.

    The kernel keeps the time, which costs less than a poll before every read.
    """
    view, got = memoryview(buffer), 0
    while got < len(view):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        seconds, fraction = divmod(left, 1.0)
        timeout = struct.pack("@ll", int(seconds), max(1, int(fraction * 1e6)))
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            count = sock.recv_into(view[got:], 0, socket.MSG_WAITALL)
        except BlockingIOError:
            continue
        except OSError:
            break
        if not count:
            break
        got += count
    return got


def _reason(code: int) -> str:
    """Say in one word how a process ended."""
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return "signal"
    return "import" if code == IMPORT_FAILED else "exit"


def _spawn(link: int, engine: str) -> subprocess.Popen[bytes]:
    """Start a server of decoders: isolated, without site packages' hooks, environment or output."""
    home = str(Path(__file__).parents[2])  # last: where an import hook finds this package, no entry does
    paths = [*(os.path.abspath(entry) for entry in sys.path), home]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, str(link), engine],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # decoders print names and tags of recordings
        pass_fds=[link],
        cwd="/",
        env={
            **{name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ},
            "DEIDENT_IMPORTS": os.pathsep.join(paths),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            # keep freed blocks: giving each back to the system costs a tenth of decoding
            "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
            "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
        },
    )


_MOST_IDLE = 2 * (os.cpu_count() or 1)
_idle: list[Decoder] = []
_servers: dict[str, Server] = {}
_lock = threading.RLock()


def _take(engine: str) -> Decoder:
    """Take an idle decoder, or start one."""
    with _lock:
        for decoder in [decoder for decoder in reversed(_idle) if decoder.engine == engine]:
            _idle.remove(decoder)
            if decoder.is_waiting():
                return decoder
            decoder.close()
    for _ in range(2):  # the server may have ended since the last recording
        with contextlib.suppress(OSError):
            return Decoder(_server(engine), engine)
    raise RefusedError("no-decoder", word="fork")


def _server(engine: str) -> Server:
    """Return the server of an engine; start another in place of one that ended."""
    if not FORKS:
        return Server(engine)
    with _lock:
        server = _servers.get(engine)
        if server is None or not server.is_usable():
            if server is not None:
                server.close()
            server = _servers[engine] = Server(engine)
        return server


def _give_back(decoder: Decoder) -> None:
    """Keep a decoder for the next recording, unless it has met a damaged one, or many."""
    if not decoder.is_sound or decoder.recordings >= _RECORDINGS_A_DECODER:
        decoder.close()
        return
    with _lock:
        _idle.append(decoder)
        surplus = _idle.pop(0) if len(_idle) > _MOST_IDLE else None
    if surplus is not None:
        surplus.close()


def close_idle() -> None:
    """End all servers and decoders; later recordings start new ones."""
    with _lock:
        ending: list[Decoder | Server] = [*_idle, *_servers.values()]
        _idle.clear()
        _servers.clear()
    for process in ending:
        process.close()


def _disown_in_child() -> None:
    """Leave servers and decoders to the parent after a fork."""
    global _lock
    _lock = threading.RLock()
    for server in _servers.values():
        server.disown()
    if FORKS:
        for decoder in _idle:
            decoder.close()
    _idle.clear()
    _servers.clear()


atexit.register(close_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_in_child)
