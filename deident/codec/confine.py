"""Take rights away from a decoder's process, as far as the system can."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import sys
import threading

from deident.process import disable_core_dumps

_statm: int | None = None

_PR_SET_NO_NEW_PRIVS = 38


def confine_process(link: socket.socket) -> None:
    """Allow one more descriptor, no written byte, no core dump and no new privileges; end with the parent."""
    global _statm
    with contextlib.suppress(
        OSError
    ):  # Linux; read before every recording, when nothing can be opened any more
        _statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, and closes the link
    spare = os.dup(link.fileno())
    os.close(spare)
    disable_core_dumps()
    for limit, value in (("NOFILE", spare + 1), ("FSIZE", 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (value, value))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    threading.Thread(target=_die_with, args=(link.fileno(),), daemon=True).start()


def limit_recording(memory_bytes: int, cpu_seconds: float) -> None:
    """Limit memory and processor time for one recording, on top of what this process already uses."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + cpu_seconds) + 1, most))
    if address_space := _address_space():
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (address_space + memory_bytes, most))


def _address_space() -> int:
    """Return the address space in use in bytes, 0 where the system does not tell."""
    if _statm is None:
        return 0
    return int(os.pread(_statm, 64, 0).split()[0]) * resource.getpagesize()


def _die_with(descriptor: int) -> None:
    """End the process when the other end of its link is closed, even while a decoder is busy."""
    hung_up = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
    poll = select.poll()
    poll.register(descriptor, hung_up)
    poll.poll()
    os._exit(0)
