"""Silencing ranges of a recording before anything else looks at it: names that were spoken, say."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from deident.audio import RATE, Audio, Samples, Segment
from deident.errors import RecordingError, SettingError, between

TONE_HZ = 1_000.0
PAST_END = RATE // 2  # samples; a range may pass the end by a frame of whoever found it
_QUIET = np.float32(1e-3)


@dataclass(frozen=True)
class MuteSettings:
    """How ranges are silenced.

    fill : "silence", or "tone" where listeners are to hear that something was taken out.
    margin_seconds : silenced more on both sides; detectors of words are out by some hundredths.
    Raises `SettingError` outside the ranges."""

    fill: Literal["silence", "tone"] = "silence"
    margin_seconds: float = 0.1

    def __post_init__(self) -> None:
        if self.fill not in ("silence", "tone"):
            raise SettingError(f'expected fill of mute "silence" or "tone"; got {self.fill!r:.40}')
        between("margin_seconds of mute", self.margin_seconds, 0.0, 5.0)


class Mute:
    """Ranges of one recording, with their margins, joined and in order.

    ranges : segments in samples at 16 kHz, in any order, overlapping or not."""

    def __init__(self, ranges: Iterable[Segment], muting: MuteSettings) -> None:
        given = sorted(ranges)
        self._last = max((segment.stop for segment in given), default=0)
        margin = round(muting.margin_seconds * RATE)
        self.ranges: list[Segment] = []
        for segment in given:
            start, stop = max(0, segment.start - margin), segment.stop + margin
            if self.ranges and start <= self.ranges[-1].stop:
                start, stop = self.ranges[-1].start, max(stop, self.ranges.pop().stop)
            self.ranges.append(Segment(start, stop))
        self._stops = [segment.stop for segment in self.ranges]

    def within(self, place: Segment) -> list[Segment]:
        """What of `place` is silenced, in samples from the recording's start."""
        out = []
        for segment in self.ranges[bisect_right(self._stops, place.start) :]:
            if segment.start >= place.stop:
                break
            out.append(segment.within(place))
        return out

    def of(self, audio: Audio, offset: int) -> list[Segment]:
        """What of audio that begins at `offset` is silenced, in samples from its start."""
        place = Segment(offset, offset + max(1, len(audio)))
        return [segment.shift(-offset) for segment in self.within(place)]

    def silenced(self, samples: Samples, offset: int) -> Samples:
        """(samples,) that begin at `offset` of the recording, zero in the ranges: nothing of them is left."""
        here = self.within(Segment(offset, offset + samples.size)) if samples.size else []
        if not here:
            return samples
        out = samples.copy()
        for segment in here:
            out[segment.start - offset : segment.stop - offset] = 0.0
        return out

    def toned(self, samples: Samples, offset: int) -> Samples:
        """(samples,) already silent in the ranges, with a tone there at the level of what is around it."""
        here = self.within(Segment(offset, offset + samples.size))
        if not here:
            return samples
        heard = samples.size - sum(map(len, here))
        level = np.sqrt(np.dot(samples, samples) / max(1, heard)) if heard else np.float32(0.0)
        out = samples.copy()
        for segment in here:
            time = np.arange(len(segment), dtype=np.float32) / RATE
            tone = np.sin(np.float32(2 * np.pi * TONE_HZ) * time) * np.float32(
                max(level, _QUIET) * np.sqrt(2)
            )
            out[segment.start - offset : segment.stop - offset] = tone
        return out

    def check(self, end: int) -> None:
        """Raise `RecordingError` when a range lies past the end: it was meant for another recording."""
        if self._last > end + PAST_END:
            raise RecordingError(
                "a range to mute lies past the end of the recording: the ranges are another recording's, or not"
                " in seconds of this one",
                "mute-range",
            )


NOTHING = Mute((), MuteSettings())  # is muted
