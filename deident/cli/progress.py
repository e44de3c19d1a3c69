"""What a person sees while a run goes on: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from deident.recording import Recording
from deident.runs.worker import FINE, Outcome

BAR = 24
WIDE = 100  # columns, where the terminal does not tell
LOG_SECONDS = 10.0
DRAW_SECONDS = 0.1


class Progress:
    """Called with each outcome, and to `hear` of sound that was read. total : recordings to come.
    show_paths : name them by their paths."""

    def __init__(
        self, total: int, *, show_paths: bool = False, quiet: bool = False, stream: TextIO | None = None
    ) -> None:
        self.problems: list[dict[str, str]] = []
        self._total = total
        self._show_paths = show_paths
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._started = self._told = time.monotonic()
        self._done = 0
        self._sound = self._heard = 0.0  # seconds: of recordings that have ended, and of all so far
        self._width = 0

    def __call__(self, outcome: Outcome, recording: Recording) -> None:
        self._done += 1
        self._sound += outcome.tally.read_seconds
        if outcome.state not in FINE:
            self._problem(outcome, recording)
        self._show_at_times()

    def hear(self, seconds: float) -> None:
        """Some recording went on by so much."""
        self._heard += seconds
        self._show_at_times()

    def _show_at_times(self) -> None:
        now = time.monotonic()
        if now - self._told >= (DRAW_SECONDS if self._terminal else LOG_SECONDS):
            self._told = now
            self._show()

    def finish(self) -> None:
        if self._width:
            self._write("\r" + " " * self._width + "\r")

    def _problem(self, outcome: Outcome, recording: Recording) -> None:
        name = recording.path if self._show_paths else outcome.id
        self.problems.append(
            {"recording": name, "state": outcome.state, "code": outcome.code, "message": outcome.message}
        )
        if not self._quiet:
            self.finish()
            code = f" ({outcome.code})" if outcome.code else ""
            said = f": {outcome.message}" if outcome.message else ""
            self._write(f"deident: recording {printable(name)}: {outcome.state}{code}{said}\n")

    def _show(self) -> None:
        if self._quiet:
            return
        elapsed = time.monotonic() - self._started
        share = self._done / max(1, self._total)
        left = f", {clock(elapsed * (1 - share) / share)} left" if share else ""
        sound = max(self._sound, self._heard)
        rate = sound / elapsed if elapsed else 0.0
        text = f"{self._done}/{self._total} recordings, {clock(sound)} of sound, {rate:.0f} × real time{left}"
        if not self._terminal:
            self._write(f"deident: {text}\n")
            return
        room = self._columns() - 1
        bar = min(BAR, room - len(text) - 3)  # without the brackets and a space
        filled = round(share * bar)
        line = (f"[{'#' * filled}{'.' * (bar - filled)}] {text}" if bar > 0 else text)[:room]
        self._write("\r" + line.ljust(self._width))
        self._width = len(line)

    def _columns(self) -> int:
        """Of the terminal: a longer line would wrap, and what has wrapped is not overwritten."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or WIDE
        except OSError:
            return WIDE

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def clock(seconds: float) -> str:
    """h:mm:ss, or m:ss under an hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(text: str) -> str:
    """A path without what would move the cursor."""
    return os.fsencode(text).decode("utf-8", "replace").encode("unicode_escape").decode("ascii")
