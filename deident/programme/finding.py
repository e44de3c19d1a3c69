"""Finding ranges of a recording in which somebody is named: recognise words, search them, and place what was found.

A recogniser's times are wrong where it matters: of a string of digits, Whisper places all at its end. So a string
reaches from the word before it to the word after, margins grow with doubt, and speech that could not be read counts
as found.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from deident import codec
from deident.audio import RATE, Audio, Samples, Segment
from deident.errors import RecordingError, SettingError, between, kind_of
from deident.programme.recognising import Recogniser, SpokenWord
from deident.programme.spoken import ADDRESS, BUILT_IN, EMAIL, NUMBER, SPELLED, Search, Span
from deident.recording import Recording
from deident.segmentation.vad import VadSettings, find_speech
from deident.uris import location

UNREAD = "UNREAD"
CHUNK_SECONDS = (28.0, 19.0)  # of each pass: what one pass cuts in two, the other does not
EARLIEST = 0.6  # of a chunk, where it may be cut
QUIET_SECONDS = 0.2
MARGIN_SECONDS = 0.2
DOUBT_SECONDS = 0.4  # more where the recogniser is not sure at all
ONE_PASS_SECONDS = 0.25  # more where one pass of two found it
TRUSTED = 0.5  # confidence of a neighbour that bounds a string
MOST_DOUBTED = 3  # neighbours to pass over
LEAST_UNREAD_SECONDS = 1.0  # of speech without a word
LEAST_UNREAD_IN_WORD_SECONDS = 0.6  # more than a word takes: what was left out may lie in it
SECONDS_A_WORD, SECONDS_A_LETTER, SECONDS_A_DIGIT = 0.5, 0.1, 0.3  # of a word that is not too long
VERIFY_SILENCES = ((0.0, 0.0), (0.5, 0.5))  # seconds before and behind a snippet, of each reading
PAST_ANY_END = 1_000_000 * RATE  # samples
_BY_GAPS = frozenset(
    (NUMBER, SPELLED, EMAIL, ADDRESS, "PHONE_NUMBER", "CREDIT_CARD", "EMAIL_ADDRESS", "US_SSN", "IBAN_CODE",
     "US_BANK_NUMBER", "DATE_OF_BIRTH")
)  # fmt: skip


class Found(NamedTuple):
    """A range of a recording in which something was found, in samples at 16 kHz, and its kind; never the words."""

    segment: Segment
    kind: str


@dataclass(frozen=True)
class Finder:
    """Finds spoken names and numbers in a recording.

    Parameters
    ----------
    recognise : callable
        Of (samples,) float32 at 16 kHz, at most 30 s: words, each (text, start, stop, confidence), in seconds.
    searches : tuple of callable
        Each gets the words of a recording as texts, and yields (first, last, kind), the last inclusive. Strings of
        digits and letters, e-mail and addresses are searched for in any case.
    passes : {1, 2}
        A second pass cuts the sound elsewhere.
    min_confidence : float
        Of a word that accounts for speech, 0 to 1. Speech without such a word counts as found.
    expecting : tuple of callable
        Recognisers that expect the names of a list, as `WhisperWords.expecting` makes them: a pass each.
    again : tuple of callable
        Recognisers that read a snippet once more in `is_clean`, such as a beam search, which reads what a greedy one
        does not, and the other way round.

    Raises
    ------
    SettingError
        When a setting is outside its range.
    """

    recognise: Recogniser
    searches: tuple[Search, ...] = ()
    passes: int = 2
    min_confidence: float = 0.4
    expecting: tuple[Recogniser, ...] = ()
    again: tuple[Recogniser, ...] = ()

    def __post_init__(self) -> None:
        if not all(map(callable, (self.recognise, *self.searches, *self.expecting, *self.again))):
            raise SettingError(
                f"expected recognisers and searches as callables; got {kind_of(self.recognise)}"
            )
        if self.passes not in (1, 2):
            raise SettingError("expected 1 pass or 2")
        between("min_confidence", self.min_confidence, 0.0, 1.0)

    def in_recording(self, recording: Recording) -> list[Found]:
        """Find the ranges in a recording, on every channel of it.

        Parameters
        ----------
        recording : Recording

        Returns
        -------
        list of Found
            By start.

        Raises
        ------
        RecordingError
            When it cannot be read, or the recogniser or a search fails.
        """
        with codec.decode(recording.path, channels="split", follow_links=recording.follow_links) as decoding:
            blocks = list(decoding)
        if not blocks:
            return []
        channels = np.concatenate(blocks, axis=1)
        found = set()
        for number, samples in enumerate(channels):
            if not any(np.array_equal(samples, earlier) for earlier in channels[:number]):
                found.update(self.in_samples(samples))
        return sorted(found)

    def in_samples(self, samples: Samples) -> list[Found]:
        """Find the ranges in (samples,) float32 at 16 kHz, by start."""
        recognisers = [(self.recognise, *self.expecting), (self.recognise,)]
        passes = zip(recognisers[: self.passes], CHUNK_SECONDS, strict=False)
        by_reading = [own for one in passes for own in self._in_pass(samples, *one)]
        found = set()
        for number, own in enumerate(by_reading):
            others = [other.segment for k, rest in enumerate(by_reading) if k != number for other in rest]
            for range_ in own:
                is_agreed = len(by_reading) == 1 or any(range_.segment.overlap(other) for other in others)
                found.add(range_ if is_agreed else _grown(range_, ONE_PASS_SECONDS, samples.size))
        return sorted(found)

    def warm_up(self) -> None:
        """Load what the recogniser and the searches need, so that what is missing is told before anything is read."""
        self.is_clean(np.zeros(RATE, np.float32), RATE)

    def is_clean(self, samples: Samples, rate: int) -> bool:
        """Tell that nothing is found in a snippet, (samples,) float32 at 16 kHz: for `Policy.verify`.

        It is read as it is and with silence around it, by `again` too: what Whisper makes of a sound depends on where
        in its window the sound lies, and a second look would find what the first did not.
        """
        recognisers = (self.recognise, *self.expecting, *self.again)
        for silence in VERIFY_SILENCES:
            padded = np.pad(samples, [round(seconds * RATE) for seconds in silence])
            if any(True for _ in self.kinds_in(padded, recognisers)):
                return False
        return True

    def kinds_in(self, samples: Samples, recognisers: Sequence[Recogniser]) -> Iterator[str]:
        """Yield the kinds of what is found in (samples,) float32 at 16 kHz, at most 30 s, one recogniser at a time."""
        for recognise in recognisers:
            yield from (span.kind for span in self._spans(self._words(recognise, samples, 0.0)))

    def _in_pass(
        self, samples: Samples, recognisers: Sequence[Recogniser], chunk_seconds: float
    ) -> list[list[Found]]:
        """Find the ranges that each recogniser finds. They read one chunk after the other, as `WhisperWords` says."""
        chunks = list(chunks_of(samples, chunk_seconds))
        by_chunk = [
            [self._words(one, samples[chunk.start : chunk.stop], chunk.start / RATE) for one in recognisers]
            for chunk in chunks
        ]
        return [self._in_reading(samples, chunks, own) for own in zip(*by_chunk, strict=True)]

    def _in_reading(
        self, samples: Samples, chunks: Sequence[Segment], by_chunk: Sequence[Sequence[SpokenWord]]
    ) -> list[Found]:
        """Find the ranges in the words of each chunk, and those that no word accounts for."""
        words = [word for own in by_chunk for word in own]
        unread = [
            one
            for chunk, own in zip(chunks, by_chunk, strict=True)
            for one in self._unread(samples, chunk, own)
        ]
        end = samples.size / RATE
        placed = [Found(_placed(words, span, end), span.kind) for span in self._spans(words)]
        return placed + [one for one in unread if not any(p.segment.overlap(one.segment) for p in placed)]

    def _words(self, recognise: Recogniser, samples: Samples, offset: float) -> list[SpokenWord]:
        try:
            found = [SpokenWord(*word) for word in recognise(np.ascontiguousarray(samples))]
        except SettingError:
            raise
        except Exception as error:
            raise RecordingError(f"the recogniser failed ({type(error).__name__})", "recogniser") from None
        return [word._replace(start=word.start + offset, stop=word.stop + offset) for word in found]

    def _spans(self, words: Sequence[SpokenWord]) -> Iterator[Span]:
        texts = [word.text for word in words]
        for search in (*BUILT_IN, *self.searches):
            try:
                spans = [Span(*span) for span in search(texts)]
            except SettingError:
                raise
            except Exception as error:
                raise RecordingError(f"a search failed ({type(error).__name__})", "recogniser") from None
            for span in spans:
                if not 0 <= span.first <= span.last < len(words):
                    raise RecordingError("a search named words that are not there", "recogniser")
                yield span

    def _unread(self, samples: Samples, chunk: Segment, words: Sequence[SpokenWord]) -> Iterator[Found]:
        """Yield the speech of a chunk that no word accounts for: between two, or in one that lasts too long.

        Words of hardly any confidence count as none.
        """
        said = np.zeros(len(chunk) + 1)
        for speech in find_speech(Audio(samples[chunk.start : chunk.stop], RATE), VadSettings()):
            said[speech.start + 1 : speech.stop + 1] = 1.0 / RATE
        said = np.cumsum(said)

        def speech_between(start: float, stop: float) -> float:
            first, last = (int(np.clip(round(t * RATE) - chunk.start, 0, len(chunk))) for t in (start, stop))
            return float(said[max(first, last)] - said[first])

        trusted = [word for number, word in enumerate(words) if self._accounts(words, number)]

        def bound(number: int, step: int) -> float:
            """Return the near end of the nearest word that is sure, from a place on; that of the chunk without one."""
            places = range(number, len(trusted) if step > 0 else -1, step)
            word = _trusted(trusted, places)
            if word is None:
                return (chunk.stop if step > 0 else chunk.start) / RATE
            return word.start if step > 0 else word.stop

        end = SpokenWord("", chunk.stop / RATE, chunk.stop / RATE)
        before = chunk.start / RATE
        for number, word in enumerate([*trusted, end]):
            if speech_between(before, word.start) >= LEAST_UNREAD_SECONDS:
                yield Found(_between(bound(number - 1, -1), bound(number, 1), chunk), UNREAD)
            if speech_between(word.start, word.stop) >= _most_seconds(word) + LEAST_UNREAD_IN_WORD_SECONDS:
                yield Found(_between(bound(number - 1, -1), bound(number + 1, 1), chunk), UNREAD)
            before = max(before, word.stop)

    def _accounts(self, words: Sequence[SpokenWord], number: int) -> bool:
        """Tell that the recogniser was sure of a word; one that is alone among guesses is a guess too."""
        beside = [*words[max(0, number - 1) : number], *words[number + 1 : number + 2]]
        is_alone = len(beside) == 2 and all(word.confidence < self.min_confidence for word in beside)
        return words[number].confidence >= self.min_confidence and not is_alone


def _most_seconds(word: SpokenWord) -> float:
    """Return the longest that a word takes."""
    digits = len(re.findall(r"\d", word.text))
    return SECONDS_A_WORD + SECONDS_A_LETTER * len(word.text) + SECONDS_A_DIGIT * digits


def _between(start: float, stop: float, chunk: Segment) -> Segment:
    """Make the segment between two times, with the margin, in a chunk."""
    first = max(chunk.start, round((start - MARGIN_SECONDS) * RATE))
    return Segment(first, max(first + 1, min(chunk.stop, round((stop + MARGIN_SECONDS) * RATE))))


def chunks_of(samples: Samples, seconds: float) -> Iterator[Segment]:
    """Cut (samples,) into chunks of at most so many seconds, each at its quietest moment after the first 60 %."""
    size, quiet = round(seconds * RATE), round(QUIET_SECONDS * RATE)
    start = 0
    while samples.size - start > size:
        part = np.square(samples[start + round(EARLIEST * size) : start + size], dtype=np.float64)
        sums = np.concatenate(([0.0], np.cumsum(part)))
        at = int(np.argmin(sums[quiet:] - sums[:-quiet]))
        stop = start + round(EARLIEST * size) + at + quiet // 2
        yield Segment(start, stop)
        start = stop
    if samples.size > start:
        yield Segment(start, samples.size)


def _placed(words: Sequence[SpokenWord], span: Span, end: float) -> Segment:
    """Place a span of words: strings from the word before to the word after, others by their own times."""
    inside = words[span.first : span.last + 1]
    doubt = 1.0 - min(word.confidence for word in inside)
    start, stop = min(word.start for word in inside), max(word.stop for word in inside)
    if span.kind in _BY_GAPS or start >= stop:
        before = _trusted(words, range(span.first - 1, -1, -1))
        after = _trusted(words, range(span.last + 1, len(words)))
        start = min(start, before.stop) if before else 0.0
        stop = max(stop, after.start) if after else end
        doubt = max([doubt / 2, *(1.0 - word.confidence for word in (before, after) if word)])
    margin = MARGIN_SECONDS + DOUBT_SECONDS * doubt
    first = max(0, round((start - margin) * RATE))
    return Segment(first, max(first + 1, min(round((stop + margin) * RATE), round(end * RATE))))


def _trusted(words: Sequence[SpokenWord], places: range) -> SpokenWord | None:
    """Return the nearest word that bounds a string, or the last of those that may be passed over.

    The recogniser was sure of it, and it lasts no longer than it takes: Whisper lets the word before or after what it
    did not understand last as long.
    """
    near = [words[place] for place in places[:MOST_DOUBTED]]
    sure = (w for w in near if w.confidence >= TRUSTED and w.stop - w.start <= _most_seconds(w))
    return next(sure, near[-1] if near else None)


def _grown(found: Found, seconds: float, end: int) -> Found:
    more = round(seconds * RATE)
    segment = found.segment
    return found._replace(segment=Segment(max(0, segment.start - more), min(end, segment.stop + more)))


@dataclass
class Tried:
    """The outcome of a search through recordings.

    Attributes
    ----------
    recordings : list of Recording
        With the ranges to mute.
    found : dict
        Ranges by the place of the recording.
    kinds : Counter
        Ranges by kind.
    failed : int
        Recordings that could not be searched.
    """

    recordings: list[Recording] = field(default_factory=list)
    found: dict[str, list[Found]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    failed: int = 0


def find_in(
    recordings: Sequence[Recording], finder: Finder, progress: Callable[[], object] | None = None
) -> Tried:
    """Search recordings one by one. One that cannot be searched gets a range that no recording has: a run refuses it.

    Parameters
    ----------
    recordings : sequence of Recording
    finder : Finder
    progress : callable, optional
        Called after each.

    Returns
    -------
    Tried
    """
    tried = Tried()
    for recording in recordings:
        try:
            found = finder.in_recording(recording)
        except RecordingError:
            tried.failed += 1
            found = [Found(Segment(0, PAST_ANY_END), UNREAD)]
        else:
            tried.kinds.update(one.kind for one in found)
        tried.found[location(recording.path)] = found
        more = tuple(one.segment for one in found)
        kinds = tuple(one.kind for one in found)
        tried.recordings.append(
            replace(recording, mute=(*recording.mute, *more), kinds=(*recording.kinds, *kinds))
        )
        if progress:
            progress()
    return tried


def annotations_of(found: Mapping[str, Sequence[Found]]) -> bytes:
    """Write ranges as the JSON that `run --mute` reads: recording, start and stop in seconds, and the kind."""
    rows = [
        {
            "recording": place,
            "start": round(one.segment.start / RATE, 3),
            "stop": round(one.segment.stop / RATE, 3),
            "kind": one.kind,
        }
        for place, ranges in found.items()
        for one in ranges
    ]
    return (json.dumps(rows, indent=1) + "\n").encode()
