"""One recording's whole journey: decode, find speech, cut, disguise, finish."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deident import codec
from deident.audio import RATE, Audio, Samples, Segment, at_work_rate
from deident.chapters import Chapter, Chapters, chapters_of, talkers_of
from deident.codec.decoding import Source
from deident.disguise.base import apply_all, renewed
from deident.dsp.level import Pcm, fade, replace_quiet, round_to_pcm, set_level
from deident.errors import RecordingError, SettingError
from deident.mute import Mute
from deident.policy import Policy
from deident.secret import Key, check_key, fresh_name, fresh_rng
from deident.snippets import cut
from deident.turns import Turn, Word, check_places, said

EDGE = RATE // 100  # samples over which a piece begins and ends before its disguise
TOGETHER = 60 * RATE  # samples that are disguised in one go: about as many as a chapter has


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
        """The bytes of a canonical file, "wav" or "flac". Raises `SettingError` for another."""
        if container not in codec.ENCODERS:
            raise SettingError(f"expected a container of {', '.join(codec.ENCODERS)}")
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
    policy = Policy.given(policy)
    check_key(key)
    check_places(segments or (), turns, mute)
    tally = tally if tally is not None else Tally()
    draws = _Draws(policy, key, speaker, turns)
    with codec.decode(
        recording, channels=policy.channels, nonfinite=policy.nonfinite, strict=policy.strict
    ) as decoding:
        talkers = talkers_of(decoding, policy, segments, turns, Mute(mute, policy.mute))
        for pieces in _grouped(_kept(decoding, talkers, policy, draws, tally)):
            for piece, snippet in zip(pieces, _revoiced(pieces, policy, draws), strict=True):
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
    """A snippet before its disguise. `mark` is what its randomness and its name follow from in a repeatable run: its
    talker, its number, all sound up to its chapter's end, and its place; words have places in the piece."""

    audio: Audio
    talker: int
    mark: tuple[int | bytes, ...]
    opening: bytes
    turn: Turn | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()


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
            raise RecordingError(
                "scope=speaker needs to know who speaks in this recording: say so in a table's column speaker",
                "no-speaker",
            )
        self._policy = policy
        self._key = key.subkey("run", policy.fingerprint()) if key and policy.repeatable else None
        self._speakers = key if policy.scope == "speaker" else None
        self._speaker = speaker
        self._held: dict[str | int, Any] = {}

    def voice(self, piece: Piece) -> Any:
        disguise = self._policy.disguise
        if self._policy.scope == "snippet":
            return disguise.draw(self.rng("voice", *piece.mark))
        talker: str | int = piece.talker
        if self._speakers is not None:
            talker = (piece.turn and piece.turn.speaker) or self._speaker or ""
        if talker not in self._held:
            if self._speakers is not None:
                rng = self._speakers.subkey("speaker", talker).rng("voice")
            else:
                rng = self.rng("voice", piece.talker, piece.opening)
            self._held[talker] = disguise.draw(rng)
        return renewed(disguise, self._held[talker], self.rng("noise", *piece.mark))

    def rng(self, purpose: str, *parts: int | bytes) -> np.random.Generator:
        return self._key.rng(purpose, *parts) if self._key else fresh_rng()

    def name(self, piece: Piece) -> str:
        return self._key.pseudonym("name", *piece.mark) if self._key else fresh_name()


def _kept(
    decoding: codec.Decoding, talkers: list[Chapters], policy: Policy, draws: _Draws, tally: Tally
) -> Iterator[Piece]:
    pieces = _pieces(decoding, talkers, policy, tally)
    if policy.max_per_recording is None:
        return pieces
    return _sample(pieces, policy.max_per_recording, draws, tally)


def _pieces(
    decoding: codec.Decoding, talkers: list[Chapters], policy: Policy, tally: Tally
) -> Iterator[Piece]:
    def pieces(chapters: Chapters, chapter: Chapter, end: int | None) -> Iterator[Piece]:
        tally.speech_seconds += sum(len(s) for s in chapter.segments) / RATE
        for where, audio, dropped in places_of(chapters, chapter, policy):
            if dropped:
                tally.drop(dropped, where.seconds())
                continue
            mark = (chapters.talker, chapters.count, chapter.digest, where.start, where.stop)
            chapters.count += 1
            turn = chapters.guide.turn(where)
            text, words = said(turn, where, end=end, muted=chapters.mute.within) if turn else (None, ())
            own = tuple(word.within(where) for word in words)
            yield Piece(audio, chapters.talker, mark, chapters.opening, turn, text, own)

    for chapters, chapter in chapters_of(decoding, talkers):
        yield from pieces(chapters, chapter, chapters.end if chapter.last and not decoding.partial else None)
    if not decoding.partial:
        for chapters in talkers:
            chapters.check()


def places_of(
    chapters: Chapters, chapter: Chapter, policy: Policy
) -> Iterator[tuple[Segment, Audio, str | None]]:
    """The pieces of a chapter: where in the recording, with what sound, and why dropped (None: it is kept)."""
    for found in cut(
        chapter.audio,
        chapter.segments,
        policy.cutting,
        speech=policy.speech,
        stretch=getattr(policy.disguise, "stretch", 1.0),
        muted=chapters.mute.of(chapter.audio, chapter.offset),
    ):
        where = found.segment.shift(chapter.offset)
        audio = chapter.audio[found.segment]
        heard = len(where) - sum(map(len, chapters.mute.within(where)))
        if not found.dropped and heard < policy.cutting.min_samples:
            yield where, audio, "muted"
            continue
        if policy.mute.fill == "tone":
            audio = Audio(chapters.mute.toned(audio.mono, where.start), RATE)
        yield where, audio, found.dropped


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


def _grouped(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Pieces that follow one another, as many as hold `TOGETHER` samples: in company they cost less.

    What came before an error is passed on before it."""
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


def _revoiced(pieces: list[Piece], policy: Policy, draws: _Draws) -> Iterator[Snippet | None]:
    """Each piece in a drawn voice, finished; None where the disguise made it too long to leave."""
    voices = [draws.voice(piece) for piece in pieces]
    audios = [_soft(piece.audio) for piece in pieces]
    try:
        changed: Iterable[Audio] = apply_all(policy.disguise, audios, voices)
    except Exception:  # one by one, so that it takes none of those before it along
        changed = map(policy.disguise.apply, audios, voices)
    for piece, audio in zip(pieces, changed, strict=True):
        yield _finished(piece, at_work_rate(audio), policy, draws)


def _soft(audio: Audio) -> Audio:
    """Without the steps of its cuts: a method would hear sound in them, in bands where the recording has none, and
    a vocoder would make it as loud as speech."""
    return Audio.trusted(fade(audio.mono, EDGE)[np.newaxis], RATE)


def _finished(piece: Piece, changed: Samples, policy: Policy, draws: _Draws) -> Snippet | None:
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


def plan(
    recording: Source,
    policy: Policy,
    segments: Sequence[Segment] | None = None,
    turns: Sequence[Turn] = (),
    mute: Sequence[Segment] = (),
    speaker: str | None = None,
) -> Tally:
    """What `deidentify` would release of a recording, without disguising or writing anything."""
    tally = Tally()
    draws = _Draws(policy, Key.fresh(), speaker, turns)  # nothing is kept, so nothing needs to be found again
    with codec.decode(
        recording, channels=policy.channels, nonfinite=policy.nonfinite, strict=policy.strict
    ) as decoding:
        talkers = talkers_of(decoding, policy, segments, turns, Mute(mute, policy.mute))
        for piece in _kept(decoding, talkers, policy, draws, tally):
            tally.snippets += 1
            tally.released_seconds += piece.audio.seconds
        tally.read_seconds = decoding.source_seconds
        tally.partial = decoding.partial
    return tally


def revoicer(policy: Policy) -> Callable[[Audio, int], Snippet | None]:
    """Disguises (a piece, of this talker) of one recording as `deidentify` does, under voices of its own."""
    draws = _Draws(policy, None, None)
    return lambda audio, talker: next(_revoiced([Piece(audio, talker, (), b"")], policy, draws))
