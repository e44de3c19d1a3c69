"""Starts and durations that changed places, or ends in place of durations, told by the overlaps that come of it.

What one person says, or what a data set cuts out of a recording, hardly overlaps. With starts for durations nearly all
of it does, and reading the two as they were meant leaves no overlap. Of a file with one row a recording, nothing tells.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from deident.errors import SettingError
from deident.segment import Segment
from deident.segmentation.turns import SLACK

LEAST_OVERLAPS = 2  # between people, who do overlap now and then


class Timed(NamedTuple):
    """A segment that a row gives by its start and its duration.

    Attributes
    ----------
    place : str
        The file and line, for errors.
    sound : hashable
        The recording, and its channel where it is known.
    speaker : hashable
        None where it is not known; two segments of one hardly overlap.
    segment : Segment
    """

    place: str
    sound: Hashable
    speaker: Hashable
    segment: Segment


def _exchanged(segment: Segment) -> Segment | None:
    """Take the start for the duration; None where that is none."""
    return Segment(len(segment), segment.stop) if segment.start else None


def _ended(segment: Segment) -> Segment | None:
    """Take the duration for the end."""
    return Segment(segment.start, len(segment)) if segment.start < len(segment) else None


READINGS: dict[str, Callable[[Segment], Segment | None]] = {
    "start and duration look exchanged": _exchanged,
    "the duration looks like an end": _ended,
}


def check_durations(rows: Iterable[Timed]) -> None:
    """Raise `SettingError` where another reading of starts and durations leaves none of the overlaps, or hardly any."""
    sounds: dict[Hashable, dict[Segment, str]] = {}
    voices: dict[Hashable, dict[Segment, str]] = {}
    for place, sound, speaker, segment in rows:
        sounds.setdefault(sound, {}).setdefault(segment, place)
        if speaker is not None:
            voices.setdefault((sound, speaker), {}).setdefault(segment, place)
    overlaps = sum(map(_overlaps, sounds.values()))
    for fault, reading in READINGS.items():
        others = [[reading(segment) for segment in segments] for segments in sounds.values()]
        left = sum(_overlaps([segment for segment in own if segment]) for own in others)
        is_better = 2 * left < overlaps and all(segment for own in others for segment in own)
        misread = (places[one] for places in voices.values() for one in _misread(places, reading))
        if place := "every line" if is_better and overlaps >= LEAST_OVERLAPS else next(misread, ""):
            raise SettingError(
                f"{place}: {fault}: as they stand, segments overlap that would not otherwise. Where they are right,"
                " give starts and stops, as a table"
            )


def _overlaps(segments: Iterable[Segment]) -> int:
    """Count the neighbours that overlap by more than padding does."""
    pairs = pairwise(sorted(segments))
    return sum(one.overlap(other) > min(SLACK, *map(_half, (one, other))) for one, other in pairs)


def _half(segment: Segment) -> int:
    return len(segment) // 2


def _misread(segments: Iterable[Segment], reading: Callable[[Segment], Segment | None]) -> Iterator[Segment]:
    """Yield the segments that overlap a neighbour, and with another reading would overlap none."""
    ordered = sorted(segments)
    starts, stops = [segment.start for segment in ordered], sorted(segment.stop for segment in ordered)
    for one, following in pairwise(ordered):
        for segment in (one, following) if one.overlap(following) > min(_half(one), _half(following)) else ():
            other = reading(segment)
            # Both readings meet, so that one of those counted is the segment itself.
            if other and bisect_left(starts, other.stop) - bisect_right(stops, other.start) <= 1:
                yield segment
