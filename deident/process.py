"""What a process that holds keys, paths and sound must not leave behind, and whom it must not outlive."""

from __future__ import annotations

import contextlib
import signal
import sys


def leave_no_core() -> None:
    """No image of this process's memory on disk or in a crash reporter's hands, nor of those it starts."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # a reporter that cores are piped to does not ask for the limit
        with contextlib.suppress(OSError, AttributeError):
            import ctypes

            pr_set_dumpable = 4
            ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)


def be_a_worker() -> None:
    """In a worker of a pool: no core, no traceback at Ctrl-C, which is for the parent, and no life without it."""
    import multiprocessing
    import threading

    leave_no_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    """A worker whose parent was killed would wait for work for ever, or go on with what was queued."""
    import os
    from multiprocessing.connection import wait

    wait([sentinel])
    os._exit(1)
