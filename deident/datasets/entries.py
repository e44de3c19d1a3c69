"""Entries of data sets: their places, segments and labels, and the recordings that they make together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from deident import uris
from deident.datasets.text_files import seconds_of
from deident.errors import SettingError
from deident.recording import Labels, Recording
from deident.segment import RATE, Segment
from deident.segmentation.turns import OPEN, Turn

CONSENT = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}


class Entry(NamedTuple):
    """An utterance of a data set.

    Attributes
    ----------
    place : str
        The file and line, for errors.
    id : str
        The name of its recording, where that is not its path.
    path : str
        Of the recording.
    turn : Turn
    """

    place: str
    id: str
    path: str
    turn: Turn


def gather(entries: Iterable[Entry]) -> list[Recording]:
    """Make recordings of entries, in the order of their first ones. An entry that repeats another counts once.

    Raises
    ------
    SettingError
        If there are none, two that differ are each all of one recording, or recordings of two names are one file and
        no two channels of it.
    """
    found: dict[str, tuple[str, str, dict[tuple[Segment, int | None], list[Turn]]]] = {}
    names: dict[str, dict[int | None, str]] = {}
    for place, id, path, turn in entries:
        own = names.setdefault(uris.location(path), {})
        if own.setdefault(turn.channel, id) != id or (None in own and len(set(own.values())) > 1):
            raise SettingError(f"{place}: two recordings of other names are the same file")
        _, _, turns = found.setdefault(uris.location(path), (id, path, {}))
        same = turns.setdefault((turn.segment, turn.channel), [])
        if turn not in same:
            if same and turn.is_whole_recording:
                raise SettingError(
                    f"{place}: this recording is there already, with another text, speaker or label"
                )
            same.append(turn)
    if not found:
        raise SettingError("the data set has no entries")
    return [
        Recording(path, turns=tuple(chain.from_iterable(turns.values())), id=id)
        for id, path, turns in found.values()
    ]


def chosen(known: Mapping[str, Any], carry: Sequence[str]) -> Labels:
    """Pick the labels to carry from the fields of an entry."""
    return {
        name: value if isinstance(value, str) else repr(value)
        for name in carry
        if isinstance(value := known.get(name), str | int | float) and value != ""
    }


def consented(text: str) -> bool:
    """Read whether somebody consented: nothing is no. Raises `SettingError` for anything that is neither yes nor no."""
    answer = CONSENT.get(text.strip().lower())
    if answer is None:
        raise SettingError("expected consent as yes or no (true, false, 1, 0), or nothing, which is no")
    return answer


def text_of(row: Mapping[str, Any], name: str = "text") -> str | None:
    """Read a field of text, or a whole number as text; None where it is empty or not there. Raises `SettingError`."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise SettingError(f"expected {name} as text")
    return None if value in ("", None) else str(value)


def segment_of(start: Any, stop: Any) -> Segment:
    """Convert seconds, as text or numbers, to a segment. Raises `SettingError`."""
    first, last = round(seconds_of(start) * RATE), round(seconds_of(stop) * RATE)
    if first >= last:
        raise SettingError("expected a start before its stop, both in seconds")
    return Segment(first, last)


def segment_from(start: Any) -> Segment:
    """Give the segment from a time in seconds to the recording's end. Raises `SettingError`."""
    return Segment(round(seconds_of(start) * RATE), OPEN)


def located(path: Any, base: str | Path | None, *beside: Path) -> str:
    """Resolve a path of a data set.

    Parameters
    ----------
    path : str
        As the data set has it.
    base : str or Path, optional
        The folder or URI that the user gave for its paths.
    beside : Path
        Without a base, the folders to look in; the last where the file is in none.

    Returns
    -------
    str

    Raises
    ------
    SettingError
        If it is an address, for a data set that could name any would choose where requests are sent; or if two of the
        folders have such a file.
    """
    if not isinstance(path, str) or not path:
        raise SettingError("expected a path of a sound file")
    if path.startswith("file:///"):
        path = uris.local_path(path)
    if "://" in path:
        raise SettingError(
            "addresses in data sets are never fetched: name the place of the sound as --base, and paths in it here"
        )
    if base is None:
        found = [os.path.join(folder, path) for folder in beside]
        there = [place for place in found if os.path.exists(place)] or found[-1:]
        if not all(os.path.samefile(there[0], other) for other in there[1:]):
            raise SettingError(
                "this path is of two files, one where the program runs and one beside the data set: name the folder of"
                " the sound as --base"
            )
        return there[0]
    if uris.is_uri(os.fspath(base)):
        if path.startswith("/") or ".." in path.split("/") or "::" in path:  # which chains file systems
            raise SettingError("expected paths below --base, without .. or :: in them")
        return f"{os.fspath(base).rstrip('/')}/{path}"
    return os.path.join(base, path)
