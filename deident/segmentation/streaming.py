"""A recording in stretches of about a minute that end in silence, with the speech found in each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deident.audio import RATE, Audio, Samples, Segment
from deident.dsp.hum import without_hum
from deident.errors import RecordingError, SettingError
from deident.segmentation.mute import NOTHING, PAST_END, Mute
from deident.segmentation.turns import Guide
from deident.segmentation.vad import Detector, VadSettings, ask, check_segments, find_speech, frame_energy_db

SECTION = 60 * RATE  # samples; speech is found and cut in stretches of about a minute, whatever the length
CONTEXT = RATE // 2  # samples of lead-in that the next stretch hears again
DIGEST_STEP = 8  # every eighth sample tells two recordings apart as surely as all of them

Find = Callable[[Audio, int], list[Segment]]


@dataclass(frozen=True)
class Section:
    """A stretch of a recording that ends in silence, and the speech in it. offset : where it starts.
    last : whether the recording ends with it."""

    audio: Audio
    segments: list[Segment]
    heard_sha256: bytes
    offset: int
    last: bool


class StreamSegmenter:
    """Cuts one channel's sound, as it comes, into sections; memory stays the same however long it gets.

    Where sections end depends on the sound alone, not on the sizes in which it arrives. What is muted is
    silent in them, and nothing of a section depends on it but `digest()`, by which recordings are told apart."""

    def __init__(
        self,
        find: Find,
        channel: int,
        hold: int,
        mute: Mute = NOTHING,
        guide: Guide | None = None,
        *,
        given: Sequence[Segment] = (),
    ) -> None:
        self.channel = channel
        self.mute = mute
        self.guide = guide or Guide(())
        self._last_given = max((segment.start for segment in given), default=0)
        self.count = 0  # pieces so far
        self.opening_sha256 = b""  # of the first section with speech in it
        self._find = find
        self._hold = hold
        self._waiting: list[Samples] = []
        self._size = 0
        self._offset = 0
        self._need = SECTION
        self._hash = hashlib.sha256()
        self._heard = hashlib.sha256() if self.mute.ranges else self._hash

    def push(self, samples: Samples) -> Iterator[Section]:
        self._waiting.append(samples)
        self._size += samples.size
        while self._size >= self._need:
            joined = np.concatenate(self._waiting)
            yield self._close(joined, self._need)

    def finish(self) -> Iterator[Section]:
        if self._size:
            yield self._close(np.concatenate(self._waiting), None)

    @property
    def end(self) -> int:
        """Samples closed so far."""
        return self._offset

    def digest(self) -> bytes:
        return self._hash.digest()

    def check(self) -> None:
        """Raise `RecordingError` when places that were given lie past the end: they are another recording's."""
        self.mute.check(self.end)
        if self._last_given > self.end + PAST_END:
            raise RecordingError(
                "a segment or turn begins past the end of the recording: they are another recording's, or not in"
                " seconds of this one",
                "segment-range",
            )

    def _close(self, joined: Samples, need: int | None) -> Section:
        heard = self.mute.silenced(joined[:need], self._offset)
        audio = Audio.trusted(heard[np.newaxis], RATE)
        segments = self._find(audio, self._offset)
        stop = len(audio)
        if need is not None:
            stop, segments = self._boundary(audio, segments)
            audio = Audio.trusted(heard[np.newaxis, :stop], RATE)
        steps = slice(-self._offset % DIGEST_STEP, stop, DIGEST_STEP)
        self._hash.update(joined[steps].tobytes())
        if self._heard is not self._hash:
            self._heard.update(heard[steps].tobytes())
        self._offset += stop
        self._waiting = [joined[stop:]]
        self._size = joined.size - stop
        self._need = (need or 0) - stop + SECTION
        heard_sha256 = self._heard.digest()
        if segments:  # silence before it is that of many recordings
            self.opening_sha256 = self.opening_sha256 or heard_sha256
        start = self._offset - stop
        clean = self.mute.silenced(without_hum(audio.mono), start)  # no hum's negative in what was muted
        return Section(
            Audio.trusted(clean[np.newaxis], RATE), segments, heard_sha256, start, last=need is None
        )

    def _boundary(self, audio: Audio, segments: list[Segment]) -> tuple[int, list[Segment]]:
        """Where the section ends, and the segments before that; a segment under way is left for the next."""
        quiet = len(audio) - self._hold
        if not segments or segments[-1].stop <= quiet:
            return max(quiet, segments[-1].stop if segments else 0), segments
        *done, last = segments
        before = done[-1].stop if done else 0
        start = max(before, last.start - CONTEXT)
        if start > 0 and (start >= len(audio) // 3 or len(audio) < 2 * SECTION):
            return start, done
        # Speech without a pause all through: the quietest place of the last third is the best there is.
        energy = frame_energy_db(audio.mono)
        first = 2 * energy.size // 3
        cut_at = (first + int(np.argmin(energy[first:]))) * (RATE // 100)
        return cut_at, [*done, Segment(last.start, cut_at)]


def segment_stream(
    blocks: Iterable[Iterable[Samples]], segmenters: Sequence[StreamSegmenter]
) -> Iterator[tuple[StreamSegmenter, Section]]:
    """Every section, as it is complete, with the row that it belongs to."""
    for block in blocks:
        for segmenter, samples in zip(segmenters, block, strict=True):
            yield from ((segmenter, section) for section in segmenter.push(samples))
    for segmenter in segmenters:
        yield from ((segmenter, section) for section in segmenter.finish())


def finding(
    vad: VadSettings, detector: Detector | None, segments: Sequence[Segment] | None, mute: Mute = NOTHING
) -> Find:
    if segments is not None:
        return partial(_given, sorted(segments))
    if detector is not None:
        return partial(_asked, detector)
    return lambda audio, offset: find_speech(audio, vad, muted=mute.of(audio, offset))


def _asked(detector: Detector, audio: Audio, _offset: int) -> list[Segment]:
    try:
        return ask(detector, audio)
    except SettingError as error:  # of this sound: it may be right about others
        raise RecordingError(str(error), "detector") from None


def _given(segments: list[Segment], audio: Audio, offset: int) -> list[Segment]:
    here = [
        Segment(max(0, s.start - offset), s.stop - offset)
        for s in segments
        if s.stop > offset and s.start < offset + len(audio)
    ]
    return check_segments(here, len(audio))


def hold_of(vad: VadSettings) -> int:
    """Samples of silence that end a segment for certain."""
    pause = vad.min_silence_seconds + 2 * vad.padding_seconds
    return max(RATE, round(pause * RATE) + RATE // 10)
