"""Processes that are killed at work. What a signal leaves undone is undone: no `finally`, no transaction's end."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def fork(work: Callable[[], object]) -> int:
    """Start a process that does some work; its id. It ends with the code 1 where that fails."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the runner's threads, of which the child needs none
        child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def die_after(calls: int, of: Mapping[type, Iterable[str]]) -> None:
    """Let this process kill itself before one more than so many calls of these methods."""
    left = [calls]

    def dying(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any, **named: Any) -> object:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)

        return call

    for kind, names in of.items():
        for name in names:
            setattr(kind, name, dying(getattr(kind, name)))


def was_killed(child: int) -> bool:
    """Wait for a process, which must have been killed or have done its work."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False
