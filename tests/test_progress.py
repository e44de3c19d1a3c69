"""The progress of a run: a bar on a terminal, a line now and then elsewhere."""

import io
import os

import pytest

from deident.cli import progress as progress_module
from deident.errors import counted
from deident.recording import Recording, Tally
from deident.runs.worker import Outcome


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_bar_or_a_line_now_and_then(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(clock)))
    screen = Screen(terminal)
    progress = progress_module.Progress(10, stream=screen)
    for number in range(10):
        progress(Outcome(number, "released", Tally(read_seconds=60.0)), Recording("canary.wav"))
    progress.finish()
    shown = screen.getvalue()
    assert "canary" not in shown
    assert "5/10 recordings, 5:00 of audio" in shown or "6/10 recordings, 6:00 of audio" in shown
    assert "left" in shown
    if terminal:
        assert shown.count("\n") == 0
        assert "[############............]" in shown
        assert shown.endswith("\r")
    else:
        assert "\r" not in shown
        assert 3 <= shown.count("\n") <= 5


def test_progress_moves_within_a_long_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(clock)))
    screen = Screen(terminal=True)
    progress = progress_module.Progress(2, stream=screen)
    for _ in range(30):
        progress.add_read(60.0)
    assert "0/2 recordings, 30:00 of audio" in screen.getvalue()
    progress(Outcome(0, "released", Tally(read_seconds=1_800.0)), Recording("canary.wav"))
    assert "1/2 recordings, 30:00 of audio" in screen.getvalue()


@pytest.mark.parametrize(("columns", "shows"), [(80, "####"), (80, "0:00 left"), (50, "10/10 recordings, ")])
def test_a_bar_fits_its_terminal(columns: int, shows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that wraps is not overwritten by the next."""
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress_module.os, "get_terminal_size", lambda _: os.terminal_size((columns, 20)))
    monkeypatch.setattr(Screen, "fileno", lambda _: 2)
    screen = Screen(terminal=True)
    progress = progress_module.Progress(10, stream=screen)
    for number in range(10):
        progress(Outcome(number, "released", Tally(read_seconds=60.0)), Recording("canary.wav"))
    lines = screen.getvalue().split("\r")
    assert len(lines) > 5
    assert max(map(len, lines)) == columns - 1
    assert shows in screen.getvalue()


@pytest.mark.parametrize(("count", "said"), [(0, "0 snippets"), (1, "1 snippet"), (2, "2 snippets")])
def test_nouns_agree_with_their_count(count: int, said: str) -> None:
    assert counted(count, "snippet") == said
