"""One recording's whole journey: decode, find speech, cut, disguise, finish."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deident import codec
from deident.audio import RATE, Audio, Samples, Segment, at_work_rate
from deident.codec.decoding import Source
from deident.disguise.base import apply_all, renewed
from deident.dsp.level import Pcm, fade, replace_quiet, round_to_pcm, set_level
from deident.errors import RecordingError, SettingError
from deident.keys import Key, check_key, fresh_name, fresh_rng
from deident.policy import Policy
from deident.process import each_on_one_thread
from deident.segmentation.cutting import Reason, cut
from deident.segmentation.mute import Mute
from deident.segmentation.streaming import Chapter, Chapters, chapters_of, finding, hold_of
from deident.segmentation.turns import Guide, Turn, Word, check_places, mixed, said

EDGE = RATE // 100  # samples over which a piece begins and ends before its disguise
TOGETHER = 60 * RATE  # samples that are disguised in one go: about as many as a chapter has
LENGTH_STEP = 0.5  # seconds

Reading = Callable[[float], object]


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
    """What became of a recording, in seconds and counts. Sums add up: `total.add(tally)`.

    lengths : released snippets by length, in steps of half a second, under where each step starts."""

    read_seconds: float = 0.0
    speech_seconds: float = 0.0
    released_seconds: float = 0.0
    snippets: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    dropped_seconds: dict[str, float] = field(default_factory=dict)
    partial: str | None = None
    digest: str = ""
    head: str = ""
    file: str = ""

    def release(self, seconds: float) -> None:
        """Count a snippet."""
        self._count(seconds, 1)

    def withdraw(self, reason: str, seconds: float) -> None:
        """Count a snippet no more, for it is dropped after all."""
        self._count(seconds, -1)
        self.drop(reason, seconds)

    def _count(self, seconds: float, by: int) -> None:
        step = f"{seconds // LENGTH_STEP * LENGTH_STEP:g}"
        self.snippets += by
        self.released_seconds += by * seconds
        self.lengths[step] = self.lengths.get(step, 0) + by
        if not self.lengths[step]:
            del self.lengths[step]

    def drop(self, reason: str, seconds: float) -> None:
        self.dropped_seconds[reason] = self.dropped_seconds.get(reason, 0.0) + seconds

    def add(self, other: Tally) -> None:
        self.read_seconds += other.read_seconds
        self.speech_seconds += other.speech_seconds
        self.released_seconds += other.released_seconds
        self.snippets += other.snippets
        for step, count in other.lengths.items():
            self.lengths[step] = self.lengths.get(step, 0) + count
        for reason, seconds in other.dropped_seconds.items():
            self.drop(reason, seconds)


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


class Draws:
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
    reading: Reading | None = None,
) -> Iterator[Snippet]:
    """The snippets of one recording, as they come.

    recording : a path, an open binary file, `Audio`, or (samples, rate).
    key : needed where the policy is repeatable or its scope is "speaker".   speaker : who speaks, where
    the scope is "speaker".   segments : where speech is, in samples at 16 kHz, if that is known.
    turns : the same with what is said, and by whom: no snippet is of two turns.   mute : what nobody may
    hear or read, in samples at 16 kHz; silenced before anything else, as `policy.mute` says.
    tally : is filled with what was found, released and dropped.   reading : called with the seconds of each
    stretch that was read, about a minute.
    Raises `RecordingError` when the recording cannot be used, also at its end: when a range to mute lies past
    it, the snippets before must not be used either. Raises `SettingError` when key or speaker lack."""
    yield from each_on_one_thread(
        _snippets(
            recording, Policy.given(policy), key, speaker, segments, turns, mute, tally or Tally(), reading
        )
    )


def _snippets(
    recording: Source,
    policy: Policy,
    key: Key | None,
    speaker: str | None,
    segments: Sequence[Segment] | None,
    turns: Sequence[Turn],
    mute: Sequence[Segment],
    tally: Tally,
    reading: Reading | None,
) -> Generator[Snippet]:
    check_key(key)
    check_places(segments or (), turns, mute)
    draws = Draws(policy, key, speaker, turns)
    with closing(_heard(recording, policy, draws, segments, turns, mute, tally, reading)) as heard:
        for pieces in _grouped(heard):
            for piece, snippet in zip(pieces, _revoiced(pieces, policy, draws), strict=True):
                if isinstance(snippet, str):
                    tally.drop(snippet, piece.audio.seconds)
                else:
                    tally.release(snippet.seconds)
                    yield snippet


def _heard(
    recording: Source,
    policy: Policy,
    draws: Draws,
    segments: Sequence[Segment] | None,
    turns: Sequence[Turn],
    mute: Sequence[Segment],
    tally: Tally,
    reading: Reading | None = None,
) -> Generator[Piece]:
    """The pieces of a recording that are to be disguised."""
    with codec.decode(
        recording, channels=policy.channels, nonfinite=policy.nonfinite, strict=policy.strict
    ) as decoding:
        talkers = talkers_of(decoding, policy, segments, turns, Mute(mute, policy.mute))
        pieces = _pieces(decoding, talkers, policy, tally, reading)
        most = policy.max_per_recording
        yield from pieces if most is None else _sample(pieces, most, draws, tally)
        tally.read_seconds = decoding.source_seconds
        tally.partial = decoding.partial
        tally.head, tally.file = decoding.head, decoding.file
        tally.digest = hashlib.sha256(b"".join(chapters.digest() for chapters in talkers)).hexdigest()


def _pieces(
    decoding: codec.Decoding,
    talkers: list[Chapters],
    policy: Policy,
    tally: Tally,
    reading: Reading | None,
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
        if reading is not None and chapters.talker == 0:
            reading(chapter.audio.seconds)
        yield from pieces(chapters, chapter, chapters.end if chapter.last and not decoding.partial else None)
    if not decoding.partial:
        for chapters in talkers:
            chapters.check()


def talkers_of(
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
        bounds = guide.bounds if own else [] if turns else segments
        chapters = Chapters(
            finding(policy.speech, policy.finder, bounds, mute), talker, hold_of(policy.speech), mute, guide
        )
        chapters.told = max((segment.start for segment in bounds or ()), default=0)
        talkers.append(chapters)
    return talkers


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


def _sample(pieces: Iterator[Piece], most: int, draws: Draws, tally: Tally) -> Iterator[Piece]:
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


def _revoiced(pieces: list[Piece], policy: Policy, draws: Draws) -> Iterator[Snippet | Reason]:
    """Each piece in a drawn voice, finished, or why it is not to leave."""
    audios = [_soft(piece.audio) for piece in pieces]
    with _answering():
        voices = [draws.voice(piece) for piece in pieces]
    try:
        changed: Iterable[Audio] = apply_all(policy.disguise, audios, voices)
    except Exception:  # one by one, so that it takes none of those before it along
        changed = map(policy.disguise.apply, audios, voices)
    answers = iter(changed)
    for piece in pieces:
        with _answering():
            samples = at_work_rate(next(answers, None))
            if not samples.size:
                raise SettingError("it left no sample of a snippet")
        yield _finished(piece, samples, policy, draws)


@contextmanager
def _answering() -> Iterator[None]:
    """What a disguise of the caller's own gets wrong is told of the recording, and ends no run."""
    try:
        yield
    except (SettingError, RecordingError) as error:
        raise RecordingError(f"the disguise cannot be used: {error}", "disguise") from None


def _soft(audio: Audio) -> Audio:
    """Without the steps of its cuts: a method would hear sound in them, in bands where the recording has none, and
    a vocoder would make it as loud as speech."""
    return Audio.trusted(fade(audio.mono, EDGE)[np.newaxis], RATE)


def _finished(piece: Piece, changed: Samples, policy: Policy, draws: Draws) -> Snippet | Reason:
    if changed.size > policy.cutting.max_samples:
        return "over_limit"
    if changed.size < policy.cutting.min_samples:
        return "shortened"
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
    *,
    key: Key | None = None,
    speaker: str | None = None,
    segments: Sequence[Segment] | None = None,
    turns: Sequence[Turn] = (),
    mute: Sequence[Segment] = (),
    reading: Reading | None = None,
) -> Tally:
    """What `deidentify` would release of a recording, without disguising anything: seconds are those before it."""
    tally = Tally()
    draws = Draws(policy, key or Key.fresh(), speaker, turns)  # nothing is kept that must be found again
    heard = _heard(recording, policy, draws, segments, turns, mute, tally, reading)
    for piece in each_on_one_thread(heard):
        tally.release(piece.audio.seconds)
    return tally


def revoicer(policy: Policy) -> Callable[[Audio, int], Snippet | Reason]:
    """Disguises (a piece, of this talker) of one recording as `deidentify` does, under voices of its own."""
    draws = Draws(policy, None, None)
    return lambda audio, talker: next(_revoiced([Piece(audio, talker, (), b"")], policy, draws))
