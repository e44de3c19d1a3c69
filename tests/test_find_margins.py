"""Begin and end of what is found, to the hundredth of a second, and speech that counts as unread."""

from collections.abc import Sequence

import numpy as np
import pytest

from deident.audio import RATE, Samples
from deident.programme.finding import CHUNK_SECONDS, UNREAD, Finder, chunks_of
from deident.programme.spoken import ListedNames
from tests.test_find import Says, noise, ranges
from tests.voices import speech

SPOKEN = speech(seconds=8.0, seed=1)  # without a pause from 2 s on
Word = tuple[str, float, float, float]


def around(start: float, stop: float, *between: Word) -> list[Word]:
    """Make words without a gap before and behind a part of `SPOKEN`, and those between."""
    before = [("well", start - 0.25 * k, start - 0.25 * k + 0.25, 0.9) for k in range(int(4 * start), 0, -1)]
    behind = [("well", stop + 0.25 * k, stop + 0.25 * k + 0.25, 0.9) for k in range(int(4 * (8.0 - stop)))]
    return [*before, *between, *behind]


def unread(words: Sequence[Word]) -> list[tuple[float, float]]:
    return ranges(Finder(Says(*words), passes=1), SPOKEN, UNREAD)


@pytest.mark.parametrize(
    ("own", "beside", "margin"), [(1.0, 1.0, 0.2), (0.5, 1.0, 0.3), (1.0, 0.6, 0.36), (0.2, 0.8, 0.36)]
)
def test_a_string_has_a_margin_by_half_its_doubt_or_that_beside_it(
    own: float, beside: float, margin: float
) -> None:
    words = ("far", 0.1, 0.4, 1.0), ("up", 2.5, 3.0, beside), ("4217", 5.0, 6.0, own), ("I", 8.0, 8.5, 1.0)
    [found] = ranges(Finder(Says(*words), passes=1), noise(10))
    assert found == pytest.approx((3.0 - margin, 8.0 + margin), abs=1e-3)


@pytest.mark.parametrize(("confidence", "margin"), [(1.0, 0.2), (0.5, 0.4), (0.0, 0.6)])
def test_a_name_has_a_margin_by_its_doubt(confidence: float, margin: float) -> None:
    words = ("so", 0.1, 0.4, 1.0), ("Ada", 2.0, 2.5, confidence), ("said", 4.0, 4.5, 1.0)
    [found] = ranges(Finder(Says(*words), (ListedNames(("Ada",)),), passes=1), noise(6), "LISTED")
    assert found == pytest.approx((2.0 - margin, 2.5 + margin), abs=1e-3)


@pytest.mark.parametrize("hears", [1, 2])
def test_what_one_pass_alone_found_grows_by_a_quarter_of_a_second(hears: int) -> None:
    """The first pass reads all 20 s at once, and the second two parts."""
    words = ("up", 2.0, 2.5, 1.0), ("4217", 3.0, 4.0, 1.0), ("I", 5.0, 5.5, 1.0)
    whole = noise(20)
    own = {20 * RATE} if hears == 1 else {len(next(chunks_of(whole, CHUNK_SECONDS[1])))}

    def recognise(samples: Samples) -> Sequence[Word]:
        return words if samples.size in own else (*words[:1], *words[2:])

    [found] = ranges(Finder(recognise), whole)
    assert found == pytest.approx((2.5 - 0.45, 5.0 + 0.45), abs=1e-3)
    [agreed] = ranges(Finder(Says(*words)), noise(10))
    assert agreed == pytest.approx((2.5 - 0.2, 5.0 + 0.2), abs=1e-3)


@pytest.mark.parametrize(("confidence", "bounds"), [(0.4, False), (0.45, False), (0.55, True), (0.6, True)])
def test_a_word_of_half_confidence_bounds_a_string(confidence: float, bounds: bool) -> None:
    words = (
        ("far", 0.1, 0.4, 1.0),
        ("up", 2.5, 3.0, confidence),
        ("4217", 5.0, 6.0, 1.0),
        ("I", 8.0, 8.5, 1.0),
    )
    [(start, _)] = ranges(Finder(Says(*words), passes=1), noise(10))
    assert (start > 2.0) == bounds


def test_three_doubtful_words_are_passed_over_and_no_fourth() -> None:
    doubtful = [("in", 1.5, 1.6, 0.1), ("on", 2.5, 2.6, 0.1), ("at", 3.5, 3.6, 0.1)]
    string = ("4217", 5.0, 6.0, 1.0), ("I", 8.0, 8.5, 1.0)
    for before, start in (
        ([("far", 0.5, 0.6, 1.0), *doubtful], 1.6 - 0.56),
        ([("far", 0.5, 0.6, 1.0), *doubtful[1:]], 0.6 - 0.2),
        ([("far", 0.5, 0.6, 1.0), *doubtful[2:]], 0.6 - 0.2),
    ):
        [(found, _)] = ranges(Finder(Says(*before, *string), passes=1), noise(10))
        assert found == pytest.approx(start, abs=1e-3)


@pytest.mark.parametrize("kind", ["NUMBER", "SPELLED", "EMAIL", "ADDRESS", "PHONE_NUMBER", "IBAN_CODE"])
def test_strings_of_any_kind_reach_to_the_words_beside_them(kind: str) -> None:
    texts = {"NUMBER": "42 17", "SPELLED": "M T B", "EMAIL": "a@b.com", "ADDRESS": "21 Baker Street"}
    string = [(text, 4.0, 4.2, 1.0) for text in texts.get(kind, "that there").split()]
    words = (
        ("far", 0.2, 0.5, 1.0),
        ("up", 1.0, 1.5, 1.0),
        *string,
        ("so", 7.0, 7.3, 1.0),
        ("men", 7.5, 7.9, 1.0),
    )
    search = () if kind in texts else ((lambda words: [(2, 3, kind)]),)
    [(start, stop)] = ranges(Finder(Says(*words), search, passes=1), noise(9), kind)
    assert start < 1.5
    assert stop == pytest.approx(7.2, abs=1e-3)


@pytest.mark.parametrize("start", [2.5, 3.5, 5.0])
@pytest.mark.parametrize(("seconds", "is_read"), [(0.9, True), (1.1, False)])
def test_a_second_of_speech_without_a_word_is_unread(start: float, seconds: float, is_read: bool) -> None:
    found = unread(around(start, start + seconds))
    assert (found == []) == is_read
    for one in found:
        assert one == pytest.approx((start - 0.2, start + seconds + 0.2), abs=1e-3)


@pytest.mark.parametrize(("text", "most"), [("well", 1.5), ("incomprehensibly", 2.7), ("42", 1.9)])
def test_a_word_that_lasts_longer_than_it_takes_is_unread(text: str, most: float) -> None:
    for seconds, is_read in ((most - 0.1, True), (most + 0.1, False)):
        stop = 3.0 + seconds
        assert (unread(around(3.0, stop, (text, 3.0, stop, 0.9))) == []) == is_read


@pytest.mark.parametrize(("confidence", "is_read"), [(0.3, False), (0.38, False), (0.42, True), (0.6, True)])
def test_speech_of_words_that_are_not_sure_is_unread(confidence: float, is_read: bool) -> None:
    guesses = [("well", 3.0 + 0.25 * k, 3.25 + 0.25 * k, confidence) for k in range(8)]
    assert (unread(around(3.0, 5.0, *guesses)) == []) == is_read


@pytest.mark.parametrize(
    ("at", "expected"), [(0, (0.55, 8.0)), (28, (0.0, 7.7)), (5, (0.0, 8.0)), (20, (0.0, 8.0))]
)
def test_a_word_alone_among_guesses_is_one_but_not_at_an_end(at: int, expected: tuple[float, float]) -> None:
    words = [("well", 0.5 + 0.25 * k, 0.75 + 0.25 * k, 0.9 * (k == at)) for k in range(29)]
    assert unread(words) == [pytest.approx(expected, abs=1e-3)]


@pytest.mark.parametrize("long", [("incomprehensibly", 3.0, 5.0), ("misunderstandings", 2.9, 5.1)])
def test_a_word_within_another_leaves_nothing_unread(long: tuple[str, float, float]) -> None:
    """Times of recognisers overlap."""
    assert unread(around(3.0, 5.0, (*long, 0.9), ("so", 3.3, 3.6, 0.9))) == []


@pytest.mark.parametrize("between", [(), (("and", 3.25, 4.75, 0.9),)])
def test_unread_speech_reaches_over_words_that_are_not_sure(between: tuple[Word, ...]) -> None:
    words = around(3.0, 5.0, ("well", 3.0, 3.25, 0.45), *between, ("well", 4.75, 5.0, 0.45))
    assert unread(words) == [pytest.approx((2.8, 5.2), abs=1e-3)]


def test_unread_speech_counts_beside_what_is_found_but_not_within() -> None:
    number = ("4217", 3.0, 3.25, 0.9)
    for words, kinds in (
        (around(3.0, 3.25, number), ["NUMBER"]),
        ([word for word in around(3.0, 3.25, number) if not 5.0 < word[1] < 7.0], ["NUMBER", UNREAD]),
        (around(3.0, 5.6, ("4217", 4.2, 4.4, 0.9)), ["NUMBER"]),
    ):
        found = Finder(Says(*words), passes=1).in_samples(SPOKEN)
        assert sorted(one.kind for one in found) == kinds


@pytest.mark.parametrize(("pause", "is_cut"), [(15.0, False), (16.0, False), (17.5, True), (25.0, True)])
def test_a_chunk_is_cut_in_its_quietest_moment_after_three_fifths(pause: float, is_cut: bool) -> None:
    samples = noise(35)
    samples[round(pause * RATE) : round((pause + 0.2) * RATE)] = 0.0
    first, *_ = chunks_of(samples, 28.0)
    assert (first.stop == pytest.approx((pause + 0.1) * RATE, abs=2)) == is_cut


@pytest.mark.parametrize(
    ("silent", "quiet", "is_cut"), [(0.1, 0.3, False), (0.15, 0.3, False), (0.2, 0.4, True)]
)
def test_a_fifth_of_a_second_is_a_moment(silent: float, quiet: float, is_cut: bool) -> None:
    """A click's silence is none, and a short pause is better than a long one with noise."""
    samples = noise(35)
    samples[20 * RATE : round((20.0 + silent) * RATE)] = 0.0
    samples[24 * RATE : round((24.0 + quiet) * RATE)] *= np.float32(0.3)
    first, *_ = chunks_of(samples, 28.0)
    assert (first.stop < 21 * RATE) == is_cut


@pytest.mark.parametrize(("seconds", "readings"), [(19.0, 2), (20.0, 3), (28.0, 3), (28.1, 4)])
def test_a_recogniser_gets_no_more_than_it_takes(seconds: float, readings: int) -> None:
    given: list[int] = []

    def recognise(samples: Samples) -> Sequence[Word]:
        given.append(samples.size)
        return ()

    Finder(recognise).in_samples(noise(seconds))
    assert max(given) <= 28 * RATE
    assert len(given) == readings
