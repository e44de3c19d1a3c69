"""Cutting one recording into pieces: decode, detect speech, cut, sample."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from deident import codec
from deident.audio import RATE, Audio, Segment
from deident.codec.decoding import Source
from deident.errors import RecordingError
from deident.pipeline.draws import Draws, Piece, PieceId
from deident.policy import Policy
from deident.recording import Observer, Recording, Tally
from deident.segmentation.cutting import cut
from deident.segmentation.mute import Mute
from deident.segmentation.streaming import (
    LIVE_PAST,
    Section,
    StreamSegmenter,
    closing_silence,
    section_detector,
    section_length,
    segment_stream,
)
from deident.segmentation.turns import ChannelTurns, Turn, merge_word_turns, transcript_within, within_piece
from deident.segmentation.voices import cut_at_voices


def pieces_of(
    source: Source, recording: Recording, policy: Policy, draws: Draws, observer: Observer
) -> Generator[list[Piece]]:
    """Yield the pieces of a recording that are to be disguised, section by section."""
    tally, most = observer.tally, policy.max_per_recording
    with decode(source, recording, policy) as decoding:
        segmenters = segmenters_for(decoding, recording, policy)
        sections = _cut(decoding, segmenters, policy, observer)
        yield from sections if most is None else [_sample(sections, most, draws, tally)]
        tally.read_seconds = decoding.source_seconds
        tally.partial, tally.cancelled_seconds = decoding.partial, decoding.cancelled_seconds
        tally.separate_channels = int(decoding.separate)
        tally.head_sha256, tally.file_sha256 = decoding.head_sha256, decoding.file_sha256
        digests = b"".join(segmenter.digest() for segmenter in segmenters)
        tally.content_sha256 = hashlib.sha256(digests).hexdigest()


def decode(source: Source, recording: Recording, policy: Policy) -> codec.Decoding:
    """Open audio as a policy has it read. recording : its annotations."""
    return codec.decode(
        source,
        channels=policy.channels,
        nonfinite=policy.nonfinite,
        strict=policy.strict,
        follow_links=recording.follow_links,
        timed=recording.is_timed,
    )


def segmenters_for(decoding: codec.Decoding, recording: Recording, policy: Policy) -> list[StreamSegmenter]:
    """Make a segmenter for each channel, with the turns of that channel."""
    turns, mute = recording.turns, Mute(recording.mute, policy.mute)
    if policy.channels != "mix":
        _check_channels(turns, decoding)
    segmenters = []
    for number in range(decoding.channels):
        channel = number if policy.channels == "split" else policy.channels
        own: Sequence[Turn] = [
            turn if "text" in policy.carry else replace(turn, text=None)
            for turn in turns
            if channel == "mix" or turn.channel in (None, channel)
        ]
        if channel == "mix":
            own = merge_word_turns(own)
        channel_turns = ChannelTurns(
            own, drop=policy.cutting.overlap == "drop", whole=policy.cutting.whole_turns
        )
        bounds = channel_turns.bounds if own else [] if turns else recording.segments
        detect = section_detector(policy.vad, policy.detector, bounds, mute)
        segmenters.append(
            StreamSegmenter(
                detect,
                number,
                closing_silence(policy.vad),
                mute,
                channel_turns,
                given=bounds or (),
                length=section_length(decoding.channels, policy.live),
                past=LIVE_PAST if policy.live else 0,
            )
        )
    return segmenters


def _check_channels(turns: Sequence[Turn], decoding: codec.Decoding) -> None:
    """Raise `RecordingError` unless the turns of channels that are not mixed say which of them they are of."""
    told = {turn.channel for turn in turns}
    is_partly_told = decoding.source_channels > 1 and len(told) > 1
    if None in told and (decoding.channels > 1 or is_partly_told):
        raise RecordingError(
            "the channels are not mixed, and a turn has no channel: give each one, or mix the channels",
            "no-channel",
        )
    if any(channel >= decoding.source_channels for channel in told if channel is not None):
        raise RecordingError(
            "a turn is of a channel that the recording does not have: count them from 0, or mix the channels",
            "no-channel",
        )


def _cut(
    decoding: codec.Decoding, segmenters: list[StreamSegmenter], policy: Policy, observer: Observer
) -> Iterator[list[Piece]]:
    """Yield the pieces of each section, and check the segmenters at the end."""
    for segmenter, section in segment_stream(decoding, segmenters):
        if segmenter.channel == 0:
            observer.read(section.audio.seconds)
        end = segmenter.end if section.last and not decoding.partial else None
        yield list(_pieces_in(segmenter, section, policy, observer.tally, end))
    if not decoding.partial:
        for segmenter in segmenters:
            segmenter.check()


def _pieces_in(
    segmenter: StreamSegmenter, section: Section, policy: Policy, tally: Tally, end: int | None
) -> Iterator[Piece]:
    """Yield the pieces of a section. end : of the recording, where the section reaches it."""
    kept = sum(map(len, section.segments)) / RATE
    for reason, samples in section.dropped.items():
        tally.drop(reason, samples / RATE)
    tally.speech_seconds += kept + sum(section.dropped.values()) / RATE
    tally.shortened_seconds += kept
    tally.gated_seconds += section.gated / RATE
    for where, audio, dropped in cut_section(segmenter, section, policy):
        tally.shortened_seconds -= where.seconds()  # what is left of it are pauses
        if dropped:
            tally.drop(dropped, where.seconds())
            continue
        id = PieceId(segmenter.channel, segmenter.count, section.audio_sha256, where.start, where.stop)
        segmenter.count += 1
        turn = segmenter.turns.turn(where)
        text, words = (
            transcript_within(turn, where, end=end, muted=segmenter.mute.within) if turn else (None, ())
        )
        phones = within_piece(turn.phones, where, muted=segmenter.mute.within) if turn else ()
        own, sounds = (tuple(word.within(where) for word in found) for found in (words, phones))
        yield Piece(audio, id, segmenter.opening_sha256, turn, text, own, sounds)


def cut_section(
    segmenter: StreamSegmenter, section: Section, policy: Policy
) -> Iterator[tuple[Segment, Audio, str | None]]:
    """Yield the pieces of a section: segment in the recording, audio, and why it is dropped (None: it is kept)."""
    for found in cut(
        section.audio,
        section.segments,
        policy.cutting,
        vad=policy.vad,
        stretch=policy.disguise.stretch,
        muted=segmenter.mute.within_audio(section.audio, section.offset),
    ):
        parts = [found]
        if policy.cutting.one_voice and not found.dropped:
            parts = cut_at_voices(section.audio, found.segment, policy.cutting, policy.encoder)
        for part in parts:
            where, audio = part.segment.shift(section.offset), section.audio[part.segment]
            audible = len(where) - sum(map(len, segmenter.mute.within(where)))
            is_muted = not part.dropped and audible < policy.cutting.min_samples
            if policy.mute.fill == "tone":
                audio = Audio(segmenter.mute.fill_with_tone(audio.mono, where.start), RATE)
            yield where, audio, "muted" if is_muted else part.dropped


def _sample(sections: Iterator[list[Piece]], most: int, draws: Draws, tally: Tally) -> list[Piece]:
    """Draw `most` of the pieces, each as likely as any other (reservoir sampling; Vitter, 1985)."""
    kept: list[Piece] = []
    for count, piece in enumerate(chain.from_iterable(sections)):
        if count < most:
            kept.append(piece)
            continue
        at = int(draws.rng("sample", *piece.id).integers(count + 1))
        loser = piece
        if at < most:
            loser, kept[at] = kept[at], piece
        tally.drop("max_per_recording", loser.audio.seconds)
    return kept
