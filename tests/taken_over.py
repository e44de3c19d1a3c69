"""A decoder that a recording has taken over: in place of decoding it attacks, and sends the result of every attempt.

`guard` starts it in place of the real one, with everything around it unchanged."""

import contextlib
import ctypes
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from deident.codec import confine, worker
from deident.codec.files import Bytes
from deident.codec.worker import Ended, Job, Opened

NOBODY = 65534
LAST_CALL = 480  # Linux has fewer system calls
UNFILTERED = {
    "x86_64": {335, 336}
}  # uretprobe and uprobe: the kernel ends whoever calls them outside of a probe
library = ctypes.CDLL(None, use_errno=True)


def main(control: int, engine: str, attack: str, user: str) -> None:
    warm_up = worker._warm_up

    def then_attack(engine: str) -> None:
        warm_up(engine)
        become(user)
        worker.work = globals()[attack]

    worker._warm_up = then_attack
    if attack == "without_filter":
        confine._filter_system_calls = lambda: False
    worker.main(control, engine)


def without_filter(source: Bytes, job: Job) -> Iterator[Any]:
    """The same with a free descriptor, where the filter of system calls does not deny it."""
    victim, port = source.at(44, source.size - 44).split(b"\0", 1)[0].decode().split("|")
    os.close(source.descriptor)
    yield from errors(deeds(victim, int(port), -1))


def become(user: str) -> None:
    if user == "nobody" and os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def errors(attempts: dict[str, Callable[[], object]]) -> Iterator[Any]:
    """The numbers of the errors that attempts ended with, 0 for success, in place of samples."""
    numbers = []
    for attempt in attempts.values():
        try:
            attempt()
            numbers.append(0)
        except OSError as error:
            numbers.append(error.errno)
        except Exception:  # a thread cannot start, a module cannot be loaded any more
            numbers.append(-1)
    yield Opened(16_000, 1, 1)
    yield np.array([numbers], dtype=np.float32)
    yield Ended(0, None)


def listed() -> set[int]:
    """System calls that the filter allows, or never sees."""
    machine = platform.machine()
    return {*confine.ALLOWED[machine][1].values(), *UNFILTERED.get(machine, ())}


def system_calls(source: Bytes, job: Job) -> Iterator[Any]:
    """Every system call that is not allowed, by its number, on arguments that are none."""
    left_out = listed()

    def call(number: int) -> None:
        if library.syscall(number, -1, -1, -1, -1, -1, -1) == -1:
            raise OSError(ctypes.get_errno(), "")

    yield from errors({str(n): lambda n=n: call(n) for n in range(LAST_CALL) if n not in left_out})


def deeds(victim: str, port: int, recording: int) -> dict[str, Callable[[], object]]:
    """Acts that nobody but the owner of this process should manage, in Python."""

    def in_fork() -> None:
        if not os.fork():
            os._exit(0)

    def as_thread() -> None:
        threading.Thread(target=int).start()

    return {
        "read": lambda: open(victim).read(),
        "write": lambda: open(victim, "w"),
        "append": lambda: open(victim, "a").write("x"),
        "create": lambda: open(victim + ".new", "w"),
        "list": lambda: os.listdir("/"),
        "stat": lambda: os.stat(victim),
        "truncate": lambda: os.truncate(victim, 0),
        "unlink": lambda: os.unlink(victim),
        "rename": lambda: os.rename(victim, victim + ".moved"),
        "link": lambda: os.link(victim, victim + ".link"),
        "chmod": lambda: os.chmod(victim, 0o777),
        "environment": lambda: open("/proc/self/environ").read(),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 1),
        "socket": lambda: socket.socket(socket.AF_UNIX),
        "pipe": os.pipe,
        "fork": in_fork,
        "thread": as_thread,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "run": lambda: subprocess.run(["/bin/true"], check=True),
        "kill": lambda: os.kill(os.getppid(), signal.SIGTERM),
        "ignore": lambda: signal.signal(signal.SIGXCPU, signal.SIG_IGN),
        "more time": lambda: resource.setrlimit(resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU)),
        "privileges": lambda: os.setuid(0),
        "overwrite": lambda: os.pwrite(recording, b"x", 0),
        "execute": lambda: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC),
        "make executable": make_executable,
        "share": lambda: map_shared(recording, mmap.MAP_SHARED),
        "share memory": lambda: map_shared(-1, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
    }


def map_shared(descriptor: int, flags: int) -> None:
    """Python's own mapping would ask for the size of the file first, which is denied too."""
    library.mmap.restype = ctypes.c_void_p
    arguments = ctypes.c_size_t(44), mmap.PROT_READ, flags, descriptor, ctypes.c_long(0)
    if library.mmap(None, *arguments) == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "")


def make_executable() -> None:
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE, mmap.MAP_PRIVATE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if library.mprotect(ctypes.c_void_p(start), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "")


def crimes(source: Bytes, job: Job) -> Iterator[Any]:
    victim, port = source.at(44, source.size - 44).split(b"\0", 1)[0].decode().split("|")
    yield from errors(deeds(victim, int(port), source.descriptor))


def drip(source: Bytes, job: Job) -> Iterator[Any]:
    """One byte now and then, so that no wait is long."""
    link = next(number for number in range(3, 64) if is_socket(number))
    while True:
        os_send(link, b"\0")
        time.sleep(0.1)


def spin(source: Bytes, job: Job) -> Iterator[Any]:
    """Processor time without an end, deaf to the signal that is meant to end it."""
    with contextlib.suppress(OSError):
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXCPU})
    while True:
        pass
    yield


def flood(source: Bytes, job: Job) -> Iterator[Any]:
    """More samples than a recording can hold, at no cost of its own."""
    yield Opened(16_000, 1, 1)
    for _ in range(200):
        yield np.zeros((1, 1 << 16), np.float32)
    yield Ended(0, None)


def open_twice(source: Bytes, job: Job) -> Iterator[Any]:
    """A second format in the middle, with more channels than those that follow expect."""
    yield Opened(16_000, 1, 1)
    yield np.full((1, 16_000), 0.1, np.float32)
    yield Opened(16_000, 2, 2)
    yield np.full((2, 16_000), 0.1, np.float32)
    yield Ended(0, None)


def claim_damage(source: Bytes, job: Job) -> Iterator[Any]:
    yield Opened(16_000, 1, 1)
    yield np.full((1, 16_000), 0.1, np.float32)
    yield Ended(1_000_000, "damaged")


def is_socket(descriptor: int) -> bool:
    return library.send(descriptor, b"", 0, 0) == 0


def os_send(descriptor: int, data: bytes) -> None:
    library.send(descriptor, data, len(data), 0)
