"""Segments of speech to snippets under the limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from deident.audio import RATE, Audio, Segment, at_work_rate, segments_of
from deident.errors import SettingError, between, truth
from deident.segmentation.vad import FRAME, VadSettings, above_floor, frame_energy_db

OverLimit = Literal["drop", "split"]
Overlap = Literal["refuse", "drop"]
Reason = Literal["over_limit", "too_short", "shortened"]  # the last: by its disguise
MIN_PAUSE_FRAMES = 6  # 60 ms: longer than most stop closures' silence, shorter than a breath


@dataclass(frozen=True)
class CuttingSettings:
    """How long a snippet may be.

    max_seconds : every released snippet is shorter than this, after all processing.
    min_seconds : shorter ones are dropped.   over_limit : what happens to speech that has no pause to
    divide it at, "drop" or "split" at its quietest places.   fade_seconds : at both ends.
    whole_turns : a turn over the limit is dropped, not divided.   overlap : a recording whose turns overlap is
    refused, or what overlaps is left out ("drop").
    Raises `SettingError` outside the ranges."""

    max_seconds: float = 10.0
    min_seconds: float = 0.3
    over_limit: OverLimit = "drop"
    fade_seconds: float = 0.01
    whole_turns: bool = False
    overlap: Overlap = "refuse"

    def __post_init__(self) -> None:
        between("max_seconds", self.max_seconds, 0.5, 60.0)
        between("min_seconds", self.min_seconds, 0.0, 60.0)
        if self.min_seconds >= self.max_seconds:
            raise SettingError(
                f"expected min_seconds under max_seconds; got {self.min_seconds:g} and {self.max_seconds:g}"
            )
        if self.over_limit not in ("drop", "split"):
            raise SettingError(f'expected over_limit "drop" or "split"; got {self.over_limit!r:.40}')
        if self.overlap not in ("refuse", "drop"):
            raise SettingError(f'expected overlap "refuse" or "drop"; got {self.overlap!r:.40}')
        between("fade_seconds", self.fade_seconds, 0.0, 0.1)
        truth("whole_turns", self.whole_turns)

    @property
    def max_samples(self) -> int:
        """The longest that is still shorter than `max_seconds`."""
        return math.ceil(self.max_seconds * RATE) - 1

    @property
    def min_samples(self) -> int:
        return max(1, math.ceil(self.min_seconds * RATE))


@dataclass(frozen=True)
class Cut:
    """A piece of speech, and why it is dropped (None: it is kept)."""

    segment: Segment
    dropped: Reason | None = None


def cut(
    audio: Audio,
    segments: Iterable[Segment],
    cutting: CuttingSettings | None = None,
    *,
    vad: VadSettings | None = None,
    stretch: float = 1.0,
    muted: Sequence[Segment] = (),
) -> list[Cut]:
    """Divide segments of mono audio at 16 kHz into snippets, in order.

    A segment over the limit is divided at the pauses inside it, the longest first; a piece that is still
    over the limit is dropped, or split at its quietest places. No speech is in two pieces.
    stretch : how much longer a disguise may make a snippet; the limit shrinks by as much.
    muted : where the audio was silenced."""
    cutting = cutting or CuttingSettings()
    vad = vad or VadSettings()
    at_work_rate(audio)  # positions and lengths are counted in its samples
    longest = int(cutting.max_samples / stretch)
    cuts: list[Cut] = []
    for segment in segments:
        if cutting.whole_turns:
            cuts.append(_judged(segment, cutting, longest))
            continue
        for piece in divide(audio, segment, longest, vad, muted):
            if len(piece) > longest and cutting.over_limit == "split":
                cuts.extend(_judged(part, cutting, longest) for part in split(audio, piece, longest))
            else:
                cuts.append(_judged(piece, cutting, longest))
    return cuts


def divide(
    audio: Audio, segment: Segment, longest: int, vad: VadSettings, muted: Sequence[Segment] = ()
) -> Iterator[Segment]:
    """The segment, or its parts between pauses: divided at the longest pause until each part fits.

    A part that holds no pause comes out as it is, over the limit or not."""
    if len(segment) <= longest:
        yield segment
        return
    samples = audio.mono[segment.start : segment.stop]
    silent = [s.within(segment).shift(-segment.start) for s in muted if s.overlap(segment)]
    pauses = [
        pause.shift(segment.start)
        for pause in segments_of(~above_floor(samples, vad, silent), FRAME)
        if len(pause) >= MIN_PAUSE_FRAMES * FRAME
    ]
    padding = round(vad.padding_seconds * RATE)
    waiting = [(segment, pauses)]
    while waiting:
        part, inside = waiting.pop()
        inside = [p for p in inside if part.start < p.start and p.stop < part.stop]
        if len(part) <= longest or not inside:
            yield part
            continue
        at = max(inside, key=len)
        pad = min(padding, len(at) // 2)
        waiting.append((Segment(at.stop - pad, part.stop), inside))
        waiting.append((Segment(part.start, at.start + pad), inside))


def split(audio: Audio, segment: Segment, longest: int) -> list[Segment]:
    """Parts of at most `longest` samples, cut where it is quietest within the last third of each."""
    energy = frame_energy_db(audio.mono[segment.start : segment.stop])
    parts = []
    start = segment.start
    while segment.stop - start > longest:
        first = (start - segment.start + 2 * longest // 3) // FRAME
        last = max(first + 1, (start - segment.start + longest) // FRAME)
        stop = segment.start + (first + int(np.argmin(energy[first:last]))) * FRAME
        parts.append(Segment(start, stop))
        start = stop
    parts.append(Segment(start, segment.stop))
    return parts


def _judged(segment: Segment, cutting: CuttingSettings, longest: int) -> Cut:
    if len(segment) > longest:
        return Cut(segment, "over_limit")
    if len(segment) < cutting.min_samples:
        return Cut(segment, "too_short")
    return Cut(segment)
