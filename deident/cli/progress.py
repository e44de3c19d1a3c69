"""Progress of a run on stderr: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from deident import __version__
from deident.recording import Recording
from deident.runs.worker import FINE, Outcome

if TYPE_CHECKING:
    from deident.runs.run import Summary

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
        """Remove the bar."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")

    def _problem(self, outcome: Outcome, recording: Recording) -> None:
        """Keep a problem for the summary, and show it."""
        name = recording.path if self._show_paths else outcome.id
        problem = {
            "recording": name,
            "state": outcome.state,
            "code": outcome.code,
            "message": outcome.message,
        }
        self.problems.append(problem)
        if not self._quiet:
            self._show_problem(**problem)

    def _show_problem(self, recording: str, state: str, code: str, message: str) -> None:
        self.finish()
        why = f" ({code})" if code else ""
        said = f": {message}" if message else ""
        self._write(f"deident: recording {printable(recording)}: {state}{why}{said}\n")

    def _show(self) -> None:
        """Show a bar with the time left on a terminal, a line elsewhere."""
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


class JsonLog(Progress):
    """Writes progress as JSON lines: an event each, with the time, the version and the policy's fingerprint."""

    def __init__(self, total: int, fingerprint: str, **settings: Any) -> None:
        super().__init__(total, **settings)
        self._facts = {"version": __version__, "policy": fingerprint}
        self._event("start", recordings=total)

    def end(self, summary: Summary) -> None:
        """Write the last event, with the summary."""
        self._event("end", **summary.to_mapping())

    def finish(self) -> None:
        """Do nothing: there is no bar to remove."""

    def _show_problem(self, recording: str, state: str, code: str, message: str) -> None:
        self._event("problem", recording=printable(recording), state=state, code=code, message=message)

    def _show(self) -> None:
        seconds = max(self._ended_seconds, self._read_seconds)
        self._event("progress", done=self._done, recordings=self._total, read_seconds=seconds)

    def _event(self, event: str, **facts: Any) -> None:
        if not self._quiet:
            self._write(json_line(event, **self._facts, **facts))


def json_line(event: str, **facts: Any) -> str:
    """Write an event of a log as a line of JSON."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"time": now, "event": event, **facts}) + "\n"


def clock(seconds: float) -> str:
    """Format seconds as h:mm:ss, or m:ss under an hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def printable(text: str) -> str:
    """Escape characters of a path that would move the cursor."""
    return os.fsencode(text).decode("utf-8", "replace").encode("unicode_escape").decode("ascii")
