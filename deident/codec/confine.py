"""Take rights away from the processes that decode, as far as the system can.

Everywhere: no descriptor but one recording's, no written byte, no core dump, and limits on memory and processor time.
On Linux also: no new privileges; Landlock, which denies every path, TCP port, abstract socket and signal; and a
seccomp filter, which denies every system call that is not listed below. `python -m deident.codec` prints which of them
this system has. A confined process cannot undo any of it.

References
----------
Linux man-pages, seccomp(2) and landlock(7); kernel documentation, seccomp_filter.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import socket
import struct
import sys
import time
from functools import cache

from deident.process import disable_core_dumps

LAYERS = ("limits", "no-new-privileges", "landlock", "seccomp")  # bit 0, 1, 2, 3 of `confine_process`

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SECCOMP_SET_MODE_FILTER = 1
_RETURN_ALLOW, _RETURN_ERRNO, _RETURN_KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM = 1
_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF operations of 32 bits
# Offsets in struct seccomp_data; of arguments the low half.
_NUMBER_AT, _ARCH_AT, _PROTECTION_AT, _FLAGS_AT = 0, 4, 16 + 2 * 8, 16 + 3 * 8
_PROT_EXEC, _MAP_SHARED = 0x04, 0x01
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1
# Counts of rights by version of Landlock: of files and folders, of TCP ports, of scopes (sockets, signals).
_LANDLOCK_FILES = {1: 13, 2: 14, 3: 15, 5: 16}
_LANDLOCK_PORTS, _LANDLOCK_SCOPES = {4: 2}, {6: 2}

# The system calls of a decoder after its imports: it receives a recording over its link, reads it at given positions,
# sends blocks, manages memory, waits for locks, asks for the time, and ends. By architecture: its AUDIT_ARCH, numbers.
ALLOWED = {
    "x86_64": (
        0xC000003E,
        {
            "close": 3, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigreturn": 15, "pread64": 17,
            "sched_yield": 24, "mremap": 25, "madvise": 28, "getpid": 39, "sendto": 44, "recvmsg": 47, "exit": 60,
            "gettimeofday": 96, "getrusage": 98, "gettid": 186, "futex": 202, "sched_getaffinity": 204,
            "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
            "exit_group": 231, "getrandom": 318,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "close": 57, "mmap": 222, "mprotect": 226, "munmap": 215, "brk": 214, "rt_sigreturn": 139, "pread64": 67,
            "sched_yield": 124, "mremap": 216, "madvise": 233, "getpid": 172, "sendto": 206, "recvmsg": 212,
            "exit": 93, "gettimeofday": 169, "getrusage": 165, "gettid": 178, "futex": 98, "sched_getaffinity": 123,
            "restart_syscall": 128, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
            "exit_group": 94, "getrandom": 278,
        },
    ),
}  # fmt: skip


def confine_process(link: socket.socket) -> int:
    """Give up rights for the rest of this process's life; return the bits of the `LAYERS` that are in force.

    link : the socket over which recordings come; there is room for one descriptor besides.
    """
    spare = os.dup(link.fileno())
    os.close(spare)
    layers = 1
    if sys.platform == "linux":
        library = _library()
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        layers |= 2 * int(library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        layers |= 4 * int(_restrict_by_landlock(library))
    for name, most in (("FSIZE", 0), ("CORE", 0), ("NOFILE", spare + 1)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    return layers | 8 * int(_filter_system_calls())


def limit_recording(pid: int, base: int, memory_bytes: int, cpu_seconds: float) -> None:
    """Limit memory and processor time of a decoder for one recording, on top of what it already uses.

    pid : 0 for this process; others on Linux only.   base : its address space, where it cannot be asked for.
    Raises `OSError` when another process cannot be limited.
    """
    space = (address_space(pid) if pid else base) or base
    limits = {resource.RLIMIT_CPU: int(_cpu_seconds(pid) + cpu_seconds) + 1}
    if space:
        limits[resource.RLIMIT_AS] = space + memory_bytes
    for limit, value in limits.items():
        _, most = resource.prlimit(pid, limit) if pid else resource.getrlimit(limit)
        wanted = (value if most == resource.RLIM_INFINITY else min(value, most), most)
        if pid:
            resource.prlimit(pid, limit, wanted)
        else:
            with contextlib.suppress(ValueError, OSError):  # macOS has no limit of the address space
                resource.setrlimit(limit, wanted)


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    return (
        time.clock_gettime(~pid << 3 | 2) if pid else time.process_time()
    )  # clock_getcpuclockid(3) of Linux


def address_space(pid: int = 0) -> int:
    """Return the address space of a process in bytes, 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid or 'self'}/statm", "rb") as file:
            return int(file.read(64).split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def names_of(layers: int) -> tuple[str, ...]:
    """Name the bits that `confine_process` returned."""
    return tuple(name for bit, name in enumerate(LAYERS) if layers >> bit & 1)


@cache
def prepare() -> None:
    """Load and disable once what every decoder would otherwise do by itself after its fork."""
    disable_core_dumps()
    if sys.platform == "linux":
        _library()
        _program()


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _restrict_by_landlock(library: ctypes.CDLL) -> bool:
    """Deny every access that the kernel's Landlock knows, by a set of rules without an exception."""
    version = library.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return False
    masks = [
        (1 << max((bits for since, bits in rights.items() if since <= version), default=0)) - 1
        for rights in (_LANDLOCK_FILES, _LANDLOCK_PORTS, _LANDLOCK_SCOPES)
    ]
    handled = struct.pack("@3Q", *masks)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = library.syscall(_LANDLOCK_CREATE, handled, ctypes.c_size_t(len(handled)), 0)
    if rules < 0:
        return False
    denied: bool = library.syscall(_LANDLOCK_RESTRICT, rules, 0) == 0
    os.close(rules)
    return denied


def _filter_system_calls() -> bool:
    """Install the seccomp filter; False where there is none for this system."""
    program = _program() if sys.platform == "linux" else None
    if program is None:
        return False
    filter_ = struct.pack("@HP", len(program) // 8, ctypes.addressof(program))
    number = {"x86_64": 317, "aarch64": 277}[platform.machine()]
    is_filtered: bool = _library().syscall(number, _SECCOMP_SET_MODE_FILTER, 0, filter_) == 0
    return is_filtered


@cache
def _program() -> ctypes.Array[ctypes.c_char] | None:
    """Assemble the filter: EPERM for whatever is not allowed, and the end for calls of another architecture.

    Shared mappings are denied too, for they could write to the copy of a recording that lies in memory; and memory
    that may be executed, for a recording could bring instructions along.
    """
    if platform.machine() not in ALLOWED or sys.byteorder != "little":
        return None
    arch, numbers = ALLOWED[platform.machine()]
    others = [number for name, number in numbers.items() if name not in ("mmap", "mprotect")]
    code = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _RETURN_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
        *((_JUMP_EQUAL, len(others) - at + 6, 0, number) for at, number in enumerate(others)),
        (_JUMP_EQUAL, 3, 0, numbers["mprotect"]),
        (_JUMP_EQUAL, 0, 4, numbers["mmap"]),
        (_LOAD, 0, 0, _FLAGS_AT),
        (_JUMP_ANY_BIT, 2, 0, _MAP_SHARED),
        (_LOAD, 0, 0, _PROTECTION_AT),
        (_JUMP_ANY_BIT, 0, 1, _PROT_EXEC),
        (_RETURN, 0, 0, _RETURN_ERRNO | _EPERM),
        (_RETURN, 0, 0, _RETURN_ALLOW),
    ]
    packed = b"".join(struct.pack("=HBBI", *step) for step in code)
    return ctypes.create_string_buffer(packed, len(packed))
