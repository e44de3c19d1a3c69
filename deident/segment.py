"""Places in sound. Apart from `audio` so that the command line can speak of them without numpy."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from deident.errors import SettingError

RATE = 16_000  # Hz; the rate everything between decoding and writing works at


@dataclass(frozen=True, order=True, slots=True)
class Segment:
    """A half-open range of samples, `start <= position < stop`.

    Raises `SettingError`, which is a `ValueError`, for anything else."""

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
        return len(self) / rate

    def shift(self, samples: int) -> Segment:
        return Segment(self.start + samples, self.stop + samples)

    def within(self, other: Segment) -> Segment:
        """The part that both hold. Raises `ValueError` when there is none."""
        return Segment(max(self.start, other.start), min(self.stop, other.stop))

    def overlap(self, other: Segment) -> int:
        """Samples that both hold."""
        return max(0, min(self.stop, other.stop) - max(self.start, other.start))
