"""Tables of recordings or utterances, as CSV or TSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from deident.datasets.entries import Entry, consented, gather, located, segment_of
from deident.datasets.text_files import Row, column_name, errors_at, read_table, rows_of
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import WHOLE, Turn
from deident.uris import location


@runtime_checkable
class Frame(Protocol):
    """A frame of pandas, as far as it is used here."""

    def to_csv(self, *, index: bool) -> str:
        """Write the frame as text."""


COLUMNS = ("path", "speaker", "text", "start", "stop", "channel", "id", "consent")
TURNS = frozenset({"text", "start", "stop", "channel"})


def read(
    path: str | os.PathLike[str] | Frame, carry: Sequence[str] = (), base: str | Path | None = None
) -> list[Recording]:
    """Read a table with the column path, a file or a frame of pandas; see `deident.datasets.Reader`.

    Paths are relative to the table, or for a frame to the working directory. With a column text, start and stop (or
    end), or channel, every row is a turn of its recording. Consent is yes or no, and every row of a recording must have
    it.

    carry : columns whose values go into the manifest with every snippet. They are then public: nothing in
    them may tell the speaker.
    """
    if isinstance(path, str | os.PathLike):
        rows, folder = read_table(path, ("path",), COLUMNS, carry), Path(path).parent
    else:
        rows, folder = rows_of(path.to_csv(index=False), ("path",), COLUMNS, carry), Path()
    if not rows:
        return []
    without = _without_consent(rows, folder, base)
    if TURNS & rows[0].values.keys():
        found = gather(_entry(row, folder, carry, base) for row in rows)
        return [replace(recording, consent=location(recording.path) not in without) for recording in found]
    known: dict[str, Recording] = {}
    for row in rows:
        with errors_at(row.place):
            place = located(row.values["path"], base, folder)
            consent = location(place) not in without
            speaker = row.values.get("speaker") or None
            recording = Recording(place, speaker, labels=_labels(row, carry), consent=consent)
            if known.setdefault(location(place), recording) != recording:
                raise SettingError("this recording is there already, with another speaker or label")
    return list(known.values())


def _without_consent(rows: Sequence[Row], folder: Path, base: str | Path | None) -> set[str]:
    """Return the places of recordings of which any row lacks consent."""
    without = set()
    for row in rows:
        with errors_at(row.place):
            if not consented(row.values.get("consent", "")):
                without.add(location(located(row.values["path"], base, folder)))
    return without


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
    return {name: row.values[column_name(name)] for name in carry}
