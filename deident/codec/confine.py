"""What a decoder's process gives up, as far as the system offers it."""

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

from deident.process import leave_no_core

_statm: int | None = None

_PR_SET_NO_NEW_PRIVS = 38


def for_good(link: socket.socket) -> None:
    """No new descriptors but one recording's, no written byte, no core, no privileges; and no life without
    the process at the other end of the link."""
    global _statm
    with contextlib.suppress(
        OSError
    ):  # Linux has it; looked at before every recording, when it is too late to open
        _statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the link
    spare = os.dup(link.fileno())
    os.close(spare)
    leave_no_core()
    for limit, value in (("NOFILE", spare + 1), ("FSIZE", 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (value, value))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    threading.Thread(target=_die_with, args=(link.fileno(),), daemon=True).start()


def for_now(memory_bytes: int, cpu_seconds: float) -> None:
    """The budget of one recording, on top of what this process already has and has used."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + cpu_seconds) + 1, most))
    if address_space := _address_space():
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (address_space + memory_bytes, most))


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not tell."""
    if _statm is None:
        return 0
    return int(os.pread(_statm, 64, 0).split()[0]) * resource.getpagesize()


def _die_with(descriptor: int) -> None:
    """Ends the process when the other end of its link is gone, whatever a decoder is busy with."""
    hung_up = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
    poll = select.poll()
    poll.register(descriptor, hung_up)
    poll.poll()
    os._exit(0)
