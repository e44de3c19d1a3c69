"""One recording's whole journey: decode, find speech, cut, disguise, finish."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from deident import codec
from deident.audio import RATE, Audio, Samples, Segment
from deident.codec.decoding import Source
from deident.dsp.level import Pcm, fade, round_to_pcm, set_level
from deident.errors import RecordingError, SettingError
from deident.policy import Policy
from deident.secret import Key, fresh_name, fresh_rng
from deident.snippets import cut
from deident.vad import ask, check_segments, find_speech, frame_energy_db

CHAPTER = 60 * RATE  # samples; speech is found and cut in stretches of about a minute, whatever the length
CONTEXT = RATE // 2  # samples of lead-in that the next stretch hears again
DIGEST_STEP = 8  # every eighth sample tells two recordings apart as surely as all of them

Find = Callable[[Audio, int], list[Segment]]


@dataclass(frozen=True, eq=False, repr=False)
class Snippet:
    """What may leave: a short piece of sound in another voice.

    name : 32 hexadecimal digits that tell nothing.   pcm : (samples,) int16, mono at 16 kHz."""

    name: str
    pcm: Pcm

    @property
    def samples(self) -> Samples:
        """(samples,) float32, full scale ±1."""
        return self.pcm.astype(np.float32) / np.float32(32_768.0)

    @property
    def rate(self) -> int:
        return RATE

    @property
    def seconds(self) -> float:
        return self.pcm.size / RATE

    def encode(self, container: str = "wav") -> bytes:
        """The bytes of a canonical file, "wav" or "flac"."""
        return codec.ENCODERS[container](self.pcm)

    def __repr__(self) -> str:
        return f"Snippet({self.seconds:.2f} s)"


@dataclass
class Tally:
    """What became of a recording, in seconds and counts. Sums add up: `total.add(tally)`."""

    read_seconds: float = 0.0
    speech_seconds: float = 0.0
    released_seconds: float = 0.0
    snippets: int = 0
    dropped_seconds: dict[str, float] = field(default_factory=dict)
    partial: str | None = None
    digest: str = ""

    def drop(self, reason: str, seconds: float) -> None:
        self.dropped_seconds[reason] = self.dropped_seconds.get(reason, 0.0) + seconds

    def add(self, other: Tally) -> None:
        self.read_seconds += other.read_seconds
        self.speech_seconds += other.speech_seconds
        self.released_seconds += other.released_seconds
        self.snippets += other.snippets
        for reason, seconds in other.dropped_seconds.items():
            self.drop(reason, seconds)


def deidentify(
    recording: Source,
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    speaker: str | None = None,
    segments: Sequence[Segment] | None = None,
    tally: Tally | None = None,
) -> Iterator[Snippet]:
    """The snippets of one recording, as they come.

    recording : a path, an open binary file, `Audio`, or (samples, rate).
    key : needed where the policy is repeatable or its scope is "speaker".   speaker : who speaks, where
    the scope is "speaker".   segments : where speech is, in samples at 16 kHz, if that is known.
    tally : is filled with what was found, released and dropped.
    Raises `RecordingError` when the recording cannot be used, `SettingError` when key or speaker lack."""
    policy = policy or Policy()
    tally = tally if tally is not None else Tally()
    draws = _Draws(policy, key, speaker)
    find = _finder(policy, segments)
    with codec.decode(
        recording, channels=policy.channels, nonfinite=policy.nonfinite, strict=policy.strict
    ) as decoding:
        talkers = [Chapters(find, talker, _hold(policy)) for talker in range(decoding.talkers)]
        kept = _pieces(decoding, talkers, policy, tally)
        if policy.max_per_recording is not None:
            kept = _sample(kept, policy.max_per_recording, draws, tally)
        for piece in kept:
            snippet = _revoice(piece, policy, draws)
            if snippet is None:
                tally.drop("over_limit", piece.audio.seconds)
                continue
            tally.snippets += 1
            tally.released_seconds += snippet.seconds
            yield snippet
        tally.read_seconds = decoding.source_seconds
        tally.partial = decoding.partial
        tally.digest = hashlib.sha256(b"".join(chapters.digest() for chapters in talkers)).hexdigest()


@dataclass(frozen=True)
class Piece:
    """A snippet before its disguise. `mark` is what its randomness follows from in a repeatable run."""

    audio: Audio
    mark: tuple[int, int, bytes]
    opening: bytes


@dataclass(frozen=True)
class Chapter:
    """A stretch of a recording that ends in silence, and the speech in it."""

    audio: Audio
    segments: list[Segment]
    digest: bytes


class Chapters:
    """Cuts one talker's sound, as it comes, into chapters; memory stays the same however long it gets.

    Where chapters end depends on the sound alone, not on the sizes in which it arrives."""

    def __init__(self, find: Find, talker: int, hold: int) -> None:
        self.talker = talker
        self.count = 0  # pieces so far
        self.opening = b""  # digest of the first chapter
        self._find = find
        self._hold = hold
        self._waiting: list[Samples] = []
        self._size = 0
        self._offset = 0
        self._need = CHAPTER
        self._hash = hashlib.sha256()

    def push(self, samples: Samples) -> Iterator[Chapter]:
        self._waiting.append(samples)
        self._size += samples.size
        while self._size >= self._need:
            joined = np.concatenate(self._waiting)
            yield self._close(joined, self._need)

    def finish(self) -> Iterator[Chapter]:
        if self._size:
            yield self._close(np.concatenate(self._waiting), None)

    def digest(self) -> bytes:
        return self._hash.digest()

    def _close(self, joined: Samples, need: int | None) -> Chapter:
        audio = Audio(joined[:need], RATE)
        segments = self._find(audio, self._offset)
        stop = len(audio)
        if need is not None:
            stop, segments = self._boundary(audio, segments)
            audio = audio[Segment(0, stop)]
        self._hash.update(audio.mono[-self._offset % DIGEST_STEP :: DIGEST_STEP].tobytes())
        self._offset += stop
        self._waiting = [joined[stop:]]
        self._size = joined.size - stop
        self._need = (need or 0) - stop + CHAPTER
        self.opening = self.opening or self.digest()
        return Chapter(audio, segments, self.digest())

    def _boundary(self, audio: Audio, segments: list[Segment]) -> tuple[int, list[Segment]]:
        """Where the chapter ends, and the segments before that; a segment under way is left for the next."""
        quiet = len(audio) - self._hold
        if not segments or segments[-1].stop <= quiet:
            return max(quiet, segments[-1].stop if segments else 0), segments
        *done, last = segments
        before = done[-1].stop if done else 0
        start = max(before, last.start - CONTEXT)
        if start > 0:
            return start, done
        # Speech without a pause all through: the quietest place of the last third is the best there is.
        energy = frame_energy_db(audio.mono)
        first = 2 * energy.size // 3
        cut_at = (first + int(np.argmin(energy[first:]))) * (RATE // 100)
        return cut_at, [Segment(last.start, cut_at)]


class _Draws:
    """Voices, dither and names: from the operating system, or from the key where that was asked for."""

    def __init__(self, policy: Policy, key: Key | None, speaker: str | None) -> None:
        if key is None and (policy.repeatable or policy.scope == "speaker"):
            raise SettingError(
                "a repeatable run and scope=speaker need a key: make one with `deident keygen`"
            )
        if policy.scope == "speaker" and speaker is None:
            raise RecordingError("scope=speaker needs to know who speaks in this recording", "no-speaker")
        self._policy = policy
        self._key = key.subkey("run", policy.fingerprint()) if key and policy.repeatable else None
        self._speaker = (
            key.subkey("speaker", speaker) if key and policy.scope == "speaker" and speaker else None
        )
        self._held: dict[int, Any] = {}

    def voice(self, piece: Piece) -> Any:
        disguise = self._policy.disguise
        if self._policy.scope == "snippet":
            return disguise.draw(self.rng("voice", *piece.mark))
        talker = 0 if self._speaker else piece.mark[0]
        if talker not in self._held:
            rng = self._speaker.rng("voice") if self._speaker else self.rng("voice", talker, piece.opening)
            self._held[talker] = disguise.draw(rng)
        return self._held[talker]

    def rng(self, purpose: str, *parts: int | bytes) -> np.random.Generator:
        return self._key.rng(purpose, *parts) if self._key else fresh_rng()

    def name(self, piece: Piece) -> str:
        return self._key.pseudonym("name", *piece.mark) if self._key else fresh_name()


def _pieces(
    decoding: codec.Decoding, talkers: list[Chapters], policy: Policy, tally: Tally
) -> Iterator[Piece]:
    def pieces(chapters: Chapters, chapter: Chapter) -> Iterator[Piece]:
        tally.speech_seconds += sum(len(s) for s in chapter.segments) / RATE
        for found in cut(
            chapter.audio,
            chapter.segments,
            policy.cutting,
            speech=policy.speech,
            stretch=getattr(policy.disguise, "stretch", 1.0),
        ):
            if found.dropped:
                tally.drop(found.dropped, found.segment.seconds())
                continue
            mark = (chapters.talker, chapters.count, chapter.digest)
            chapters.count += 1
            yield Piece(chapter.audio[found.segment], mark, chapters.opening)

    for block in decoding:
        for chapters, samples in zip(talkers, block, strict=True):
            for chapter in chapters.push(samples):
                yield from pieces(chapters, chapter)
    for chapters in talkers:
        for chapter in chapters.finish():
            yield from pieces(chapters, chapter)


def _sample(pieces: Iterator[Piece], most: int, draws: _Draws, tally: Tally) -> Iterator[Piece]:
    """`most` of the pieces, each as likely as any other (reservoir sampling; Vitter, 1985)."""
    kept: list[Piece] = []
    for count, piece in enumerate(pieces):
        if count < most:
            kept.append(piece)
            continue
        at = int(draws.rng("sample", *piece.mark).integers(count + 1))
        loser = piece
        if at < most:
            loser, kept[at] = kept[at], piece
        tally.drop("max_per_recording", loser.audio.seconds)
    yield from kept


def _revoice(piece: Piece, policy: Policy, draws: _Draws) -> Snippet | None:
    """The piece in a drawn voice, finished; None when the disguise made it too long to leave."""
    changed = policy.disguise.apply(piece.audio, draws.voice(piece)).mono
    if changed.size > policy.cutting.max_samples:
        return None
    level = fade(set_level(changed), round(policy.cutting.fade_seconds * RATE))
    return Snippet(draws.name(piece), round_to_pcm(level, draws.rng("dither", *piece.mark)))


def _finder(policy: Policy, segments: Sequence[Segment] | None) -> Find:
    if segments is not None:
        return partial(_given, sorted(segments))
    if policy.finder is not None:
        return lambda audio, _offset, finder=policy.finder: ask(finder, audio)  # type: ignore[misc]
    return lambda audio, _offset: find_speech(audio, policy.speech)


def _given(segments: list[Segment], audio: Audio, offset: int) -> list[Segment]:
    here = [
        Segment(max(0, s.start - offset), s.stop - offset)
        for s in segments
        if s.stop > offset and s.start < offset + len(audio)
    ]
    return check_segments(here, len(audio))


def _hold(policy: Policy) -> int:
    """Samples of silence that end a segment for certain."""
    pause = policy.speech.min_silence_seconds + 2 * policy.speech.padding_seconds
    return max(RATE, round(pause * RATE) + RATE // 10)


def plan(recording: Source, policy: Policy, segments: Sequence[Segment] | None = None) -> Tally:
    """What `deidentify` would release of a recording, without disguising or writing anything."""
    tally = Tally()
    find = _finder(policy, segments)
    with codec.decode(
        recording, channels=policy.channels, nonfinite=policy.nonfinite, strict=policy.strict
    ) as decoding:
        talkers = [Chapters(find, talker, _hold(policy)) for talker in range(decoding.talkers)]
        for piece in _pieces(decoding, talkers, policy, tally):
            tally.snippets += 1
            tally.released_seconds += piece.audio.seconds
        tally.read_seconds = decoding.source_seconds
        tally.partial = decoding.partial
    return tally


def chapters_of(
    decoding: codec.Decoding, policy: Policy, segments: Sequence[Segment] | None = None
) -> Iterator[tuple[int, Chapter]]:
    """(talker, chapter) of a recording, as `deidentify` hears it: to look at before a run."""
    find = _finder(policy, segments)
    talkers = [Chapters(find, talker, _hold(policy)) for talker in range(decoding.talkers)]
    for block in decoding:
        for chapters, samples in zip(talkers, block, strict=True):
            yield from ((chapters.talker, chapter) for chapter in chapters.push(samples))
    for chapters in talkers:
        yield from ((chapters.talker, chapter) for chapter in chapters.finish())


def revoicer(policy: Policy) -> Callable[[Audio, int], Snippet | None]:
    """Disguises (a piece, of this talker) of one recording as `deidentify` does, under voices of its own."""
    draws = _Draws(policy, None, None)
    return lambda audio, talker: _revoice(Piece(audio, (talker, 0, b""), b""), policy, draws)
