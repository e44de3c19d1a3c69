"""Who says what where in a recording, and how much of it is said in a piece of that."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from deident.errors import RecordingError, all_of
from deident.segment import RATE, Segment

CARRIED = ("text", "words", "speaker")  # what a snippet can take along besides labels
OPEN = 1 << 62  # the stop of a turn that lasts as long as its recording does
WHOLE = Segment(0, OPEN)
SLACK = RATE // 4  # samples; people pad and round the times of a turn by as much
WORD_SLACK = RATE // 20  # recognisers place the edges of a word no better


@dataclass(frozen=True, repr=False)
class Word:
    """A word, and where it is said. segment : samples at 16 kHz."""

    segment: Segment
    text: str

    def within(self, piece: Segment) -> Word:
        """The same with its place in the piece, cut off at the piece's ends."""
        return Word(self.segment.within(piece).shift(-piece.start), self.text)

    def __repr__(self) -> str:
        return "Word(hidden)"


@dataclass(frozen=True, repr=False)
class Turn:
    """What one person says without a break: an utterance, a supervision, a line of a transcript.

    segment : in samples at 16 kHz; the whole recording where that is not given.   speaker : who, as the
    source calls them.   text : all that is said in it, None when that is not known.   words : the same word
    by word.   channel : from 0, None when that is not known.   labels : carried to the manifest.
    id : what the source calls it. Speaker and id never leave as they are."""

    segment: Segment = WHOLE
    speaker: str | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    channel: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    id: str = ""

    @property
    def is_whole_recording(self) -> bool:
        return self.segment == WHOLE

    def __repr__(self) -> str:
        return "Turn(hidden)"


def check_places(segments: Iterable[object], turns: Iterable[object], mute: Iterable[object]) -> None:
    """Raise `SettingError` unless these are what `Recording` and `deidentify` take under their names."""
    place = f"deident.Segment(start, stop), in samples at {RATE} Hz"
    all_of(Segment, "segments", segments, place)
    all_of(Segment, "mute", mute, place)
    all_of(Turn, "turns", turns, "deident.Turn(segment, ...)")


def words_to_json(words: Sequence[Word]) -> str:
    """Words as the manifest has them: a JSON list of [start, stop, text], in seconds."""
    rows = [[round(w.segment.start / RATE, 3), round(w.segment.stop / RATE, 3), w.text] for w in words]
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False)


def words_from_json(text: str) -> list[tuple[float, float, str]]:
    """What `words_to_json` wrote: (start, stop, text), in seconds."""
    return [(float(start), float(stop), str(word)) for start, stop, word in json.loads(text)]


class Part(NamedTuple):
    """A stretch that one turn has for itself."""

    segment: Segment
    turn: Turn


def apart(turns: Sequence[Turn], *, drop: bool = False) -> list[Part]:
    """Parts of the turns, in order, such that no sample is in two.

    Where two turns meet with a quarter of a second in common, as padded ones do, each gets a half of it.
    drop : longer overlaps, and all between two speakers, are in no part; otherwise they raise
    `RecordingError`: a snippet would hold two people, or two snippets the same sound."""
    edges = sorted({edge for turn in turns for edge in (turn.segment.start, turn.segment.stop)})
    opening = sorted(turns, key=lambda turn: turn.segment)
    talking: list[Turn] = []
    held: list[Part] = []
    at = 0
    for start, stop in pairwise(edges):
        talking = [turn for turn in talking if turn.segment.stop > start]
        while at < len(opening) and opening[at].segment.start <= start:
            talking.append(opening[at])
            at += 1
        here = Segment(start, stop)
        if len(talking) == 1:
            held.append(Part(here, talking[0]))
        elif len(talking) > 1:
            held += _shared(here, talking, drop)
    return _joined(held)


def _shared(here: Segment, talking: list[Turn], drop: bool) -> list[Part]:
    first, *others = talking
    meets = len(others) == 1 and first.segment.stop == here.stop and others[0].segment.start == here.start
    one_speaker = all(turn.speaker == first.speaker for turn in others)
    if meets and len(here) <= SLACK and (one_speaker or not drop):
        middle = (here.start + here.stop) // 2
        halves = ((here.start, middle, first), (middle, here.stop, others[0]))
        return [Part(Segment(a, b), turn) for a, b, turn in halves if a < b]
    if not drop:
        raise RecordingError(
            "turns overlap by more than they are padded: leave out what overlaps with --drop-overlap",
            "overlap",
        )
    return []


def _joined(parts: list[Part]) -> list[Part]:
    out: list[Part] = []
    for part in parts:
        if out and out[-1].turn is part.turn and out[-1].segment.stop == part.segment.start:
            part = Part(Segment(out.pop().segment.start, part.segment.stop), part.turn)
        out.append(part)
    return out


def mixed(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns of channels that are mixed. Those that only say which words are where become one."""
    if len(turns) < 2 or not all(turn.is_whole_recording and turn.text is None for turn in turns):
        return turns
    words = tuple(word for turn in turns for word in turn.words)
    speakers = {turn.speaker for turn in turns}
    return [Turn(speaker=speakers.pop() if len(speakers) == 1 else None, words=words)]


class Guide:
    """The turns of one talker: where they bound the cut, and whose a piece is.

    `bounds` are None where speech is to be found: no turns, or one that says nothing of where it is."""

    def __init__(self, turns: Sequence[Turn], *, drop: bool = False, whole: bool = False) -> None:
        turns = [replace(turn, words=tuple(sorted(turn.words, key=_start))) for turn in turns]
        self._parts = apart(turns, drop=drop)
        only = turns[0] if len(turns) == 1 else None
        # Words say themselves where they are, and without text nothing has to be kept together.
        free = only is not None and only.is_whole_recording and bool(only.words or only.text is None)
        self.bounds = [part.segment for part in self._parts] if turns and not (free and not whole) else None
        self._starts = [part.segment.start for part in self._parts]

    def turn(self, piece: Segment) -> Turn | None:
        """Whose the piece is."""
        at = bisect_right(self._starts, piece.start) - 1
        if at < 0 or piece.start >= self._parts[at].segment.stop:
            return None
        return self._parts[at].turn


def is_all_of(turn: Turn, piece: Segment, end: int | None) -> bool:
    """Whether the piece holds the turn from its start to its stop. end : of the recording, None before it is
    reached, or when it is missing."""
    stop = turn.segment.stop
    if stop == OPEN:
        if end is None:
            return False
        stop = min(stop, end)
    missing = max(0, piece.start - turn.segment.start) + max(0, stop - piece.stop)
    return missing <= min(SLACK, (stop - turn.segment.start) // 5)


def said(
    turn: Turn, piece: Segment, *, end: int | None, muted: Callable[[Segment], object]
) -> tuple[str | None, tuple[Word, ...]]:
    """What of a turn, its words in order, is said in a piece: its text, None when that cannot be told, and its
    words.

    A text without word times is said in the whole turn or not at all. Words that reach out of the piece,
    or into what is muted, are not among them.   muted : whether anything of a segment is."""
    first = bisect_left(turn.words, piece.start - WORD_SLACK, key=_start)
    last = bisect_left(turn.words, piece.stop, key=_start)
    words = tuple(w for w in turn.words[first:last] if _is_inside(w, piece) and not muted(w.segment))
    if turn.text is not None and is_all_of(turn, piece, end) and not muted(turn.segment):
        return turn.text, words
    if turn.words:
        return " ".join(word.text for word in words), words
    return None, ()


def _start(word: Word) -> int:
    return word.segment.start


def _is_inside(word: Word, piece: Segment) -> bool:
    """All of it, but for what recognisers are out by, and never without its middle."""
    middle = (word.segment.start + word.segment.stop) // 2
    near = word.segment.start >= piece.start - WORD_SLACK and word.segment.stop <= piece.stop + WORD_SLACK
    return near and piece.start <= middle < piece.stop
