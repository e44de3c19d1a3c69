"""The processing of one recording: decode, detect speech, cut, disguise, finish."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deident import codec
from deident.audio import RATE, Audio, Samples, Segment, at_work_rate, container_of, player
from deident.codec.decoding import Source
from deident.disguise.base import apply_all
from deident.dsp.level import Pcm, fade, replace_quiet, round_to_pcm, set_level
from deident.errors import RecordingError, SettingError, debug_traceback
from deident.keys import Key, check_key, fresh_name, fresh_rng
from deident.policy import Policy
from deident.process import each_on_one_thread
from deident.recording import CallbackError, Observer, Recording, Tally
from deident.segmentation.cutting import Reason, cut
from deident.segmentation.mute import Mute
from deident.segmentation.streaming import (
    Section,
    StreamSegmenter,
    closing_silence,
    section_detector,
    section_length,
    segment_stream,
)
from deident.segmentation.turns import ChannelTurns, Turn, Word, merge_word_turns, transcript_within

EDGE = RATE // 100  # samples over which a piece begins and ends before its disguise
TOGETHER = 60 * RATE  # samples that are disguised at once: about as many as a section has


@dataclass(frozen=True, eq=False, repr=False)
class Snippet:
    """A short piece of speech in another voice, ready for release.

    Attributes
    ----------
    name : str
        32 hexadecimal digits that reveal nothing.
    pcm : (samples,) int16
        Mono at 16 kHz.
    text : str or None
        The words spoken in it, None where they are not known.
    words : tuple of Word
        The same word by word, with times in this snippet; empty where the disguise changes the timing.
    turn : Turn or None
        The turn it was cut from, as given. It names the speaker, and is not for release.
    """

    name: str
    pcm: Pcm
    text: str | None = None
    words: tuple[Word, ...] = ()
    turn: Turn | None = None

    @property
    def samples(self) -> Samples:
        """The audio as (samples,) float32, full scale ±1."""
        return self.pcm.astype(np.float32) / np.float32(32_768.0)

    @property
    def rate(self) -> int:
        """The sample rate, 16,000 Hz."""
        return RATE

    @property
    def seconds(self) -> float:
        """The length."""
        return self.pcm.size / RATE

    def encode(self, container: str = "wav") -> bytes:
        """Encode the snippet as a canonical file, with nothing in it besides audio.

        Parameters
        ----------
        container : {"wav", "flac"}, optional

        Returns
        -------
        bytes

        Raises
        ------
        SettingError
            For another container.
        """
        if container not in codec.ENCODERS:
            raise SettingError(f"expected a container of {', '.join(codec.ENCODERS)}")
        return codec.ENCODERS[container](self.pcm)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the snippet to a canonical file.

        Parameters
        ----------
        path : path-like
            Its suffix, .wav or .flac, decides the container.

        Raises
        ------
        SettingError
            For another suffix.
        """
        Path(path).write_bytes(self.encode(container_of(path)))

    def _repr_html_(self) -> str:
        return player(self.encode("wav"), self.samples, repr(self))

    def __repr__(self) -> str:
        return f"Snippet({self.seconds:.2f} s)"


class PieceId(NamedTuple):
    """The identity from which a piece's randomness and name follow in a repeatable run.

    channel, number : of the piece in its channel.   audio_sha256 : of all audio up to the end of its section, as
    muted.   start, stop : samples in the recording.
    """

    channel: int
    number: int
    audio_sha256: bytes
    start: int
    stop: int


@dataclass(frozen=True)
class Piece:
    """A snippet before its disguise. opening_sha256 : of its channel's first section with speech. words : with places
    in the piece.
    """

    audio: Audio
    id: PieceId
    opening_sha256: bytes = b""
    turn: Turn | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()


class Draws:
    """Draws voices, noise, dither and names: from the operating system, or from the key where that was asked for."""

    def __init__(self, policy: Policy, key: Key | None, recording: Recording) -> None:
        if key is None and (policy.repeatable or policy.scope == "speaker"):
            raise SettingError(
                "a repeatable run and scope=speaker need a key: make one with `deident keygen`"
            )
        known = bool(recording.turns) and all(turn.speaker is not None for turn in recording.turns)
        if policy.scope == "speaker" and recording.speaker is None and not known:
            raise RecordingError(
                "scope=speaker needs the speaker of this recording: give it in a table's column speaker",
                "no-speaker",
            )
        self._policy = policy
        self._key = key.subkey("run", policy.fingerprint()) if key and policy.repeatable else None
        self._speakers = key if policy.scope == "speaker" else None
        self._speaker = recording.speaker
        self._held: dict[str | int, Any] = {}

    def voice(self, piece: Piece) -> Any:
        """Return the voice of a piece: its own, or that of its channel or speaker."""
        draw = self._policy.disguise.draw
        if self._policy.scope == "snippet":
            return draw(self.rng("voice", *piece.id))
        owner: str | int = piece.id.channel
        if self._speakers is not None:
            owner = (piece.turn and piece.turn.speaker) or self._speaker or ""
        if owner not in self._held:
            if self._speakers is not None:
                rng = self._speakers.subkey("speaker", owner).rng("voice")
            else:
                rng = self.rng("voice", piece.id.channel, piece.opening_sha256)
            self._held[owner] = draw(rng)
        return self._held[owner]

    def rng(self, purpose: str, *parts: int | bytes) -> np.random.Generator:
        """Make a generator for a purpose."""
        return self._key.rng(purpose, *parts) if self._key else fresh_rng()

    def name(self, piece: Piece) -> str:
        """Draw the name of a piece."""
        return self._key.pseudonym("name", *piece.id) if self._key else fresh_name()


def deidentify(
    recording: Source,
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    speaker: str | None = None,
    segments: Sequence[Segment] | None = None,
    turns: Sequence[Turn] = (),
    mute: Sequence[Segment] = (),
    follow_links: bool = False,
    tally: Tally | None = None,
    on_read: Callable[[float], object] | None = None,
) -> Iterator[Snippet]:
    """Yield the snippets of one recording one by one.

    Parameters
    ----------
    recording : path, binary file, Audio, or (samples, rate)
        Samples are (samples,) or (channels, samples), full scale ±1; rate in Hz.
    policy : Policy, optional
        By default the preset `review`.
    key : Key, optional
        Needed where the policy is repeatable or its scope is "speaker".
    speaker : str, optional
        Who speaks, where the scope is "speaker".
    segments : sequence of Segment, optional
        Segments with speech, in samples at 16 kHz; by default they are detected.
    turns : sequence of Turn, optional
        In place of segments, who says what and when: no snippet is of two turns.
    mute : sequence of Segment, optional
        Ranges to silence before anything else, in samples at 16 kHz; `policy.mute` says how. Words in them are
        left out.
    follow_links : bool, default False
        Read a path that is a symbolic link.
    tally : Tally, optional
        Filled with seconds and counts.
    on_read : callable, optional
        Called with the seconds of audio that were read since, about a minute at a time.

    Yields
    ------
    Snippet

    Raises
    ------
    RecordingError
        When the recording cannot be used, also at its end: when a range to mute lies past it, the snippets before
        must not be used either.
    SettingError, KeyMaterialError
        When key or speaker are missing, or an argument is of the wrong type.

    Examples
    --------
    >>> import deident
    >>> snippets = list(deident.deidentify("examples/recordings/call.wav"))
    >>> all(0.3 <= snippet.seconds < 10.0 for snippet in snippets)
    True
    """
    known = Recording(
        "",
        speaker,
        None if segments is None else tuple(segments),
        turns=tuple(turns),
        mute=tuple(mute),
        follow_links=follow_links,
    )
    observer = Observer(tally, on_read)
    policy = Policy.given(policy)
    try:
        yield from each_on_one_thread(snippets_of(recording, known, policy, key, observer))
    except CallbackError as error:
        raise error.cause from None


def snippets_of(
    source: Source, recording: Recording, policy: Policy, key: Key | None, observer: Observer
) -> Generator[Snippet]:
    """Yield the snippets of the audio in `source`, with the annotations of `recording`."""
    check_key(key)
    draws = Draws(policy, key, recording)
    with closing(_pieces_of(source, recording, policy, draws, observer)) as pieces:
        for group in _grouped(pieces):
            for piece, snippet in zip(group, _disguised(group, policy, draws), strict=True):
                if isinstance(snippet, str):
                    observer.tally.drop(snippet, piece.audio.seconds)
                else:
                    observer.tally.release(snippet.seconds)
                    observer.tally.shortened_seconds += piece.audio.seconds - snippet.seconds
                    yield snippet


def plan(source: Source, recording: Recording, policy: Policy, key: Key | None, observer: Observer) -> Tally:
    """Tally what `snippets_of` would release, without disguising anything: seconds are those before it."""
    draws = Draws(policy, key or Key.fresh(), recording)  # no name is kept, so any key will do
    for piece in each_on_one_thread(_pieces_of(source, recording, policy, draws, observer)):
        observer.tally.release(piece.audio.seconds)
    return observer.tally


def _pieces_of(
    source: Source, recording: Recording, policy: Policy, draws: Draws, observer: Observer
) -> Generator[Piece]:
    """Yield the pieces of a recording that are to be disguised."""
    tally, most = observer.tally, policy.max_per_recording
    with codec.decode(
        source,
        channels=policy.channels,
        nonfinite=policy.nonfinite,
        strict=policy.strict,
        follow_links=recording.follow_links,
        timed=recording.is_timed,
    ) as decoding:
        segmenters = segmenters_for(decoding, recording, policy)
        pieces = _cut(decoding, segmenters, policy, observer)
        yield from pieces if most is None else _sample(pieces, most, draws, tally)
        tally.read_seconds = decoding.source_seconds
        tally.partial, tally.cancelled_seconds = decoding.partial, decoding.cancelled_seconds
        tally.separate_channels = int(decoding.separate)
        tally.head_sha256, tally.file_sha256 = decoding.head_sha256, decoding.file_sha256
        digests = b"".join(segmenter.digest() for segmenter in segmenters)
        tally.content_sha256 = hashlib.sha256(digests).hexdigest()


def segmenters_for(decoding: codec.Decoding, recording: Recording, policy: Policy) -> list[StreamSegmenter]:
    """Make a segmenter for each channel, with the turns of that channel."""
    turns, mute = recording.turns, Mute(recording.mute, policy.mute)
    if decoding.channels > 1 and any(turn.channel is None for turn in turns):
        raise RecordingError(
            "the channels are split, and a turn has no channel: give each one, or mix the channels",
            "no-channel",
        )
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
                length=section_length(decoding.channels),
            )
        )
    return segmenters


def _cut(
    decoding: codec.Decoding, segmenters: list[StreamSegmenter], policy: Policy, observer: Observer
) -> Iterator[Piece]:
    for segmenter, section in segment_stream(decoding, segmenters):
        if segmenter.channel == 0:
            observer.read(section.audio.seconds)
        end = segmenter.end if section.last and not decoding.partial else None
        yield from _pieces_in(segmenter, section, policy, observer.tally, end)
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
        own = tuple(word.within(where) for word in words)
        yield Piece(audio, id, segmenter.opening_sha256, turn, text, own)


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
        where = found.segment.shift(section.offset)
        audio = section.audio[found.segment]
        heard = len(where) - sum(map(len, segmenter.mute.within(where)))
        if not found.dropped and heard < policy.cutting.min_samples:
            yield where, audio, "muted"
            continue
        if policy.mute.fill == "tone":
            audio = Audio(segmenter.mute.fill_with_tone(audio.mono, where.start), RATE)
        yield where, audio, found.dropped


def _sample(pieces: Iterator[Piece], most: int, draws: Draws, tally: Tally) -> Iterator[Piece]:
    """Draw `most` of the pieces, each as likely as any other (reservoir sampling; Vitter, 1985)."""
    kept: list[Piece] = []
    for count, piece in enumerate(pieces):
        if count < most:
            kept.append(piece)
            continue
        at = int(draws.rng("sample", *piece.id).integers(count + 1))
        loser = piece
        if at < most:
            loser, kept[at] = kept[at], piece
        tally.drop("max_per_recording", loser.audio.seconds)
    yield from kept


def _grouped(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Group successive pieces of `TOGETHER` samples in all, because a disguise costs less for several at once.

    Pieces before an error are passed on before it.
    """
    group: list[Piece] = []
    samples = 0
    try:
        for piece in pieces:
            if group and samples + len(piece.audio) > TOGETHER:
                yield group
                group, samples = [], 0
            group.append(piece)
            samples += len(piece.audio)
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group


def _disguised(pieces: list[Piece], policy: Policy, draws: Draws) -> Iterator[Snippet | Reason]:
    """Yield each piece in a drawn voice, finished, or the reason why it is dropped."""
    audios = [_faded(piece.audio) for piece in pieces]
    with _blamed_on_disguise():
        voices = [draws.voice(piece) for piece in pieces]
    method = policy.disguise

    def noise() -> list[np.random.Generator]:
        return [draws.rng("noise", *piece.id) for piece in pieces]

    try:
        changed: Iterable[Audio] = apply_all(method, audios, voices, noise())
    except Exception:  # one by one, so that it takes none of those before it along
        debug_traceback()
        changed = map(method.apply, audios, voices, noise())
    answers = iter(changed)
    for piece in pieces:
        with _blamed_on_disguise():
            samples = at_work_rate(next(answers, None))
            if not samples.size:
                raise SettingError("it left no sample of a snippet")
        yield _finished(piece, samples, policy, draws)


@contextmanager
def _blamed_on_disguise() -> Iterator[None]:
    """Turn an error of the caller's own disguise into one that refuses the recording, and ends no run."""
    try:
        yield
    except (SettingError, RecordingError) as error:
        debug_traceback()
        raise RecordingError(f"the disguise cannot be used: {error}", "disguise") from None


def _faded(audio: Audio) -> Audio:
    """Fade both ends of a piece.

    The steps of its cuts have energy in bands where the recording may have none, and a vocoder would make that as loud
    as speech.
    """
    return Audio.trusted(fade(audio.mono, EDGE)[np.newaxis], RATE)


def _finished(piece: Piece, changed: Samples, policy: Policy, draws: Draws) -> Snippet | Reason:
    if changed.size > policy.cutting.max_samples:
        return "over_limit"
    if changed.size < policy.cutting.min_samples:
        return "shortened"
    level = set_level(changed)
    if not policy.disguise.replaces_quiet:
        level = replace_quiet(level, draws.rng("comfort", *piece.id))
    level = fade(level, round(policy.cutting.fade_seconds * RATE))
    return Snippet(
        draws.name(piece),
        round_to_pcm(level, draws.rng("dither", *piece.id)),
        piece.text,
        piece.words if policy.disguise.keeps_time else (),
        piece.turn,
    )


def disguiser(policy: Policy) -> Callable[[Audio, int], Snippet | Reason]:
    """Make a function that disguises a piece of a channel as `deidentify` does, under voices of its own."""
    draws = Draws(policy, None, Recording(""))

    def disguise(audio: Audio, channel: int) -> Snippet | Reason:
        return next(_disguised([Piece(audio, PieceId(channel, 0, b"", 0, 0))], policy, draws))

    return disguise
