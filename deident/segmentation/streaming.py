"""Incremental segmentation of a stream: sections of about a minute that end in silence, with their speech."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deident.audio import RATE, Audio, Samples, Segment
from deident.dsp.hum import remove_hum
from deident.errors import RecordingError, SettingError, debug_traceback
from deident.segmentation.mute import NO_MUTE, PAST_END, Mute
from deident.segmentation.turns import ChannelTurns
from deident.segmentation.vad import (
    Detector,
    VadSettings,
    check_segments,
    find_speech,
    frame_energy_db,
    run_detector,
)

SECTION = 60 * RATE  # samples; memory and latency stay the same for any length of recording
CONTEXT = RATE // 2  # samples before a segment in progress that the next section repeats
DIGEST_STEP = 8  # every eighth sample distinguishes two recordings as surely as all of them

SectionDetector = Callable[[Audio, int], list[Segment]]  # takes audio and its offset in the recording


@dataclass(frozen=True)
class Section:
    """A part of one channel that ends in silence.

    Parameters
    ----------
    audio : Audio
        Mono, at 16 kHz, without hum, with muted ranges set to zero.
    segments : list of Segment
        Its speech, in samples from its start.
    audio_sha256 : bytes
        Digest of all audio up to its end, as muted.
    offset : int
        Its start in the recording, in samples.
    last : bool
        True where the recording ends with it.
    """

    audio: Audio
    segments: list[Segment]
    audio_sha256: bytes
    offset: int
    last: bool


class StreamSegmenter:
    """Segments one channel incrementally, in constant memory.

    The ends of sections depend on the audio alone, not on the sizes of the blocks in which it arrives. Muted ranges
    are zero in the sections, and no part of a section depends on their content except `digest()`, which identifies
    the recording.

    Parameters
    ----------
    detect : callable
        Detects speech: takes a section's audio and its offset, returns segments. See `section_detector`.
    channel : int
        Number of the channel.
    silence : int
        Samples of silence that end a segment for certain. See `closing_silence`.
    mute : Mute
        Ranges to set to zero.
    turns : ChannelTurns, optional
        Turns of the channel.
    given : sequence of Segment
        Known segments, to check that they lie within the recording.

    Attributes
    ----------
    count : int
        Pieces so far; kept by the caller.
    opening_sha256 : bytes
        Digest of the first section with speech, empty before it.
    """

    def __init__(
        self,
        detect: SectionDetector,
        channel: int,
        silence: int,
        mute: Mute = NO_MUTE,
        turns: ChannelTurns | None = None,
        *,
        given: Sequence[Segment] = (),
    ) -> None:
        self.channel = channel
        self.mute = mute
        self.turns = turns or ChannelTurns(())
        self._last_given = max((segment.start for segment in given), default=0)
        self.count = 0
        self.opening_sha256 = b""
        self._detect = detect
        self._silence = silence
        self._waiting: list[Samples] = []
        self._size = 0
        self._offset = 0
        self._need = SECTION
        self._hash = hashlib.sha256()
        self._muted_hash = hashlib.sha256() if self.mute.ranges else self._hash

    def push(self, samples: Samples) -> Iterator[Section]:
        """Add (samples,) at 16 kHz, and yield the sections that they complete."""
        self._waiting.append(samples)
        self._size += samples.size
        while self._size >= self._need:
            buffered = np.concatenate(self._waiting)
            yield self._close(buffered, self._need)

    def finish(self) -> Iterator[Section]:
        """Yield the last section, at the end of the recording."""
        if self._size:
            yield self._close(np.concatenate(self._waiting), None)

    @property
    def end(self) -> int:
        """Samples in sections so far."""
        return self._offset

    def digest(self) -> bytes:
        """Digest of the audio so far, muted ranges included."""
        return self._hash.digest()

    def check(self) -> None:
        """Raise `RecordingError` when given segments lie past the end: they belong to another recording."""
        self.mute.check(self.end)
        if self._last_given > self.end + PAST_END:
            raise RecordingError(
                "a segment or turn begins past the end of the recording: they are another recording's, or not in"
                " seconds of this one",
                "segment-range",
            )

    def _close(self, buffered: Samples, need: int | None) -> Section:
        muted = self.mute.silence(buffered[:need], self._offset)
        audio = Audio.trusted(muted[np.newaxis], RATE)
        segments = self._detect(audio, self._offset)
        stop = len(audio)
        if need is not None:
            stop, segments = self._boundary(audio, segments)
            audio = Audio.trusted(muted[np.newaxis, :stop], RATE)
        steps = slice(-self._offset % DIGEST_STEP, stop, DIGEST_STEP)
        self._hash.update(buffered[steps].tobytes())
        if self._muted_hash is not self._hash:
            self._muted_hash.update(muted[steps].tobytes())
        self._offset += stop
        self._waiting = [buffered[stop:]]
        self._size = buffered.size - stop
        self._need = (need or 0) - stop + SECTION
        audio_sha256 = self._muted_hash.digest()
        if segments:  # many recordings begin with the same silence
            self.opening_sha256 = self.opening_sha256 or audio_sha256
        start = self._offset - stop
        clean = self.mute.silence(remove_hum(audio.mono), start)  # subtraction leaves negative hum there
        return Section(
            Audio.trusted(clean[np.newaxis], RATE), segments, audio_sha256, start, last=need is None
        )

    def _boundary(self, audio: Audio, segments: list[Segment]) -> tuple[int, list[Segment]]:
        """Choose the end of a section, and its segments; a segment in progress is left to the next section."""
        quiet = len(audio) - self._silence
        if not segments or segments[-1].stop <= quiet:
            return max(quiet, segments[-1].stop if segments else 0), segments
        *done, last = segments
        before = done[-1].stop if done else 0
        start = max(before, last.start - CONTEXT)
        if start > 0 and (start >= len(audio) // 3 or len(audio) < 2 * SECTION):
            return start, done
        # Speech without any pause: the quietest frame of the last third is the best cut there is.
        energy = frame_energy_db(audio.mono)
        first = 2 * energy.size // 3
        cut_at = (first + int(np.argmin(energy[first:]))) * (RATE // 100)
        return cut_at, [*done, Segment(last.start, cut_at)]


def segment_stream(
    blocks: Iterable[Iterable[Samples]], segmenters: Sequence[StreamSegmenter]
) -> Iterator[tuple[StreamSegmenter, Section]]:
    """Yield every section with its segmenter, as soon as it is complete.

    blocks : (channels, samples) each, or a list of (samples,)."""
    for block in blocks:
        for segmenter, samples in zip(segmenters, block, strict=True):
            yield from ((segmenter, section) for section in segmenter.push(samples))
    for segmenter in segmenters:
        yield from ((segmenter, section) for section in segmenter.finish())


def section_detector(
    vad: VadSettings, detector: Detector | None, segments: Sequence[Segment] | None, mute: Mute = NO_MUTE
) -> SectionDetector:
    """Choose the source of a channel's speech segments: known ones, the caller's detector, or `find_speech`."""
    if segments is not None:
        return partial(_known_segments, sorted(segments))
    if detector is not None:
        return partial(_custom_segments, detector)
    return lambda audio, offset: find_speech(audio, vad, muted=mute.within_audio(audio, offset))


def _custom_segments(detector: Detector, audio: Audio, _offset: int) -> list[Segment]:
    """Run the caller's detector; its errors refuse the recording."""
    try:
        return run_detector(detector, audio)
    except SettingError as error:  # the detector may work on other recordings
        debug_traceback()
        raise RecordingError(str(error), "detector") from None


def _known_segments(segments: list[Segment], audio: Audio, offset: int) -> list[Segment]:
    """Select the known segments that lie in audio at an offset."""
    here = [
        Segment(max(0, s.start - offset), s.stop - offset)
        for s in segments
        if s.stop > offset and s.start < offset + len(audio)
    ]
    return check_segments(here, len(audio))


def closing_silence(vad: VadSettings) -> int:
    """Count the samples of silence that end a segment for certain."""
    pause = vad.min_silence_seconds + 2 * vad.padding_seconds
    return max(RATE, round(pause * RATE) + RATE // 10)
