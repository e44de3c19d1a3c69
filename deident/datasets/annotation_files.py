"""Files of annotations: segments, turns, words and ranges, in every format that is read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deident.datasets.durations import Timed, check_durations
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
from deident.datasets.textgrid import SUFFIX, read_textgrids, rows_of_tier
from deident.errors import SettingError
from deident.segment import RATE, Segment
from deident.segmentation.turns import Word

SHORTEST = 0.01  # seconds; recognisers round the shortest words to none, though they are a frame long
NONE = ("", "<NA>", None)
KIND = "[A-Z][A-Z_]{0,39}"  # it is counted, and shown: no place for a name


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
    kind : str
        Of a range to mute, as `deident find` says it: capitals and underscores. Anything else is no kind.
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
    kind: str = ""

    def __repr__(self) -> str:
        return "Annotation(hidden)"


def read_annotations(
    path: str | os.PathLike[str], *, may_be_empty: bool = False, tier: str = ""
) -> list[Annotation]:
    """Read the annotations in a file.

    Parameters
    ----------
    path : str or path-like
        A file that ends in one of `ANNOTATION_READERS`. Tables, and lists of objects in JSON, have recording, start,
        and stop or end; speaker, text or word, channel (from 0) and id where known. JSON may also be an object of
        [start, stop] pairs by recording, or the output of a recogniser (`deident.datasets.json_annotations`). Times
        are in seconds from the start of the recording. Or a folder of TextGrids.
    may_be_empty : bool, optional
        Take a JSON without an entry, as a search that found nothing writes it.
    tier : str, optional
        Of TextGrids: "turns", "words" or "phones". Otherwise they have one tier each.

    Returns
    -------
    list of Annotation
        Lines that repeat another count once.

    Raises
    ------
    SettingError
        If a line is not understood, or there is none; if durations look like starts or ends.
    """
    suffix = SUFFIX if Path(path).is_dir() else Path(path).suffix.lower()
    if suffix not in ANNOTATION_READERS:
        known = ", ".join(filter(None, ANNOTATION_READERS))
        raise SettingError(f"expected a file that ends in {known}, or Kaldi's segments without an ending")
    rows = list(ANNOTATION_READERS[suffix](path))
    rows = rows_of_tier(rows, tier) if suffix == SUFFIX else rows
    from_zero = suffix not in (".rttm", ".ctm") or any(row.values.get("channel") == "0" for row in rows)
    found = []
    for row in rows:
        with errors_at(row.place):
            found.append(_annotation(row.values, from_zero))
    alone = "" if suffix == ".ctm" else None  # a CTM holds the words, and nobody says two at once
    check_durations(
        Timed(row.place, (one.recording, one.channel), one.speaker or alone, one.segment)
        for row, one in zip(rows, found, strict=True)
        if "duration" in row.values
    )
    if not found and not (may_be_empty and suffix == ".json"):
        raise SettingError("the file names no segment of any recording: leave it out if that is so")
    return list(dict.fromkeys(found))


def _table_rows(path: str | os.PathLike[str]) -> Iterable[Row]:
    return read_table(path, ("recording", "start"), COLUMNS)


ANNOTATION_READERS: dict[str, Callable[[str | os.PathLike[str]], Iterable[Row]]] = {
    ".rttm": read_rttm, ".ctm": read_ctm, ".csv": _table_rows, ".tsv": _table_rows, ".json": read_json_annotations,
    ".textgrid": read_textgrids, "": read_kaldi_segments,
}  # fmt: skip


def _annotation(row: Mapping[str, Any], from_zero: bool) -> Annotation:
    segment, is_empty = _segment(row)
    name = _text(row, "recording")
    if not name and row["recording"] is not None:  # the only recording of a run is not meant by accident
        raise SettingError("expected the name of a recording")
    return Annotation(
        name,
        segment,
        _channel(_only(row, "channel"), from_zero),
        _text(row, "speaker") or None,
        _text(row, "text", "word"),
        _text(row, "id") or "",
        tuple(Word(_segment(word)[0], word["text"]) for word in row.get("words") or ()),
        is_empty,
        str(kind) if re.fullmatch(KIND, str(kind := row.get("kind", ""))) else "",
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
