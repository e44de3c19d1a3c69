"""Incremental segmentation of a stream: sections of about a minute that end in silence, with their speech."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from deident.audio import RATE, Audio, Samples, Segment
from deident.dsp.hum import remove_hum
from deident.dsp.level import remove_offset
from deident.dsp.music import find_music
from deident.dsp.tones import find_tones
from deident.errors import RecordingError, SettingError, debug_traceback
from deident.segmentation.detectors import DETECTORS, Detector, check_segments, run_detector
from deident.segmentation.echo import EchoDetector
from deident.segmentation.mute import NO_MUTE, PAST_END, Mute
from deident.segmentation.turns import OPEN, ChannelTurns
from deident.segmentation.vad import (
    HANGOVER_SECONDS,
    LOWERED_FROM_DB,
    Detection,
    VadSettings,
    detect,
    frame_level_db,
    join,
    subtract,
)

STOPS_PAST_END = 30 * RATE  # samples; Whisper's last utterance may last until the end of its window
SECTION = 60 * RATE  # samples; memory and latency stay the same for any length of recording
LIVE_SECTION = 8 * RATE  # of a live source, whose snippets must not wait for a minute
LIVE_PAST = 22 * RATE  # samples before such a section that its detection sees: a noise floor is one of 30 s
CONTEXT = RATE // 2  # samples before a segment in progress that the next section repeats
TONE_GAP = 3 * RATE // 10  # samples; shorter pauses between tones go with them
DIGEST_STEP = 8  # every eighth sample distinguishes two recordings as surely as all of them

SectionDetector = Callable[[Audio, int], Detection]  # takes audio and its offset in the recording


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
    gated : int
        Samples that only the gate of `find_speech` refused.
    dropped : dict of str to int
        Samples of detected speech that are in no segment, by the reason.
    """

    audio: Audio
    segments: list[Segment]
    audio_sha256: bytes
    offset: int
    last: bool
    gated: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


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
    length : int
        Samples of a section, about. See `section_length`.
    past : int
        Samples before a section that detection takes into account.

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
        length: int = SECTION,
        past: int = 0,
    ) -> None:
        self.channel = channel
        self.mute = mute
        self.turns = turns or ChannelTurns(())
        self._last_start = max((self.turns.last_word, *(segment.start for segment in given)))
        self._last_stop = max((segment.stop for segment in given if segment.stop != OPEN), default=0)
        self._is_given = bool(given)
        self.count = 0
        self.opening_sha256 = b""
        self._detect = detect
        self._silence = silence
        self._waiting: list[Samples] = []
        self._size = 0
        self._offset = 0
        self._length = self._need = length
        self._past: Samples = np.zeros(0, dtype=np.float32)
        self._past_length = past
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

    @property
    def missing(self) -> int:
        """Samples to add before a section may end."""
        return self._need - self._size

    def digest(self) -> bytes:
        """Digest of the audio so far, muted ranges included."""
        return self._hash.digest()

    def check(self) -> None:
        """Raise `RecordingError` when given segments lie past the end: they belong to another recording."""
        self.mute.check(self.end)
        begins_past = self._last_start > self.end + PAST_END
        if begins_past or self._last_stop > self.end + STOPS_PAST_END:
            raise RecordingError(
                f"a segment, turn or word {'begins' if begins_past else 'ends far'} past the end of the recording:"
                " they are another recording's, or not in seconds of this one",
                "segment-range",
            )

    def _close(self, buffered: Samples, need: int | None) -> Section:
        """Detect speech in what is buffered, and cut a section off at a pause."""
        muted = self.mute.silence(buffered[:need], self._offset)
        audio = Audio.trusted(muted[np.newaxis], RATE)
        detection = self._detection(muted)
        segments, stop = detection.segments, len(audio)
        if need is not None:
            stop, segments = self._boundary(audio, segments)
            audio = Audio.trusted(muted[np.newaxis, :stop], RATE)
        steps = slice(-self._offset % DIGEST_STEP, stop, DIGEST_STEP)
        self._hash.update(buffered[steps].tobytes())
        if self._muted_hash is not self._hash:
            self._muted_hash.update(muted[steps].tobytes())
        self._offset += stop
        self._waiting = [buffered[stop:].copy()]  # a view would keep all of it
        self._size = buffered.size - stop
        self._need = (need or 0) - stop + self._length
        audio_sha256 = self._muted_hash.digest()
        if segments:  # many recordings begin with the same silence
            self.opening_sha256 = self.opening_sha256 or audio_sha256
        if self._past_length:
            self._past = np.concatenate((self._past, muted[:stop]))[-self._past_length :].copy()
        start = self._offset - stop
        clean = self.mute.silence(
            remove_offset(remove_hum(audio.mono)), start
        )  # subtraction leaves negative hum there
        gated = sum(max(0, min(segment.stop, stop) - segment.start) for segment in detection.gated)
        section = Section(
            Audio.trusted(clean[np.newaxis], RATE), segments, audio_sha256, start, need is None, gated
        )
        return self._without_signals(section, audio.mono)

    def _detection(self, muted: Samples) -> Detection:
        """Detect speech in (samples,) of the section to be, in samples from its start."""
        before = self._past.size
        if not before:
            return self._detect(Audio.trusted(muted[np.newaxis], RATE), self._offset)
        samples = np.concatenate((self._past, muted))
        found = self._detect(Audio.trusted(samples[np.newaxis], RATE), self._offset - before)
        return Detection(_from(found.segments, before), _from(found.gated, before))

    def _without_signals(self, section: Section, samples: Samples) -> Section:
        """Silence what is no speech in `samples`, the audio as it came, and leave it out of what was detected.

        Without hum, ringback and busy tones would lack 480 Hz, which is a harmonic of it.
        """
        if section.segments and self.mute.tones:
            tones = join(find_tones(remove_offset(samples), section.segments), TONE_GAP)
            section = self._silenced(section, tones, "tones")
        if section.segments and self.mute.music and not self._is_given:
            section = self._silenced(section, find_music(samples, section.segments), "music")
        return section

    def _silenced(self, section: Section, ranges: Sequence[Segment], reason: str) -> Section:
        """Silence ranges; where speech was detected, and is in no turn, leave them out of it."""
        if not ranges:
            return section
        out = section.audio.mono.copy()
        for where in ranges:
            out[where.start : where.stop] = 0.0
        section = replace(section, audio=Audio.trusted(out[np.newaxis], RATE))
        return section if self.turns.bounds else without(section, ranges, reason)

    def _boundary(self, audio: Audio, segments: list[Segment]) -> tuple[int, list[Segment]]:
        """Choose the end of a section, and its segments; a segment in progress is left to the next section."""
        quiet = len(audio) - self._silence
        if not segments or segments[-1].stop <= quiet:
            return max(quiet, segments[-1].stop if segments else 0), segments
        *done, last = segments
        before = done[-1].stop if done else 0
        start = max(before, last.start - CONTEXT)
        if start > 0 and (start >= len(audio) // 3 or len(audio) < 2 * self._length):
            return start, done
        # Speech without any pause: the quietest frame of the last third is the best cut there is.
        energy = frame_level_db(audio.mono)
        first = 2 * energy.size // 3
        cut_at = (first + int(np.argmin(energy[first:]))) * (RATE // 100)
        return cut_at, [*done, Segment(last.start, cut_at)]


def _from(segments: Sequence[Segment], start: int) -> list[Segment]:
    """Cut off what of segments lies before a start, and count from there."""
    return [Segment(max(0, s.start - start), s.stop - start) for s in segments if s.stop > start]


def without(section: Section, holes: Sequence[Segment], reason: str) -> Section:
    """Leave holes out of a section's segments, and count them under a reason."""
    segments = subtract(section.segments, holes)
    lost = sum(map(len, section.segments)) - sum(map(len, segments))
    return replace(section, segments=segments, dropped={**section.dropped, reason: lost})


def segment_stream(
    blocks: Iterable[Samples], segmenters: Sequence[StreamSegmenter]
) -> Iterator[tuple[StreamSegmenter, Section]]:
    """Yield every section with its segmenter, as soon as it is complete.

    Speech that several channels hold is left to the loudest, unless turns say whose it is.

    blocks : (channels, samples) each.
    """
    echoes = None
    if len(segmenters) > 1 and not any(segmenter.turns.given for segmenter in segmenters):
        echoes = EchoDetector(len(segmenters), segmenters[0].mute)

    def checked(segmenter: StreamSegmenter, section: Section) -> tuple[StreamSegmenter, Section]:
        if echoes is None or not section.segments:
            return segmenter, section
        own = [segment.shift(section.offset) for segment in section.segments]
        holes = [hole.shift(-section.offset) for hole in echoes.echoes(segmenter.channel, own)]
        return segmenter, without(section, holes, "echo") if holes else section

    for block in _until_sections_end(blocks, segmenters):
        if echoes is not None:
            echoes.push(block)
        for segmenter, samples in zip(segmenters, block, strict=True):
            # a view would keep all channels of a block until the last one needs it no more
            for section in segmenter.push(samples.copy() if len(segmenters) > 1 else samples):
                yield checked(segmenter, section)
        if echoes is not None:
            echoes.forget(min(segmenter.end for segmenter in segmenters))
    for segmenter in segmenters:
        for section in segmenter.finish():
            yield checked(segmenter, section)


def _until_sections_end(
    blocks: Iterable[Samples], segmenters: Sequence[StreamSegmenter]
) -> Iterator[Samples]:
    """Divide blocks where a section may end: the order of sections of several channels depends on them no more."""
    for block in blocks:
        at = 0
        while at < block.shape[1]:
            stop = at + min(segmenter.missing for segmenter in segmenters)
            yield block[:, at:stop]
            at = stop


def section_detector(
    vad: VadSettings,
    detector: Detector | str | None,
    segments: Sequence[Segment] | None,
    mute: Mute = NO_MUTE,
) -> SectionDetector:
    """Choose the source of a channel's speech segments: known ones, the caller's detector, or `find_speech`."""
    if segments is not None:
        return partial(_known_segments, sorted(segments))
    if isinstance(detector, str):
        named = DETECTORS[detector]
        return lambda audio, _offset: Detection(named(audio, vad))
    if detector is not None:
        return partial(_custom_segments, detector)
    return lambda audio, offset: detect(audio, vad, muted=mute.within_audio(audio, offset))


def _custom_segments(detector: Detector, audio: Audio, _offset: int) -> Detection:
    """Run the caller's detector; its errors refuse the recording."""
    try:
        return Detection(run_detector(detector, audio))
    except SettingError as error:  # the detector may work on other recordings
        debug_traceback()
        raise RecordingError(str(error), "detector") from None


def _known_segments(segments: list[Segment], audio: Audio, offset: int) -> Detection:
    """Select the known segments that lie in audio at an offset."""
    here = [
        Segment(max(0, s.start - offset), s.stop - offset)
        for s in segments
        if s.stop > offset and s.start < offset + len(audio)
    ]
    return Detection(check_segments(here, len(audio)))


def section_length(channels: int, live: bool = False) -> int:
    """Choose the length of sections in samples, so that those of many channels fit the memory of a few."""
    return min(LIVE_SECTION if live else SECTION, 5 * SECTION // channels)


def closing_silence(vad: VadSettings) -> int:
    """Count the samples of silence that end a segment for certain."""
    pause = vad.min_silence_seconds + 2 * (vad.padding_seconds + HANGOVER_SECONDS * LOWERED_FROM_DB)
    return max(RATE, round(pause * RATE) + RATE // 10)
