"""Files that say something of a place in a recording: who speaks, which word, what nobody may hear."""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from deident.datasets.recordings import rows_of, segment_of, text_of
from deident.errors import SettingError
from deident.recording import Recording
from deident.segment import Segment
from deident.segmentation.turns import Turn, Word


class Note(NamedTuple):
    """A line of such a file: a place in a recording, and what is said of it. channel : from 0."""

    recording: str
    segment: Segment
    channel: int | None = None
    speaker: str | None = None
    text: str | None = None
    id: str = ""


def read_notes(path: str | os.PathLike[str]) -> list[Note]:
    """The notes in a file: .rttm, .ctm, .csv or .tsv (recording, start, stop or end; speaker, text, channel, id
    where known), or .json (a list of such objects, or an object of [start, stop] pairs by recording).

    Times are in seconds. Raises `SettingError` for anything else, and for a file that says nothing."""
    suffix = Path(path).suffix.lower()
    if suffix not in NOTES:
        raise SettingError(f"expected a file that ends in {', '.join(NOTES)}")
    notes = list(NOTES[suffix](path))
    if not notes:
        raise SettingError("the file names no place in any recording: leave it out if that is so")
    return notes


def _rttm(path: str | os.PathLike[str]) -> Iterator[Note]:
    """NIST's: SPEAKER recording channel start duration <NA> <NA> speaker."""
    for parts in _lines(path):
        if parts[0] == "SPEAKER":
            if len(parts) < 8:
                raise SettingError("a SPEAKER line of the RTTM has fewer than eight fields")
            yield Note(parts[1], _lasting(parts[3], parts[4]), _channel(parts[2]), parts[7])


def _ctm(path: str | os.PathLike[str]) -> Iterator[Note]:
    """NIST's: recording channel start duration word."""
    for parts in _lines(path):
        if len(parts) < 5:
            raise SettingError("a line of the CTM has fewer than five fields")
        yield Note(parts[0], _lasting(parts[2], parts[3]), _channel(parts[1]), text=parts[4])


def _lines(path: str | os.PathLike[str]) -> Iterator[list[str]]:
    for line in text_of(path).splitlines():
        if line.strip() and not line.startswith(";;"):
            yield line.split()


def _lasting(start: str, duration: str) -> Segment:
    try:
        first, lasting = float(start), float(duration)
    except ValueError:
        raise SettingError("expected a start and a duration, both in seconds") from None
    # Recognisers give the shortest words no duration; they are a frame long all the same.
    return segment_of(first, first + max(lasting, 0.01) if lasting >= 0 else first)


def _channel(text: str) -> int | None:
    """From 1 or A on, as NIST counts, to from 0 on."""
    if text.isdecimal():
        return max(0, int(text) - 1)
    return "AB".index(text) if text in ("A", "B") else None


def _table(path: str | os.PathLike[str]) -> Iterator[Note]:
    for row in rows_of(path, {"recording", "start"}):
        yield _note(row)


def _json(path: str | os.PathLike[str]) -> Iterator[Note]:
    try:
        data = json.loads(text_of(path), object_pairs_hook=_once)
    except SettingError:
        raise
    except (ValueError, RecursionError):
        raise SettingError("the file is not JSON") from None
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        yield from map(_note, data)
    elif isinstance(data, dict) and all(isinstance(pairs, list) for pairs in data.values()):
        for recording, pairs in data.items():
            for pair in pairs:
                if not isinstance(pair, list) or len(pair) != 2:
                    raise SettingError("expected [start, stop] pairs, in seconds, by recording")
                yield Note(recording, segment_of(*pair))
    else:
        raise SettingError("expected a list of objects with recording, start and stop, or pairs by recording")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; not one whose names repeat, of which all but the last would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SettingError("the JSON has a name twice in one object")
    return found


def _note(row: dict[str, Any]) -> Note:
    stop = row.get("stop", row.get("end"))
    if not isinstance(row.get("recording"), str) or stop is None or "start" not in row:
        raise SettingError("expected recording, start, and stop or end, with every place")
    channel = row.get("channel")
    if channel not in (None, "") and not str(channel).isdecimal():
        raise SettingError("expected a channel as a number from 0")
    return Note(
        row["recording"],
        segment_of(row["start"], stop),
        None if channel in (None, "") else int(str(channel)),
        _named(row, "speaker") or None,
        _named(row, "text"),
        _named(row, "id") or "",
    )


def _named(row: dict[str, Any], what: str) -> str | None:
    """Speaker 7 of JSON is the speaker "7" of everything else."""
    value = row.get(what)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise SettingError(f"expected {what} as text or a whole number")
    return None if value is None else str(value)


NOTES: dict[str, Callable[[str | os.PathLike[str]], Iterator[Note]]] = {
    ".rttm": _rttm, ".ctm": _ctm, ".csv": _table, ".tsv": _table, ".json": _json,
}  # fmt: skip


def with_turns(recordings: Sequence[Recording], notes: Sequence[Note]) -> list[Recording]:
    """The recordings, each with its turns. One that the notes do not name is taken to hold no speech. Where they
    name one recording and there is one, the name does not matter.
    Raises `SettingError` when one that they name is not there."""
    own = _dealt(recordings, notes, lone=True)
    return [
        replace(
            recording,
            turns=tuple(Turn(n.segment, n.speaker, n.text, (), n.channel, {}, n.id) for n in mine),
            segments=None if mine else (),
        )
        for recording, mine in zip(recordings, own, strict=True)
    ]


def with_words(recordings: Sequence[Recording], notes: Sequence[Note]) -> list[Recording]:
    """The recordings with their words in their turns; where a recording has none, speech is to be found.
    Raises `SettingError` when one that they name is not there, or has segments without turns."""
    own = _dealt(recordings, notes, lone=True)
    return [_worded(recording, mine) for recording, mine in zip(recordings, own, strict=True)]


def _worded(recording: Recording, notes: list[Note]) -> Recording:
    if not notes:
        return recording
    if recording.segments is not None:
        raise SettingError("words belong to turns: give --turns in place of --segments")
    notes = sorted(notes, key=_start)
    longest = max(len(note.segment) for note in notes)
    channels = dict.fromkeys(note.channel for note in notes)
    turns = recording.turns or tuple(Turn(channel=channel) for channel in channels)
    return replace(recording, turns=tuple(_own_words(turn, notes, longest) for turn in turns))


def _own_words(turn: Turn, notes: list[Note], longest: int) -> Turn:
    first = bisect_left(notes, turn.segment.start - longest, key=_start)
    last = bisect_left(notes, turn.segment.stop, key=_start)
    own = (
        Word(note.segment, note.text or "")
        for note in notes[first:last]
        if turn.segment.overlap(note.segment)
        and (turn.channel is None or note.channel in (None, turn.channel))
    )
    return replace(turn, words=tuple(own))


def _start(note: Note) -> int:
    return note.segment.start


def with_mutes(recordings: Sequence[Recording], notes: Sequence[Note]) -> list[Recording]:
    """The recordings with what is to be muted in them, on all channels.

    Raises `SettingError` when a recording that the notes name is not among them, even if there is but one:
    a name that is muted in another recording's place would be heard."""
    own = _dealt(recordings, notes)
    return [
        replace(recording, mute=recording.mute + tuple(note.segment for note in mine)) if mine else recording
        for recording, mine in zip(recordings, own, strict=True)
    ]


def _dealt(recordings: Sequence[Recording], notes: Sequence[Note], *, lone: bool = False) -> list[list[Note]]:
    """The notes of each recording. Files speak of one by its id, path, file name or stem.
    Raises `SettingError` for names that none has, or several."""
    if lone and len(recordings) == 1 and len({note.recording for note in notes}) == 1:
        return [list(notes)]
    known: dict[str, set[int]] = {}
    for number, recording in enumerate(recordings):
        name = os.path.basename(recording.path)
        for spelling in (recording.id, recording.path, name, name.rpartition(".")[0]):
            known.setdefault(spelling, set()).add(number)
    known.pop("", None)
    own: list[list[Note]] = [[] for _ in recordings]
    unknown: set[str] = set()
    unclear: set[str] = set()
    for note in notes:
        found = known.get(note.recording, set())
        if len(found) == 1:
            own[next(iter(found))].append(note)
        else:
            (unclear if found else unknown).add(note.recording)
    if unknown:
        raise SettingError(
            f"{len(unknown)} of the recordings that the file names (by id, path, file name or stem) are not in this"
            " run: take them out of the file, or into the run"
        )
    if unclear:
        raise SettingError(
            f"{len(unclear)} of the names in the file are of several recordings in this run: use their paths"
        )
    return own
