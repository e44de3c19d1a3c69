"""Tables of recordings or utterances, as CSV or TSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from deident.datasets.entries import Entry, gather, located, segment_of
from deident.datasets.text_files import Row, errors_at, read_table, rows_of
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import WHOLE, Turn
from deident.uris import location


@runtime_checkable
class Frame(Protocol):
    """A frame of pandas, as far as it is used here."""

    def to_csv(self, *, index: bool) -> str:
        """Write the frame as text."""


COLUMNS = ("path", "speaker", "text", "start", "stop", "channel", "id")
TURNS = frozenset({"text", "start", "stop", "channel"})


def read(
    path: str | os.PathLike[str] | Frame, carry: Sequence[str] = (), base: str | Path | None = None
) -> list[Recording]:
    """Read a table with the column path, a file or a frame of pandas; see `deident.datasets.Reader`.

    Paths are relative to the table, or for a frame to the working directory. With a column text, start and stop (or
    end), or channel, every row is a turn of its recording. carry : columns whose values go into the manifest with every snippet. They are then public: nothing in
    them may tell the speaker.
    """
    if isinstance(path, str | os.PathLike):
        rows, folder = read_table(path, ("path",), COLUMNS, carry), Path(path).parent
    else:
        rows, folder = rows_of(path.to_csv(index=False), ("path",), COLUMNS, carry), Path()
    if not rows:
        return []
    if TURNS & rows[0].values.keys():
        return gather(_entry(row, folder, carry, base) for row in rows)
    found: dict[str, Recording] = {}
    for row in rows:
        with errors_at(row.place):
            place = located(row.values["path"], base, folder)
            recording = Recording(place, row.values.get("speaker") or None, labels=_labels(row, carry))
            if found.setdefault(location(place), recording) != recording:
                raise SettingError("this recording is there already, with another speaker or label")
    return list(found.values())


def _entry(row: Row, folder: Path, carry: Sequence[str], base: str | Path | None) -> Entry:
    values = row.values
    with errors_at(row.place):
        where = WHOLE
        if not {"start", "stop"}.isdisjoint(values):
            if not values.get("start") or not values.get("stop"):
                raise SettingError("expected start, and stop or end, in seconds")
            where = segment_of(values["start"], values["stop"])
        channel = values.get("channel") or None
        if channel and not (channel.isascii() and channel.isdecimal()):
            raise SettingError("expected a channel as a number from 0")
        speaker, text = (values.get(name) or None for name in ("speaker", "text"))
        turn = Turn(
            where, speaker, text, (), None if channel is None else int(channel), _labels(row, carry),
            values.get("id", ""),
        )  # fmt: skip
        return Entry(row.place, "", located(values["path"], base, folder), turn)


def _labels(row: Row, carry: Sequence[str]) -> dict[str, str]:
    return {name: row.values[name.strip().lower()] for name in carry}
