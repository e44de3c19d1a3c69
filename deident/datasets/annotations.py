"""Annotations of recordings: segments, turns, words, and ranges to mute, matched by name."""

from __future__ import annotations

import os
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from deident.datasets.annotation_files import Annotation
from deident.errors import SettingError
from deident.recording import Recording
from deident.segment import Segment, merged
from deident.segmentation.turns import Turn, Word
from deident.uris import location


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
        own = merged(a.segment for a in annotations if a.channel == channel)
        yield from (Turn(segment, channel=channel) for segment in own)


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
    return [_timed(recording, mine, "words") for recording, mine in zip(recordings, own, strict=True)]


def with_phones(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> list[Recording]:
    """Give the turns of recordings their phones, as `with_words` does their words.

    Parameters
    ----------
    recordings : sequence of Recording
    annotations : sequence of Annotation
        A phone each.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a name in the annotations belongs to no recording, or to several, or its recording has segments without
        turns; if an annotation has no text.
    """
    if not all(annotation.text for annotation in annotations):
        raise SettingError("expected a phone with every segment: as the field text or word")
    own = match_recordings(recordings, annotations)
    return [_timed(recording, mine, "phones") for recording, mine in zip(recordings, own, strict=True)]


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


def _timed(
    recording: Recording, annotations: list[Annotation], kind: Literal["words", "phones"]
) -> Recording:
    if not annotations:
        return recording
    if recording.segments is not None:
        raise SettingError(f"{kind} belong to turns: give --turns in place of --segments")
    annotations = sorted(annotations, key=_start)
    longest = max(len(annotation.segment) for annotation in annotations)
    channels = dict.fromkeys(annotation.channel for annotation in annotations)
    turns = recording.turns or tuple(Turn(channel=channel) for channel in channels)
    if None in channels and len(channels) > 1 and not recording.turns:
        raise SettingError(f"expected a channel with all {kind} of a recording, or with none")
    turns = tuple(_with_own(turn, annotations, longest, kind) for turn in turns)
    _check_owners(turns, {_word(a) for a in annotations if a.channel is None}, kind)
    return replace(recording, turns=turns)


def _check_owners(turns: Iterable[Turn], words: set[Word], kind: str) -> None:
    """Raise `SettingError` for a word without a channel where turns of two channels overlap: either may hold it."""
    owners: dict[Word, list[Turn]] = {}
    for turn in turns:
        for word in words.intersection(getattr(turn, kind)):
            own = owners.setdefault(word, [])
            if any(
                other.channel != turn.channel and _overlap(turn.segment, other.segment, word.segment)
                for other in own
            ):
                raise SettingError(
                    f"expected a channel with all {kind}, as turns of several channels overlap"
                )
            own.append(turn)


def _overlap(*segments: Segment) -> bool:
    return max(s.start for s in segments) < min(s.stop for s in segments)


def _word(annotation: Annotation) -> Word:
    return Word(annotation.segment, annotation.text or "")


def _with_own(
    turn: Turn, annotations: list[Annotation], longest: int, kind: Literal["words", "phones"]
) -> Turn:
    first = bisect_left(annotations, turn.segment.start - longest, key=_start)
    last = bisect_left(annotations, turn.segment.stop, key=_start)
    own = (
        _word(annotation)
        for annotation in annotations[first:last]
        if turn.segment.overlap(annotation.segment)
        and (turn.channel is None or annotation.channel in (None, turn.channel))
    )
    return replace(turn, words=tuple(own)) if kind == "words" else replace(turn, phones=tuple(own))


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
        replace(
            recording,
            mute=recording.mute + tuple(a.segment for a in mine),
            kinds=recording.kinds + tuple(a.kind for a in mine if a.kind),
        )
        if mine
        else recording
        for recording, mine in zip(recordings, own, strict=True)
    ]


def match_recordings(
    recordings: Sequence[Recording], annotations: Sequence[Annotation]
) -> list[list[Annotation]]:
    """Assign annotations to recordings by id, path, end of a path, file name or stem, in any form of Unicode.

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
    ends: dict[str, set[int]] = {}
    for number, recording in enumerate(recordings):
        for names, where in ((_names(recording), known), (_ends(recording), ends)):
            for name in names:
                where.setdefault(unicodedata.normalize("NFC", name), set()).add(number)
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
        found = known.get(name) or known.get(os.path.normpath(name)) or ends.get(name, set())
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


def _ends(recording: Recording) -> Iterator[str]:
    """Yield the last parts of a path, from two on: those of recordings that folders of speakers hold."""
    parts = recording.path.split("/")
    for first in range(1, len(parts) - 1):
        end = "/".join(parts[first:])
        yield from (end, os.path.splitext(end)[0])


def _names(recording: Recording) -> Iterator[str]:
    path = recording.path
    yield recording.id
    for whole in (path, os.path.normpath(path), location(path), os.path.basename(path)):
        yield whole
        yield os.path.splitext(whole)[0]
