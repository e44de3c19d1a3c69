"""Decode in a confined child process, so that a broken or hostile file can do harm only there.

Children are started without an environment, and so without a key, and are kept for the next recording: starting one
takes two tenths of a second, reusing one under a millisecond."""

from __future__ import annotations

import atexit
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
from deident.codec.files import Bytes
from deident.codec.limits import Limits
from deident.codec.problems import CODES, ENDINGS, RefusedError
from deident.codec.worker import (
    BLOCK,
    CANCEL,
    ENDED,
    HEADER,
    OPENED,
    READY,
    REFUSED,
    Ended,
    Job,
    Opened,
    work,
)

_MAX_BLOCK_BYTES = 1 << 28
_RECORDINGS_A_WORKER = 1000  # then a fresh one, so that nothing can pile up in a decoder
_CANCEL_SECONDS = 1.0
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_BOOT = (
    "import os, sys; sys.path[:0] = os.environ.pop('DEIDENT_IMPORTS').split(os.pathsep); "
    "from deident.codec.worker import main; main(int(sys.argv[1]), sys.argv[2])"
)


def decode_guarded(descriptor: int, job: Job, limits: Limits) -> Iterator[Opened | Samples | Ended]:
    """Yield what `worker.work` yields, from a child process. Raises `RefusedError`, also for a child that died,
    hung or exceeded a limit; that child is replaced."""
    if not is_available():
        warnings.warn(
            "this platform offers no guarded decoding: recordings are decoded in this process, "
            "without limits on memory and time",
            RuntimeWarning,
            stacklevel=4,
        )
        yield from work(Bytes(descriptor, job.start), job)
        return
    worker = _take(job.engine)
    reusable = False
    try:
        worker.start(descriptor, job, limits)
        while True:
            event = worker.receive()
            if isinstance(event, Ended):
                reusable = True
                yield event
                return
            yield event
    except RefusedError:
        reusable = worker.is_alive
        raise
    except GeneratorExit:
        reusable = reusable or worker.cancel()
        raise
    finally:
        _give_back(worker, reusable)


def is_available() -> bool:
    """Tell whether this platform can decode in a child process."""
    return (
        hasattr(socket, "send_fds")
        and os.name == "posix"
        and bool(sys.executable)
        and not getattr(sys, "frozen", False)
    )


class Worker:
    """One child process and the socket to it."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.recordings = 0
        self._owner = os.getpid()
        self.is_alive = True
        self._is_ready = False
        self._waited = 0.0
        self._limits = Limits()
        self._opened: Opened | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(theirs.fileno(), engine)
            except OSError:
                self._socket.close()
                raise RefusedError("no-decoder") from None

    def start(self, descriptor: int, job: Job, limits: Limits) -> None:
        self.recordings += 1
        if not self._is_ready:
            self._set_limits(Limits())  # a recording's own limits are for its decoding
            self._await_start()
        self._set_limits(limits)
        self._opened = None
        try:
            socket.send_fds(self._socket, [job.to_bytes()], [descriptor])
        except OSError:
            self._raise_death()

    def _set_limits(self, limits: Limits) -> None:
        self._limits, self._waited = limits, 0.0
        self._wait_at_most(limits.stall_seconds)

    def _wait_at_most(self, stall_seconds: float) -> None:
        seconds, fraction = divmod(stall_seconds, 1.0)
        timeout = struct.pack("@ll", int(seconds), int(fraction * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)

    def _await_start(self) -> None:
        try:
            kind, *_ = self._receive_header()
        except RefusedError:
            kind = b""
        if kind != READY:
            self.kill()
            raise RefusedError("no-decoder")
        self._is_ready = True

    def receive(self) -> Opened | Samples | Ended:
        if os.getpid() != self._owner:  # two readers would share one stream of blocks
            raise RefusedError("forked")
        kind, a, b, c, count = self._receive_header()
        if (
            kind == BLOCK
            and self._opened
            and a == self._opened.channels
            and 0 < 4 * a * b <= _MAX_BLOCK_BYTES
        ):
            block = np.empty((a, b), dtype=np.float32)
            self._receive_into(block.data.cast("B"))
            if not math.isfinite(float(np.vdot(block, block))):
                self.kill()
                raise RefusedError("not-finite")
            return block
        if kind == OPENED and MIN_RATE <= a <= MAX_RATE and 1 <= b <= MAX_CHANNELS and c in (1, b):
            self._opened = Opened(a, b, c)
            return self._opened
        if kind == ENDED and (a == 0 or (a <= len(CODES) and CODES[a - 1] in ENDINGS)):
            return Ended(count, CODES[a - 1] if a else None)
        if kind == REFUSED and a < len(CODES):
            raise RefusedError(CODES[a], b, c)
        self.kill()  # our own code sends nothing of the kind
        raise RefusedError("decoder-crashed")

    def _receive_into(self, view: memoryview) -> None:
        start = time.monotonic()
        while view:
            try:
                got = self._socket.recv_into(view, 0, socket.MSG_WAITALL)
            except BlockingIOError:  # the socket's time-out
                self.kill()
                raise RefusedError("limit-time") from None
            except OSError:
                got = 0
            if not got:
                self._raise_death()
            view = view[got:]
        self._waited += time.monotonic() - start
        if self._waited > self._limits.wall_seconds:
            self.kill()
            raise RefusedError("limit-time")

    def _receive_header(self) -> tuple[bytes, int, int, int, int]:
        header = bytearray(HEADER.size)
        self._receive_into(memoryview(header))
        kind, a, b, c, count = HEADER.unpack(header)
        return kind, a, b, c, count

    def is_running(self) -> bool:
        """Tell whether the process is running; the system may have killed an idle one for want of memory."""
        return self._process.poll() is None

    def cancel(self) -> bool:
        """End the current recording early; return False when the child does not comply."""
        if os.getpid() != self._owner:
            return False
        try:
            self._wait_at_most(_CANCEL_SECONDS)
            self._socket.send(CANCEL)
            deadline = time.monotonic() + _CANCEL_SECONDS
            while time.monotonic() < deadline:
                if isinstance(self.receive(), Ended):
                    return True
        except (RefusedError, OSError):
            return self.is_alive
        return False

    def _raise_death(self) -> NoReturn:
        """Raise the reason for which the child died."""
        self.kill()
        code = self._process.returncode
        raise RefusedError("limit-time" if code == -signal.SIGXCPU else "decoder-crashed")

    def kill(self) -> None:
        self.is_alive = False
        self._socket.close()
        try:
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End an idle child."""
        self.kill()

    def disown(self) -> None:
        """In a forked process, leave the child to the parent."""
        self._socket.close()
        self._process.returncode = 0


def _spawn(link: int, engine: str) -> subprocess.Popen[bytes]:
    home = str(Path(__file__).parents[2])
    paths = [home, *(os.path.abspath(entry) for entry in sys.path)]
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
_idle: list[Worker] = []
_lock = threading.Lock()


def _take(engine: str) -> Worker:
    with _lock:
        for worker in [worker for worker in reversed(_idle) if worker.engine == engine]:
            _idle.remove(worker)
            if worker.is_running():
                return worker
            worker.close()
    return Worker(engine)


def _give_back(worker: Worker, reusable: bool) -> None:
    if not reusable or not worker.is_alive or worker.recordings >= _RECORDINGS_A_WORKER:
        worker.close()
        return
    with _lock:
        _idle.append(worker)
        surplus = _idle.pop(0) if len(_idle) > _MOST_IDLE else None
    if surplus is not None:
        surplus.close()


def close_idle() -> None:
    """End all idle children; later recordings start new ones."""
    with _lock:
        workers, _idle[:] = _idle[:], []
    for worker in workers:
        worker.close()


def _disown_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for worker in _idle:
        worker.disown()
    _idle.clear()


atexit.register(close_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_in_child)
