"""One recording's whole journey: decode, find speech, cut, disguise, finish."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from deident import codec
from deident.audio import RATE, Audio, Samples, Segment
from deident.codec.decoding import Source
from deident.dsp.hum import without_hum
from deident.dsp.level import Pcm, fade, replace_quiet, round_to_pcm, set_level
from deident.errors import RecordingError, SettingError
from deident.mute import NOTHING, Mute
from deident.policy import Policy
from deident.secret import Key, fresh_name, fresh_rng
from deident.snippets import cut
from deident.turns import Guide, Turn, Word, mixed, said
from deident.vad import ask, check_segments, find_speech, frame_energy_db

CHAPTER = 60 * RATE  # samples; speech is found and cut in stretches of about a minute, whatever the length
CONTEXT = RATE // 2  # samples of lead-in that the next stretch hears again
DIGEST_STEP = 8  # every eighth sample tells two recordings apart as surely as all of them

Find = Callable[[Audio, int], list[Segment]]


@dataclass(frozen=True, eq=False, repr=False)
class Snippet:
    """What may leave: a short piece of sound in another voice.

    name : 32 hexadecimal digits that tell nothing.   pcm : (samples,) int16, mono at 16 kHz.
    text : what is said in it, None when that is not known.   words : the same word by word, with places in
    this snippet; none where the disguise moves them.   turn : the one it was cut from, as it was given; it
    names its speaker, and is not for release."""

    name: str
    pcm: Pcm
    text: str | None = None
    words: tuple[Word, ...] = ()
    turn: Turn | None = None

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
    turns: Sequence[Turn] = (),
    mute: Sequence[Segment] = (),
    tally: Tally | None = None,
) -> Iterator[Snippet]:
    """The snippets of one recording, as they come.

    recording : a path, an open binary file, `Audio`, or (samples, rate).
    key : needed where the policy is repeatable or its scope is "speaker".   speaker : who speaks, where
    the scope is "speaker".   segments : where speech is, in samples at 16 kHz, if that is known.
    turns : the same with what is said, and by whom: no snippet is of two turns.   mute : what nobody may
    hear or read, in samples at 16 kHz; silenced before anything else, as `policy.mute` says.
    tally : is filled with what was found, released and dropped.
    Raises `RecordingError` when the recording cannot be used, also at its end: when a range to mute lies past
    it, the snippets before must not be used either. Raises `SettingError` when key or speaker lack."""
    policy = policy or Policy()
    tally = tally if tally is not None else Tally()
    draws = _Draws(policy, key, speaker, turns)
    with codec.decode(
        recording, channels=policy.channels, nonfinite=policy.nonfinite, strict=policy.strict
    ) as decoding:
        talkers = _talkers(decoding, policy, segments, turns, Mute(mute, policy.mute))
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
    """A snippet before its disguise. `mark` is what its randomness follows from in a repeatable run; words have
    places in the piece."""

    audio: Audio
    mark: tuple[int, int, bytes]
    opening: bytes
    turn: Turn | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """A stretch of a recording that ends in silence, and the speech in it. offset : where it starts."""

    audio: Audio
    segments: list[Segment]
    digest: bytes
    offset: int


class Chapters:
    """Cuts one talker's sound, as it comes, into chapters; memory stays the same however long it gets.

    Where chapters end depends on the sound alone, not on the sizes in which it arrives. What is muted is
    silent in them, and nothing of a chapter depends on it but `digest`, by which recordings are told apart."""

    def __init__(
        self, find: Find, talker: int, hold: int, mute: Mute | None = None, guide: Guide | None = None
    ) -> None:
        self.talker = talker
        self.mute = mute or NOTHING
        self.guide = guide or Guide(())
        self.count = 0  # pieces so far
        self.opening = b""  # digest of the first chapter
        self._find = find
        self._hold = hold
        self._waiting: list[Samples] = []
        self._size = 0
        self._offset = 0
        self._need = CHAPTER
        self._hash = hashlib.sha256()
        self._heard = hashlib.sha256()

    def push(self, samples: Samples) -> Iterator[Chapter]:
        self._waiting.append(samples)
        self._size += samples.size
        while self._size >= self._need:
            joined = np.concatenate(self._waiting)
            yield self._close(joined, self._need)

    def finish(self) -> Iterator[Chapter]:
        if self._size:
            yield self._close(np.concatenate(self._waiting), None)

    @property
    def end(self) -> int:
        """Samples closed so far."""
        return self._offset

    def digest(self) -> bytes:
        return self._hash.digest()

    def _close(self, joined: Samples, need: int | None) -> Chapter:
        heard = self.mute.silenced(joined[:need], self._offset)
        audio = Audio.trusted(heard[np.newaxis], RATE)
        segments = self._find(audio, self._offset)
        stop = len(audio)
        if need is not None:
            stop, segments = self._boundary(audio, segments)
            audio = Audio.trusted(heard[np.newaxis, :stop], RATE)
        steps = slice(-self._offset % DIGEST_STEP, stop, DIGEST_STEP)
        self._hash.update(joined[steps].tobytes())
        self._heard.update(heard[steps].tobytes())
        self._offset += stop
        self._waiting = [joined[stop:]]
        self._size = joined.size - stop
        self._need = (need or 0) - stop + CHAPTER
        mark = self._heard.digest()
        self.opening = self.opening or mark
        start = self._offset - stop
        clean = self.mute.silenced(without_hum(audio.mono), start)  # no hum's negative in what was muted
        return Chapter(Audio(clean, RATE), segments, mark, start)

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

    def __init__(
        self, policy: Policy, key: Key | None, speaker: str | None, turns: Sequence[Turn] = ()
    ) -> None:
        if key is None and (policy.repeatable or policy.scope == "speaker"):
            raise SettingError(
                "a repeatable run and scope=speaker need a key: make one with `deident keygen`"
            )
        known = bool(turns) and all(turn.speaker is not None for turn in turns)
        if policy.scope == "speaker" and speaker is None and not known:
            raise RecordingError("scope=speaker needs to know who speaks in this recording", "no-speaker")
        self._policy = policy
        self._key = key.subkey("run", policy.fingerprint()) if key and policy.repeatable else None
        self._speakers = key if policy.scope == "speaker" else None
        self._speaker = speaker
        self._held: dict[str | int, Any] = {}

    def voice(self, piece: Piece) -> Any:
        disguise = self._policy.disguise
        if self._policy.scope == "snippet":
            return disguise.draw(self.rng("voice", *piece.mark))
        talker: str | int = piece.mark[0]
        if self._speakers is not None:
            talker = (piece.turn and piece.turn.speaker) or self._speaker or ""
        if talker not in self._held:
            if self._speakers is not None:
                rng = self._speakers.subkey("speaker", talker).rng("voice")
            else:
                rng = self.rng("voice", piece.mark[0], piece.opening)
            self._held[talker] = disguise.draw(rng)
        return self._held[talker]

    def rng(self, purpose: str, *parts: int | bytes) -> np.random.Generator:
        return self._key.rng(purpose, *parts) if self._key else fresh_rng()

    def name(self, piece: Piece) -> str:
        return self._key.pseudonym("name", *piece.mark) if self._key else fresh_name()


def _talkers(
    decoding: codec.Decoding,
    policy: Policy,
    segments: Sequence[Segment] | None,
    turns: Sequence[Turn],
    mute: Mute,
) -> list[Chapters]:
    """A row of chapters for each talker, with the turns of its channel."""
    if turns and segments is not None:
        raise SettingError("expected segments or turns, which are segments too; got both")
    if decoding.talkers > 1 and any(turn.channel is None for turn in turns):
        raise RecordingError(
            "the channels are split, and a turn has no channel: give each one, or mix the channels",
            "no-channel",
        )
    talkers = []
    for talker in range(decoding.talkers):
        channel = talker if policy.channels == "split" else policy.channels
        own: Sequence[Turn] = [
            turn if "text" in policy.carry else replace(turn, text=None)
            for turn in turns
            if channel == "mix" or turn.channel in (None, channel)
        ]
        if channel == "mix":
            own = mixed(own)
        guide = Guide(own, drop=policy.cutting.overlap == "drop", whole=policy.cutting.whole_turns)
        find = _finder(policy, guide.bounds if own else [] if turns else segments, mute)
        talkers.append(Chapters(find, talker, _hold(policy), mute, guide))
    return talkers


def _pieces(
    decoding: codec.Decoding, talkers: list[Chapters], policy: Policy, tally: Tally
) -> Iterator[Piece]:
    def pieces(chapters: Chapters, chapter: Chapter, end: int | None) -> Iterator[Piece]:
        tally.speech_seconds += sum(len(s) for s in chapter.segments) / RATE
        for found in cut(
            chapter.audio,
            chapter.segments,
            policy.cutting,
            speech=policy.speech,
            stretch=getattr(policy.disguise, "stretch", 1.0),
            muted=chapters.mute.of(chapter.audio, chapter.offset),
        ):
            if found.dropped:
                tally.drop(found.dropped, found.segment.seconds())
                continue
            where = found.segment.shift(chapter.offset)
            heard = len(where) - sum(map(len, chapters.mute.within(where)))
            if heard < policy.cutting.min_samples:
                tally.drop("muted", found.segment.seconds())
                continue
            mark = (chapters.talker, chapters.count, chapter.digest)
            chapters.count += 1
            audio = chapter.audio[found.segment]
            if policy.mute.fill == "tone":
                audio = Audio(chapters.mute.toned(audio.mono, where.start), RATE)
            turn = chapters.guide.turn(where)
            text, words = said(turn, where, end=end, muted=chapters.mute.within) if turn else (None, ())
            yield Piece(audio, mark, chapters.opening, turn, text, tuple(w.within(where) for w in words))

    for block in decoding:
        for chapters, samples in zip(talkers, block, strict=True):
            for chapter in chapters.push(samples):
                yield from pieces(chapters, chapter, None)
    for chapters in talkers:
        for chapter in chapters.finish():
            yield from pieces(chapters, chapter, None if decoding.partial else chapters.end)
        if not decoding.partial:
            chapters.mute.check(chapters.end)


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
    level = set_level(changed)
    if not getattr(policy.disguise, "replaces_quiet", False):
        level = replace_quiet(level, draws.rng("comfort", *piece.mark))
    level = fade(level, round(policy.cutting.fade_seconds * RATE))
    keeps_time = getattr(policy.disguise, "keeps_time", False)
    return Snippet(
        draws.name(piece),
        round_to_pcm(level, draws.rng("dither", *piece.mark)),
        piece.text,
        piece.words if keeps_time else (),
        piece.turn,
    )


def _finder(policy: Policy, segments: Sequence[Segment] | None, mute: Mute = NOTHING) -> Find:
    if segments is not None:
        return partial(_given, sorted(segments))
    if policy.finder is not None:
        return lambda audio, _offset, finder=policy.finder: ask(finder, audio)  # type: ignore[misc]
    return lambda audio, offset: find_speech(audio, policy.speech, muted=mute.of(audio, offset))


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


def plan(
    recording: Source,
    policy: Policy,
    segments: Sequence[Segment] | None = None,
    turns: Sequence[Turn] = (),
    mute: Sequence[Segment] = (),
) -> Tally:
    """What `deidentify` would release of a recording, without disguising or writing anything."""
    tally = Tally()
    with codec.decode(
        recording, channels=policy.channels, nonfinite=policy.nonfinite, strict=policy.strict
    ) as decoding:
        talkers = _talkers(decoding, policy, segments, turns, Mute(mute, policy.mute))
        for piece in _pieces(decoding, talkers, policy, tally):
            tally.snippets += 1
            tally.released_seconds += piece.audio.seconds
        tally.read_seconds = decoding.source_seconds
        tally.partial = decoding.partial
    return tally
