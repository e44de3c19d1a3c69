"""Cutting of speech segments into snippets under the limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from deident.audio import RATE, Audio, Segment, at_work_rate, segments_of
from deident.errors import SettingError, between, truth
from deident.segmentation.vad import FRAME, VadSettings, frame_level_db, passes_gate

OverLimit = Literal["drop", "split"]
Overlap = Literal["refuse", "drop"]
Reason = Literal["over_limit", "too_short", "two_voices", "shortened"]  # "shortened" by its disguise
MIN_PAUSE_FRAMES = 6  # 60 ms: longer than most stop closures' silence, shorter than a breath


@dataclass(frozen=True)
class CuttingSettings:
    """Settings of `cut`.

    Parameters
    ----------
    max_seconds : float
        Every released snippet is shorter than this after all processing; 0.5 to 60.
    min_seconds : float
        Shorter snippets are dropped; 0 to 60.
    over_limit : {"drop", "split"}
        Drop speech over the limit that has no pause, or split it where it is quietest.
    fade_seconds : float
        Fade at both ends of a snippet, 0 to 0.1.
    whole_turns : bool
        Drop a turn over the limit instead of dividing it.
    overlap : {"refuse", "drop"}
        Refuse a recording whose turns overlap, or leave the overlaps out.
    one_voice : bool
        Cut a piece where the voice changes, and drop what is near the change; or all of a piece in which a second
        voice is found otherwise.

    Raises
    ------
    SettingError
        Outside the ranges.
    """

    max_seconds: float = 10.0
    min_seconds: float = 0.3
    over_limit: OverLimit = "drop"
    fade_seconds: float = 0.01
    whole_turns: bool = False
    overlap: Overlap = "refuse"
    one_voice: bool = False

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
        truth("one_voice", self.one_voice)

    @property
    def max_samples(self) -> int:
        """Length of the longest snippet that is shorter than `max_seconds`."""
        return math.ceil(self.max_seconds * RATE) - 1

    @property
    def min_samples(self) -> int:
        """Length of the shortest snippet."""
        return max(1, math.ceil(self.min_seconds * RATE))


@dataclass(frozen=True)
class Cut:
    """A piece of speech, and the reason to drop it; None for one to keep."""

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
    """Cut speech segments into pieces under the limit.

    A segment over the limit is divided at its pauses, the longest first; a piece still over the limit is dropped,
    or split where it is quietest. No speech is in two pieces.

    Parameters
    ----------
    audio : Audio
        Mono, at 16 kHz.
    segments : iterable of Segment
        In samples, in order.
    cutting : CuttingSettings, optional
    vad : VadSettings, optional
        Of the pauses.
    stretch : float
        Largest factor by which the disguise lengthens a snippet; the limit shrinks by it.
    muted : sequence of Segment
        Ranges that were set to zero.

    Returns
    -------
    list of Cut
        In order.

    Raises
    ------
    SettingError
        For audio at another rate.
    RecordingError
        For several channels.

    Examples
    --------
    >>> import numpy as np
    >>> from deident import Audio, Segment, cut
    >>> audio = Audio(np.zeros(48_000), 16_000)
    >>> [(c.segment.seconds(), c.dropped) for c in cut(audio, [Segment(0, 32_000), Segment(40_000, 41_600)])]
    [(2.0, None), (0.1, 'too_short')]
    """
    cutting = cutting or CuttingSettings()
    vad = vad or VadSettings()
    at_work_rate(audio)  # positions and lengths are counted in its samples
    longest = int(cutting.max_samples / stretch)
    cuts: list[Cut] = []
    for segment in segments:
        if cutting.whole_turns:
            cuts.append(_check_length(segment, cutting, longest))
            continue
        for piece in divide_at_pauses(audio, segment, longest, vad, muted):
            if len(piece) > longest and cutting.over_limit == "split":
                cuts.extend(
                    _check_length(part, cutting, longest) for part in split_at_quiet(audio, piece, longest)
                )
            else:
                cuts.append(_check_length(piece, cutting, longest))
    return cuts


def divide_at_pauses(
    audio: Audio, segment: Segment, longest: int, vad: VadSettings, muted: Sequence[Segment] = ()
) -> Iterator[Segment]:
    """Divide a segment at its longest pause until each part fits, or has no pause left."""
    if len(segment) <= longest:
        yield segment
        return
    samples = audio.mono[segment.start : segment.stop]
    silent = [s.within(segment).shift(-segment.start) for s in muted if s.overlap(segment)]
    pauses = [
        pause.shift(segment.start)
        for pause in segments_of(~passes_gate(samples, vad, silent), FRAME)
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


def split_at_quiet(audio: Audio, segment: Segment, longest: int) -> list[Segment]:
    """Split a segment into parts of at most `longest` samples, each where its last third is quietest."""
    energy = frame_level_db(audio.mono[segment.start : segment.stop])
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


def _check_length(segment: Segment, cutting: CuttingSettings, longest: int) -> Cut:
    """Drop a segment that is too long or too short."""
    if len(segment) > longest:
        return Cut(segment, "over_limit")
    if len(segment) < cutting.min_samples:
        return Cut(segment, "too_short")
    return Cut(segment)
