"""Muting of ranges of a recording, such as spoken names, before any other processing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from deident.audio import RATE, Audio, Samples, Segment
from deident.errors import RecordingError, SettingError, between

TONE_HZ = 1_000.0
PAST_END = RATE // 2  # samples; a range may pass the end by a frame of its detector
_MIN_TONE_RMS = np.float32(1e-3)


@dataclass(frozen=True)
class MuteSettings:
    """Settings of muting.

    Parameters
    ----------
    fill : {"silence", "tone"}
        A tone shows listeners that something was removed.
    margin_seconds : float
        Muted in addition on both sides, 0 to 5; word times are wrong by some hundredths of a second.
    tones : {"mute", "keep"}
        Mute keypad tones, which spell card numbers and codes, digits between exchanges, and tones of call progress and
        of modems, or keep them.
    music : {"mute", "keep"}
        Mute hold music where speech was detected, not given, or keep it.

    Raises
    ------
    SettingError
        Outside the ranges.
    """

    fill: Literal["silence", "tone"] = "silence"
    margin_seconds: float = 0.1
    tones: Literal["mute", "keep"] = "mute"
    music: Literal["mute", "keep"] = "mute"

    def __post_init__(self) -> None:
        if self.fill not in ("silence", "tone"):
            raise SettingError(f'expected fill of mute "silence" or "tone"; got {self.fill!r:.40}')
        for name in ("tones", "music"):
            if (choice := getattr(self, name)) not in ("mute", "keep"):
                raise SettingError(f'expected {name} of mute "mute" or "keep"; got {choice!r:.40}')
        between("margin_seconds of mute", self.margin_seconds, 0.0, 5.0)


class Mute:
    """Muted ranges of one recording.

    Parameters
    ----------
    ranges : iterable of Segment
        In samples at 16 kHz, in any order, overlapping or not.
    muting : MuteSettings

    Attributes
    ----------
    ranges : list of Segment
        With their margins, merged, in order.
    tones : bool
        Mute keypad and call-progress tones too, wherever they are.
    music : bool
        Mute hold music too.
    """

    def __init__(self, ranges: Iterable[Segment], muting: MuteSettings) -> None:
        given = sorted(ranges)
        self.tones, self.music = muting.tones == "mute", muting.music == "mute"
        self._last = max((segment.stop for segment in given), default=0)
        margin = round(muting.margin_seconds * RATE)
        self.ranges: list[Segment] = []
        for segment in given:
            start, stop = max(0, segment.start - margin), segment.stop + margin
            if self.ranges and start <= self.ranges[-1].stop:
                start, stop = self.ranges[-1].start, max(stop, self.ranges.pop().stop)
            self.ranges.append(Segment(start, stop))
        self._stops = [segment.stop for segment in self.ranges]

    def within(self, where: Segment) -> list[Segment]:
        """Select the muted ranges inside a segment, in samples from the recording's start."""
        out = []
        for segment in self.ranges[bisect_right(self._stops, where.start) :]:
            if segment.start >= where.stop:
                break
            out.append(segment.within(where))
        return out

    def within_audio(self, audio: Audio, offset: int) -> list[Segment]:
        """Select the muted ranges inside audio that begins at `offset`, in samples from its own start."""
        where = Segment(offset, offset + max(1, len(audio)))
        return [segment.shift(-offset) for segment in self.within(where)]

    def silence(self, samples: Samples, offset: int) -> Samples:
        """Set (samples,) that begin at `offset` of the recording to zero in the muted ranges."""
        here = self.within(Segment(offset, offset + samples.size)) if samples.size else []
        if not here:
            return samples
        out = samples.copy()
        for segment in here:
            out[segment.start - offset : segment.stop - offset] = 0.0
        return out

    def fill_with_tone(self, samples: Samples, offset: int) -> Samples:
        """Fill the muted ranges of (samples,), which are silent, with a tone at the level of the rest."""
        here = self.within(Segment(offset, offset + samples.size))
        if not here:
            return samples
        audible = samples.size - sum(map(len, here))
        level = np.sqrt(np.dot(samples, samples) / max(1, audible)) if audible else np.float32(0.0)
        out = samples.copy()
        for segment in here:
            time = np.arange(len(segment), dtype=np.float32) / RATE
            tone = np.sin(np.float32(2 * np.pi * TONE_HZ) * time) * np.float32(
                max(level, _MIN_TONE_RMS) * np.sqrt(2)
            )
            out[segment.start - offset : segment.stop - offset] = tone
        return out

    def check(self, end: int) -> None:
        """Raise `RecordingError` when a range lies past the end: it belongs to another recording."""
        if self._last > end + PAST_END:
            raise RecordingError(
                "a range to mute lies past the end of the recording: the ranges are another recording's, or not"
                " in seconds of this one",
                "mute-range",
            )


NO_MUTE = Mute((), MuteSettings())
