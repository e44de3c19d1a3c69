"""Annotations of recordings: segments, turns, words, and ranges to mute."""

from __future__ import annotations

import os
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deident.datasets.entries import segment_from, segment_of
from deident.datasets.json_annotations import COLUMNS, read_json_annotations
from deident.datasets.text_files import (
    TO_THE_END,
    Row,
    errors_at,
    read_ctm,
    read_kaldi_segments,
    read_rttm,
    read_table,
    seconds_of,
)
from deident.errors import SettingError
from deident.recording import Recording
from deident.segment import RATE, Segment
from deident.segmentation.turns import Turn, Word
from deident.uris import location

SHORTEST = 0.01  # seconds; recognisers round the shortest words to none, though they are a frame long
NONE = ("", "<NA>", None)


@dataclass(frozen=True, repr=False)
class Annotation:
    """A line of an annotation file.

    Attributes
    ----------
    recording : str or None
        Its id, path, file name or stem. None in the output of a recogniser, which does not say.
    segment : Segment
        In samples at 16 kHz.
    channel : int or None
        From 0; None where the file does not say.
    speaker, text : str or None
    id : str
        The name of the utterance.
    words : tuple of Word
        Of the text, where the file gives them.
    is_empty : bool
        The file gives no length; the segment is then a hundredth of a second.
    """

    recording: str | None
    segment: Segment
    channel: int | None = None
    speaker: str | None = None
    text: str | None = None
    id: str = ""
    words: tuple[Word, ...] = ()
    is_empty: bool = False

    def __repr__(self) -> str:
        return "Annotation(hidden)"


def read_annotations(path: str | os.PathLike[str], *, may_be_empty: bool = False) -> list[Annotation]:
    """Read the annotations in a file.

    Parameters
    ----------
    path : str or path-like
        A file that ends in one of `ANNOTATION_READERS`. Tables, and lists of objects in JSON, have recording, start,
        and stop or end; speaker, text or word, channel (from 0) and id where known. JSON may also be an object of
        [start, stop] pairs by recording, or the output of a recogniser (`deident.datasets.json_annotations`). Times
        are in seconds from the start of the recording.
    may_be_empty : bool, optional
        Take a JSON without an entry, as a search that found nothing writes it.

    Returns
    -------
    list of Annotation
        Lines that repeat another count once.

    Raises
    ------
    SettingError
        If a line is not understood, or there is none.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in ANNOTATION_READERS:
        known = ", ".join(filter(None, ANNOTATION_READERS))
        raise SettingError(f"expected a file that ends in {known}, or Kaldi's segments without an ending")
    rows = list(ANNOTATION_READERS[suffix](path))
    from_zero = suffix not in (".rttm", ".ctm") or any(row.values.get("channel") == "0" for row in rows)
    found = []
    for row in rows:
        with errors_at(row.place):
            found.append(_annotation(row.values, from_zero))
    if not found and not (may_be_empty and suffix == ".json"):
        raise SettingError("the file names no segment of any recording: leave it out if that is so")
    return list(dict.fromkeys(found))


def _table_rows(path: str | os.PathLike[str]) -> Iterable[Row]:
    return read_table(path, ("recording", "start"), COLUMNS)


ANNOTATION_READERS: dict[str, Callable[[str | os.PathLike[str]], Iterable[Row]]] = {
    ".rttm": read_rttm, ".ctm": read_ctm, ".csv": _table_rows, ".tsv": _table_rows, ".json": read_json_annotations,
    "": read_kaldi_segments,
}  # fmt: skip


def _annotation(row: Mapping[str, Any], from_zero: bool) -> Annotation:
    segment, is_empty = _segment(row)
    return Annotation(
        _text(row, "recording"),
        segment,
        _channel(_only(row, "channel"), from_zero),
        _text(row, "speaker") or None,
        _text(row, "text", "word"),
        _text(row, "id") or "",
        tuple(Word(_segment(word)[0], word["text"]) for word in row.get("words", ())),
        is_empty,
    )


def _segment(row: Mapping[str, Any]) -> tuple[Segment, bool]:
    """Read a segment, a hundredth of a second where it has no length."""
    start, stop = _only(row, "start"), _only(row, "stop")
    if start is None or (stop is None and "duration" not in row):
        raise SettingError("expected start, and stop or end, in seconds")
    if stop is TO_THE_END:
        return segment_from(seconds_of(start)), False
    start = seconds_of(start)
    stop = start + seconds_of(row["duration"]) if "duration" in row else seconds_of(stop)
    is_empty = round(start * RATE) == round(stop * RATE)
    return segment_of(start, start + SHORTEST if is_empty else stop), is_empty


def _only(row: Mapping[str, Any], *names: str) -> Any:
    """Read what has one of several names. Raises `SettingError` when several are there."""
    there = [name for name in names if row.get(name) not in ("", None)]
    if len(there) > 1:
        raise SettingError(f"expected {' or '.join(names)}; got both")
    return row[there[0]] if there else None


def _text(row: Mapping[str, Any], *names: str) -> str | None:
    """Read text, or a whole number as text: speaker 7 of JSON is the speaker "7" of other files."""
    value = _only(row, *names)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise SettingError(f"expected {names[0]} as text or a whole number")
    return None if value is None else str(value).strip(" \t")


def _channel(value: Any, from_zero: bool) -> int | None:
    """Read a channel, counted from 0, from 1 as NIST does, or as A and B."""
    if value in NONE:
        return None
    text = str(value)
    if not isinstance(value, bool) and text.isascii() and text.isdecimal() and len(text) < 4:
        return int(text) - (not from_zero)
    if text in ("A", "B"):
        return "AB".index(text)
    raise SettingError("expected a channel as a number")


def with_segments(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> list[Recording]:
    """Give recordings their segments.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
        A segment each. Where they are of several channels, they become turns of these channels without speakers.
        A recording without one is taken to hold no speech.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a name in the annotations belongs to no recording, or to several.
    """
    own = match_recordings(recordings, [annotation for annotation in annotations if not annotation.is_empty])
    is_split = {annotation.channel for annotation in annotations} - {0, None}
    return [
        replace(recording, turns=tuple(_by_channel(mine)), segments=None if mine else ())
        if is_split
        else replace(recording, segments=tuple(sorted(a.segment for a in mine)))
        for recording, mine in zip(recordings, own, strict=True)
    ]


def _by_channel(annotations: Sequence[Annotation]) -> Iterator[Turn]:
    """Make turns of the segments of each channel, those that overlap as one."""
    for channel in dict.fromkeys(annotation.channel for annotation in annotations):
        held: Segment | None = None
        for segment in sorted(a.segment for a in annotations if a.channel == channel):
            if held and segment.start < held.stop:
                held = Segment(held.start, max(held.stop, segment.stop))
                continue
            if held:
                yield Turn(held, channel=channel)
            held = segment
        if held:
            yield Turn(held, channel=channel)


def with_turns(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> list[Recording]:
    """Give recordings their turns.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
        Each becomes a turn, unless it has neither length nor text. A recording without one is taken to hold no
        speech.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a name in the annotations belongs to no recording, or to several; if a text has no length.
    """
    if any(annotation.is_empty and annotation.text for annotation in annotations):
        raise SettingError("expected a start before the stop of every turn with a text")
    own = match_recordings(recordings, [annotation for annotation in annotations if not annotation.is_empty])
    return [
        replace(
            recording,
            turns=tuple(Turn(a.segment, a.speaker, a.text, a.words, a.channel, {}, a.id) for a in mine),
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
        A word each, or utterances of a recogniser with their words.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a name in the annotations belongs to no recording, or to several, or its recording has segments without
        turns; if an annotation has no text, or no words where it is an utterance.
    """
    annotations = [word for annotation in annotations for word in _as_words(annotation)]
    own = match_recordings(recordings, annotations)
    return [_worded(recording, mine) for recording, mine in zip(recordings, own, strict=True)]


def _as_words(annotation: Annotation) -> Iterator[Annotation]:
    if annotation.words:
        for word in annotation.words:
            yield replace(annotation, segment=word.segment, text=word.text, words=())
    elif not annotation.text:
        raise SettingError("expected a word with every segment: as the field text or word")
    elif annotation.recording is None:
        raise SettingError(
            "the recogniser's JSON has no times of words: have it write them (word_timestamps, SetWords), or give it as"
            " --turns"
        )
    else:
        yield annotation


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


def with_mute(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> list[Recording]:
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
        If a name in the annotations belongs to no recording, or to several, or is missing; if a range has no length.
    """
    if any(annotation.recording is None or annotation.is_empty for annotation in annotations):
        raise SettingError(
            "expected the name of a recording, and a start before its stop, with every range to mute"
        )
    own = match_recordings(recordings, annotations)
    return [
        replace(recording, mute=recording.mute + tuple(a.segment for a in mine)) if mine else recording
        for recording, mine in zip(recordings, own, strict=True)
    ]


def match_recordings(
    recordings: Sequence[Recording], annotations: Sequence[Annotation]
) -> list[list[Annotation]]:
    """Assign annotations to recordings by id, path, file name or stem, in any form of Unicode.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
        Those without a name belong to the only recording.

    Returns
    -------
    list of list of Annotation
        Those of each recording.

    Raises
    ------
    SettingError
        If a name belongs to no recording, or to several.
    """
    known: dict[str, set[int]] = {}
    for number, recording in enumerate(recordings):
        for name in _names(recording):
            known.setdefault(unicodedata.normalize("NFC", name), set()).add(number)
    known.pop("", None)
    own: list[list[Annotation]] = [[] for _ in recordings]
    unknown: set[str] = set()
    unclear: set[str] = set()
    for annotation in annotations:
        if annotation.recording is None:
            if len(recordings) != 1:
                raise SettingError(
                    f"the file names no recording, and this run has {len(recordings)}: run them one by one"
                )
            own[0].append(annotation)
            continue
        name = unicodedata.normalize("NFC", annotation.recording)
        found = known.get(name) or known.get(os.path.normpath(name), set())
        if len(found) == 1:
            own[next(iter(found))].append(annotation)
        else:
            (unclear if found else unknown).add(name)
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


def _names(recording: Recording) -> Iterator[str]:
    path = recording.path
    yield recording.id
    for whole in (path, os.path.normpath(path), location(path), os.path.basename(path)):
        yield whole
        yield os.path.splitext(whole)[0]
