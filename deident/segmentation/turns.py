"""Turns and words of a recording, and the part of a transcript that a piece of it contains."""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from deident.errors import RecordingError, all_of
from deident.segment import RATE, Segment

TIMED = ("words", "phones")
CARRIED = ("text", *TIMED, "speaker")  # carried by a snippet besides labels, on request
OPEN = 1 << 62  # the stop of a turn that lasts until its recording ends
WHOLE = Segment(0, OPEN)
TurnIdentity = tuple[Segment, int | None, str]
SLACK = RATE // 4  # samples; turns are padded and rounded by as much
WORD_SLACK = RATE // 20  # samples; recognisers are no more precise about the edges of a word


@dataclass(frozen=True, repr=False)
class Word:
    """A word, or a phone, with its time.

    Parameters
    ----------
    segment : Segment
        In samples at 16 kHz.
    text : str
        Never shown in its repr.

    Examples
    --------
    >>> Word(Segment(16_000, 20_000), "yes").within(Segment(8_000, 18_000)).segment
    Segment(start=8000, stop=10000)
    """

    segment: Segment
    text: str

    def within(self, piece: Segment) -> Word:
        """Give the word its time in a piece, cut off at the piece's ends.

        Parameters
        ----------
        piece : Segment

        Returns
        -------
        Word
        """
        return Word(self.segment.within(piece).shift(-piece.start), self.text)

    def __repr__(self) -> str:
        return "Word(hidden)"


def one_form(name: str) -> str:
    """Give a name in the composed form of Unicode: file systems, editors and terminals differ in it."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@dataclass(frozen=True, repr=False)
class Turn:
    """A turn of one speaker: an utterance, a supervision, a line of a transcript.

    Parameters
    ----------
    segment : Segment
        In samples at 16 kHz; by default the whole recording.
    speaker : str, optional
        The speaker's name in the source. Only a keyed pseudonym of it is ever released.
    text : str, optional
        Everything that is said in the turn; None when unknown.
    words : tuple of Word
        The same word by word, with times.
    channel : int, optional
        From 0; None when unknown.
    labels : dict of str to str
        Copied to the manifest.
    id : str
        The turn's name in the source; never released.
    phones : tuple of Word
        All of it phone by phone, as a forced aligner gives them.
    """

    segment: Segment = WHOLE
    speaker: str | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    channel: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    id: str = ""
    phones: tuple[Word, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.speaker, str):  # a number names a speaker as well
            object.__setattr__(self, "speaker", one_form(self.speaker))

    @property
    def is_whole_recording(self) -> bool:
        """True for a turn without times."""
        return self.segment == WHOLE

    @property
    def identity(self) -> TurnIdentity:
        """Segment, channel and id, which tell it from the other turns of its recording."""
        return self.segment, self.channel, self.id

    def __repr__(self) -> str:
        return "Turn(hidden)"


def check_annotations(segments: Iterable[object], turns: Iterable[object], mute: Iterable[object]) -> None:
    """Raise `SettingError` unless these are segments, turns and segments to mute."""
    place = f"deident.Segment(start, stop), in samples at {RATE} Hz"
    all_of(Segment, "segments", segments, place)
    all_of(Segment, "mute", mute, place)
    all_of(Turn, "turns", turns, "deident.Turn(segment, ...)")


def words_to_json(words: Sequence[Word]) -> str:
    """Write words as the manifest has them: a JSON list of [start, stop, text], in seconds, exact to the sample."""
    rows = [[round(w.segment.start / RATE, 5), round(w.segment.stop / RATE, 5), w.text] for w in words]
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False)


def words_from_json(text: str) -> list[tuple[float, float, str]]:
    """Read the output of `words_to_json`: (start, stop, text), in seconds."""
    return [(float(start), float(stop), str(word)) for start, stop, word in json.loads(text)]


class TurnSegment(NamedTuple):
    """A segment that belongs to one turn alone."""

    segment: Segment
    turn: Turn


def separate_turns(turns: Sequence[Turn], *, drop: bool = False) -> list[TurnSegment]:
    """Assign every sample to at most one turn.

    Two turns that overlap by up to a quarter of a second, as padded ones do, get half of the overlap each.

    Parameters
    ----------
    turns : sequence of Turn
    drop : bool
        Leave out longer overlaps, and all overlaps of two speakers.

    Returns
    -------
    list of TurnSegment
        In order.

    Raises
    ------
    RecordingError
        For a longer overlap unless `drop`: a snippet would hold two people, or two snippets the same sound.
    """
    edges = sorted({edge for turn in turns for edge in (turn.segment.start, turn.segment.stop)})
    by_start = sorted(turns, key=lambda turn: turn.segment)
    active: list[Turn] = []
    found: list[TurnSegment] = []
    at = 0
    for start, stop in pairwise(edges):
        active = [turn for turn in active if turn.segment.stop > start]
        while at < len(by_start) and by_start[at].segment.start <= start:
            active.append(by_start[at])
            at += 1
        here = Segment(start, stop)
        if len(active) == 1:
            found.append(TurnSegment(here, active[0]))
        elif len(active) > 1:
            found += _divide_overlap(here, active, drop)
    return _merge_adjacent(found)


def _divide_overlap(here: Segment, active: list[Turn], drop: bool) -> list[TurnSegment]:
    """Divide the overlap of padded turns between them; raise for a longer one, or drop it."""
    first, *others = active
    meets = len(others) == 1 and first.segment.stop == here.stop and others[0].segment.start == here.start
    one_speaker = all(turn.speaker == first.speaker for turn in others)
    if meets and len(here) <= SLACK and (one_speaker or not drop):
        middle = (here.start + here.stop) // 2
        halves = ((here.start, middle, first), (middle, here.stop, others[0]))
        return [TurnSegment(Segment(a, b), turn) for a, b, turn in halves if a < b]
    if not drop:
        raise RecordingError(
            "turns overlap by more than they are padded: leave out what overlaps with --drop-overlap",
            "overlap",
        )
    return []


def _merge_adjacent(parts: list[TurnSegment]) -> list[TurnSegment]:
    """Merge segments of one turn that touch."""
    out: list[TurnSegment] = []
    for part in parts:
        if out and out[-1].turn is part.turn and out[-1].segment.stop == part.segment.start:
            part = TurnSegment(Segment(out.pop().segment.start, part.segment.stop), part.turn)
        out.append(part)
    return out


def merge_word_turns(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Merge the turns of mixed channels into one where all they hold is words with times."""
    if len(turns) < 2 or not all(turn.is_whole_recording and turn.text is None for turn in turns):
        return turns
    words, phones = (tuple(w for turn in turns for w in getattr(turn, kind)) for kind in ("words", "phones"))
    speakers = {turn.speaker for turn in turns}
    return [Turn(speaker=speakers.pop() if len(speakers) == 1 else None, words=words, phones=phones)]


class ChannelTurns:
    """The turns of one channel.

    Parameters
    ----------
    turns : sequence of Turn
    drop : bool
        As in `separate_turns`.
    whole : bool
        Keep turns whole.

    Attributes
    ----------
    bounds : list of Segment or None
        Segments that no snippet may cross; None where speech has to be detected, since there are no turns or
        one without times.
    given : bool
        True where there are turns.
    last_word : int
        Start of the last word or phone, 0 without any.
    """

    def __init__(self, turns: Sequence[Turn], *, drop: bool = False, whole: bool = False) -> None:
        turns = [
            replace(
                turn,
                words=tuple(sorted(turn.words, key=_start)),
                phones=tuple(sorted(turn.phones, key=_start)),
            )
            for turn in turns
        ]
        self.given = bool(turns)
        self.last_word = max(
            (own[-1].segment.start for turn in turns for own in (turn.words, turn.phones) if own), default=0
        )
        self._parts = separate_turns(turns, drop=drop)
        only = turns[0] if len(turns) == 1 else None
        # Words say themselves where they are, and without text nothing has to be kept together.
        free = only is not None and only.is_whole_recording and bool(only.words or only.text is None)
        self.bounds = [part.segment for part in self._parts] if turns and not (free and not whole) else None
        self._starts = [part.segment.start for part in self._parts]

    def turn(self, piece: Segment) -> Turn | None:
        """Find the turn that a piece belongs to."""
        at = bisect_right(self._starts, piece.start) - 1
        if at < 0 or piece.start >= self._parts[at].segment.stop:
            return None
        return self._parts[at].turn


def covers_turn(turn: Turn, piece: Segment, end: int | None) -> bool:
    """Check that a piece contains all of a turn.

    end : of the recording in samples, None before it is reached or when it is missing.
    """
    stop = turn.segment.stop
    if stop == OPEN:
        if end is None:
            return False
        stop = min(stop, end)
    missing = max(0, piece.start - turn.segment.start) + max(0, stop - piece.stop)
    return missing <= min(SLACK, (stop - turn.segment.start) // 5)


def transcript_within(
    turn: Turn, piece: Segment, *, end: int | None, muted: Callable[[Segment], object]
) -> tuple[str | None, tuple[Word, ...]]:
    """Select the part of a turn's transcript that is said in a piece.

    A text without word times belongs to the whole turn. Words that reach out of the piece, or into a muted
    range, are left out.

    Parameters
    ----------
    turn : Turn
        With its words in order.
    piece : Segment
    end : int or None
        End of the recording in samples, None before it is reached or when it is missing.
    muted : callable
        Returns something true where any of a segment is muted.

    Returns
    -------
    text : str or None
        None when it is unknown.
    words : tuple of Word
    """
    words = within_piece(turn.words, piece, muted=muted)
    if turn.text is not None and covers_turn(turn, piece, end) and not muted(turn.segment):
        return turn.text, words
    if turn.words:
        return " ".join(word.text for word in words), words
    return None, ()


def within_piece(
    words: Sequence[Word], piece: Segment, *, muted: Callable[[Segment], object]
) -> tuple[Word, ...]:
    """Select the words, or phones, that are said in a piece and touch no muted range; they come in order."""
    first = bisect_left(words, piece.start - WORD_SLACK, key=_start)
    last = bisect_left(words, piece.stop, key=_start)
    return tuple(w for w in words[first:last] if _is_inside(w, piece) and not muted(w.segment))


def _start(word: Word) -> int:
    return word.segment.start


def _is_inside(word: Word, piece: Segment) -> bool:
    """Check that a word lies in a piece, up to the errors of recognisers, and always with its middle."""
    middle = (word.segment.start + word.segment.stop) // 2
    near = word.segment.start >= piece.start - WORD_SLACK and word.segment.stop <= piece.stop + WORD_SLACK
    return near and piece.start <= middle < piece.stop
