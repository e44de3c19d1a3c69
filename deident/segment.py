"""Segments of recordings. A module of its own, so that the command line needs no numpy for it."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass

from deident.errors import SettingError

RATE = 16_000  # Hz; of everything between decoding and writing


@dataclass(frozen=True, order=True, slots=True)
class Segment:
    """A half-open range of samples, `start <= position < stop`.

    Parameters
    ----------
    start, stop : int
        In samples, at 16 kHz unless said otherwise; 0 <= start < stop.

    Raises
    ------
    SettingError
        A `ValueError`, for anything else.

    Examples
    --------
    >>> from deident import Segment
    >>> speech = Segment(4_800, 20_800)
    >>> speech.seconds()
    1.0
    >>> speech.within(Segment(0, 8_000))
    Segment(start=4800, stop=8000)
    >>> speech.overlap(Segment(30_000, 40_000))
    0
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        try:
            operator.index(self.start), operator.index(self.stop)
        except TypeError:
            raise SettingError(
                f"expected start and stop in samples, whole numbers; got {self.start}, {self.stop}:"
                f" for seconds, round(seconds * {RATE})"
            ) from None
        if not 0 <= self.start < self.stop:
            raise SettingError(f"expected 0 <= start < stop; got {self.start}, {self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    def seconds(self, rate: int = RATE) -> float:
        """Give the duration.

        Parameters
        ----------
        rate : int
            In Hz.

        Returns
        -------
        float
        """
        return len(self) / rate

    def shift(self, samples: int) -> Segment:
        """Move the segment.

        Parameters
        ----------
        samples : int
            Later, or earlier where it is negative.

        Returns
        -------
        Segment
        """
        return Segment(self.start + samples, self.stop + samples)

    def within(self, other: Segment) -> Segment:
        """Intersect with another segment.

        Parameters
        ----------
        other : Segment

        Returns
        -------
        Segment

        Raises
        ------
        SettingError
            A `ValueError`, where they do not overlap.
        """
        return Segment(max(self.start, other.start), min(self.stop, other.stop))

    def overlap(self, other: Segment) -> int:
        """Count the samples in both segments.

        Parameters
        ----------
        other : Segment

        Returns
        -------
        int
        """
        return max(0, min(self.stop, other.stop) - max(self.start, other.start))


def merged(segments: Iterable[Segment]) -> list[Segment]:
    """Sort segments, and merge those that overlap."""
    found: list[Segment] = []
    for segment in sorted(segments):
        if found and segment.start < found[-1].stop:
            segment = Segment(found[-1].start, max(found.pop().stop, segment.stop))
        found.append(segment)
    return found
