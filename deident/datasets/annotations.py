"""Annotations of segments of recordings: turns, words, and ranges to mute."""

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


class Annotation(NamedTuple):
    """A line of an annotation file.

    Attributes
    ----------
    recording : str
        Its id, path, file name or stem.
    segment : Segment
        In samples at 16 kHz.
    channel : int or None
        From 0; None where the file does not say.
    speaker, text : str or None
    id : str
        The name of the utterance."""

    recording: str
    segment: Segment
    channel: int | None = None
    speaker: str | None = None
    text: str | None = None
    id: str = ""


def read_annotations(path: str | os.PathLike[str]) -> list[Annotation]:
    """Read the annotations in a file.

    Parameters
    ----------
    path : str or path-like
        .rttm, .ctm, .csv or .tsv (recording, start, stop or end; speaker, text, channel, id where known), or .json (a
        list of such objects, or an object of [start, stop] pairs by recording). Times are in seconds.

    Returns
    -------
    list of Annotation

    Raises
    ------
    SettingError
        If a line is not understood, or there is none."""
    suffix = Path(path).suffix.lower()
    if suffix not in ANNOTATION_READERS:
        raise SettingError(f"expected a file that ends in {', '.join(ANNOTATION_READERS)}")
    annotations = list(ANNOTATION_READERS[suffix](path))
    if not annotations:
        raise SettingError("the file names no place in any recording: leave it out if that is so")
    return annotations


def _rttm(path: str | os.PathLike[str]) -> Iterator[Annotation]:
    """Read NIST's RTTM: SPEAKER recording channel start duration <NA> <NA> speaker."""
    for parts in _lines(path):
        if parts[0] == "SPEAKER":
            if len(parts) < 8:
                raise SettingError("a SPEAKER line of the RTTM has fewer than eight fields")
            yield Annotation(parts[1], _segment_lasting(parts[3], parts[4]), _channel(parts[2]), parts[7])


def _ctm(path: str | os.PathLike[str]) -> Iterator[Annotation]:
    """Read NIST's CTM: recording channel start duration word."""
    for parts in _lines(path):
        if len(parts) < 5:
            raise SettingError("a line of the CTM has fewer than five fields")
        yield Annotation(parts[0], _segment_lasting(parts[2], parts[3]), _channel(parts[1]), text=parts[4])


def _lines(path: str | os.PathLike[str]) -> Iterator[list[str]]:
    for line in text_of(path).splitlines():
        if line.strip() and not line.startswith(";;"):
            yield line.split()


def _segment_lasting(start: str, duration: str) -> Segment:
    try:
        first, lasting = float(start), float(duration)
    except ValueError:
        raise SettingError("expected a start and a duration, both in seconds") from None
    # Recognisers give the shortest words no duration; they are a frame long all the same.
    return segment_of(first, first + max(lasting, 0.01) if lasting >= 0 else first)


def _channel(text: str) -> int | None:
    """Convert a channel of NIST, counted from 1 or A, to one from 0."""
    if text.isdecimal():
        return max(0, int(text) - 1)
    return "AB".index(text) if text in ("A", "B") else None


def _table(path: str | os.PathLike[str]) -> Iterator[Annotation]:
    for row in rows_of(path, {"recording", "start"}):
        yield _annotation(row)


def _json(path: str | os.PathLike[str]) -> Iterator[Annotation]:
    try:
        data = json.loads(text_of(path), object_pairs_hook=_once)
    except SettingError:
        raise
    except (ValueError, RecursionError):
        raise SettingError("the file is not JSON") from None
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        yield from map(_annotation, data)
    elif isinstance(data, dict) and all(isinstance(pairs, list) for pairs in data.values()):
        for recording, pairs in data.items():
            for pair in pairs:
                if not isinstance(pair, list) or len(pair) != 2:
                    raise SettingError("expected [start, stop] pairs, in seconds, by recording")
                yield Annotation(recording, segment_of(*pair))
    else:
        raise SettingError("expected a list of objects with recording, start and stop, or pairs by recording")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON, and refuse repeated names, of which all but the last would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SettingError("the JSON has a name twice in one object")
    return found


def _annotation(row: dict[str, Any]) -> Annotation:
    stop = row.get("stop", row.get("end"))
    if not isinstance(row.get("recording"), str) or stop is None or "start" not in row:
        raise SettingError("expected recording, start, and stop or end, with every place")
    channel = row.get("channel")
    if channel not in (None, "") and not str(channel).isdecimal():
        raise SettingError("expected a channel as a number from 0")
    return Annotation(
        row["recording"],
        segment_of(row["start"], stop),
        None if channel in (None, "") else int(str(channel)),
        _named(row, "speaker") or None,
        _named(row, "text"),
        _named(row, "id") or "",
    )


def _named(row: dict[str, Any], what: str) -> str | None:
    """Read text, or a whole number as text: speaker 7 of JSON is the speaker "7" of other files."""
    value = row.get(what)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise SettingError(f"expected {what} as text or a whole number")
    return None if value is None else str(value)


ANNOTATION_READERS: dict[str, Callable[[str | os.PathLike[str]], Iterator[Annotation]]] = {
    ".rttm": _rttm, ".ctm": _ctm, ".csv": _table, ".tsv": _table, ".json": _json,
}  # fmt: skip


def with_turns(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> list[Recording]:
    """Give recordings their turns.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
        Each becomes a turn. A recording without one is taken to hold no speech. Where there is one recording, and the
        annotations name one, the name does not matter.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a name in the annotations belongs to no recording, or to several."""
    own = match_recordings(recordings, annotations, lone=True)
    return [
        replace(
            recording,
            turns=tuple(Turn(n.segment, n.speaker, n.text, (), n.channel, {}, n.id) for n in mine),
            segments=None if mine else (),
        )
        for recording, mine in zip(recordings, own, strict=True)
    ]


def with_words(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> list[Recording]:
    """Give the turns of recordings their words. In a recording without turns, speech is detected.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
        A word each.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a name in the annotations belongs to no recording, or to several, or its recording has segments without
        turns."""
    own = match_recordings(recordings, annotations, lone=True)
    return [_worded(recording, mine) for recording, mine in zip(recordings, own, strict=True)]


def _worded(recording: Recording, annotations: list[Annotation]) -> Recording:
    if not annotations:
        return recording
    if recording.segments is not None:
        raise SettingError("words belong to turns: give --turns in place of --segments")
    annotations = sorted(annotations, key=_start)
    longest = max(len(annotation.segment) for annotation in annotations)
    channels = dict.fromkeys(annotation.channel for annotation in annotations)
    turns = recording.turns or tuple(Turn(channel=channel) for channel in channels)
    return replace(recording, turns=tuple(_own_words(turn, annotations, longest) for turn in turns))


def _own_words(turn: Turn, annotations: list[Annotation], longest: int) -> Turn:
    first = bisect_left(annotations, turn.segment.start - longest, key=_start)
    last = bisect_left(annotations, turn.segment.stop, key=_start)
    own = (
        Word(annotation.segment, annotation.text or "")
        for annotation in annotations[first:last]
        if turn.segment.overlap(annotation.segment)
        and (turn.channel is None or annotation.channel in (None, turn.channel))
    )
    return replace(turn, words=tuple(own))


def _start(annotation: Annotation) -> int:
    return annotation.segment.start


def with_mutes(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> list[Recording]:
    """Give recordings the ranges to mute in them, on all channels.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
        A range to mute each.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a name in the annotations belongs to no recording, or to several. That holds for a single recording too:
        muting another recording's range would leave the spoken name audible."""
    own = match_recordings(recordings, annotations)
    return [
        replace(recording, mute=recording.mute + tuple(annotation.segment for annotation in mine))
        if mine
        else recording
        for recording, mine in zip(recordings, own, strict=True)
    ]


def match_recordings(
    recordings: Sequence[Recording], annotations: Sequence[Annotation], *, lone: bool = False
) -> list[list[Annotation]]:
    """Assign annotations to recordings by id, path, file name or stem.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
    lone : bool, default False
        Where there is one recording, and the annotations name one, take it for that whatever the name.

    Returns
    -------
    list of list of Annotation
        Those of each recording.

    Raises
    ------
    SettingError
        If a name belongs to no recording, or to several."""
    if lone and len(recordings) == 1 and len({annotation.recording for annotation in annotations}) == 1:
        return [list(annotations)]
    known: dict[str, set[int]] = {}
    for number, recording in enumerate(recordings):
        name = os.path.basename(recording.path)
        for spelling in (recording.id, recording.path, name, name.rpartition(".")[0]):
            known.setdefault(spelling, set()).add(number)
    known.pop("", None)
    own: list[list[Annotation]] = [[] for _ in recordings]
    unknown: set[str] = set()
    unclear: set[str] = set()
    for annotation in annotations:
        found = known.get(annotation.recording, set())
        if len(found) == 1:
            own[next(iter(found))].append(annotation)
        else:
            (unclear if found else unknown).add(annotation.recording)
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
