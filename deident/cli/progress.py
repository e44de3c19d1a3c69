"""Progress of a run on stderr: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from deident.recording import Recording
from deident.runs.worker import FINE, Outcome

BAR = 24
WIDE = 100  # columns, where the terminal does not say
LOG_SECONDS = 10.0
DRAW_SECONDS = 0.1


class Progress:
    """Shows progress; it is called with each outcome. total : recordings in all.   show_paths : name them by path."""

    def __init__(
        self, total: int, *, show_paths: bool = False, quiet: bool = False, stream: TextIO | None = None
    ) -> None:
        self.problems: list[dict[str, str]] = []
        self._total = total
        self._show_paths = show_paths
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._started = self._shown = time.monotonic()
        self._done = 0
        self._ended_seconds = self._read_seconds = (
            0.0  # of audio: of recordings that have ended, and of all so far
        )
        self._width = 0

    def __call__(self, outcome: Outcome, recording: Recording) -> None:
        self._done += 1
        self._ended_seconds += outcome.tally.read_seconds
        if outcome.state not in FINE:
            self._problem(outcome, recording)
        self._show_at_times()

    def add_read(self, seconds: float) -> None:
        """Count audio of a recording that has not ended yet."""
        self._read_seconds += seconds
        self._show_at_times()

    def _show_at_times(self) -> None:
        now = time.monotonic()
        if now - self._shown >= (DRAW_SECONDS if self._terminal else LOG_SECONDS):
            self._shown = now
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
        seconds = max(self._ended_seconds, self._read_seconds)
        rate = seconds / elapsed if elapsed else 0.0
        text = (
            f"{self._done}/{self._total} recordings, {clock(seconds)} of audio, {rate:.0f} × real time{left}"
        )
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
        """Count the terminal's columns: a longer line would wrap, and a wrapped line is not overwritten."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or WIDE
        except OSError:
            return WIDE

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def clock(seconds: float) -> str:
    """Format seconds as h:mm:ss, or m:ss under an hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(text: str) -> str:
    """Escape characters of a path that would move the cursor."""
    return os.fsencode(text).decode("utf-8", "replace").encode("unicode_escape").decode("ascii")
