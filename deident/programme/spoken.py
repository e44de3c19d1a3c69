"""Spoken words that identify: digits, spelled letters, addresses and e-mail, names of a list, and Presidio's kinds.

Each search gets the words of a recording in order and yields spans of them. It keeps no word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any, NamedTuple

from deident.errors import SettingError, require

NUMBER, SPELLED, EMAIL, ADDRESS, LISTED, BIRTH = (
    "NUMBER",
    "SPELLED",
    "EMAIL",
    "ADDRESS",
    "LISTED",
    "DATE_OF_BIRTH",
)
MIN_DIGITS = 3  # of a string that counts; a recogniser may lose one of four
MIN_LETTERS = 3
LEAST_SURNAME, SURNAME_LIKENESS = 5, 0.8  # letters; of a last name that is said without its first
LIKENESS = 0.8  # of a name on the list to what was recognised
PRESIDIO_SCORE = 0.4
PRESIDIO_MODEL = "en_core_web_sm"
ENTITIES = (
    "PERSON",
    "LOCATION",
    "PHONE_NUMBER",
    "EMAIL_ADDRESS",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "US_BANK_NUMBER",
    "DATE_TIME",
)


class Span(NamedTuple):
    """Words first to last (inclusive) of a recording that are of a kind."""

    first: int
    last: int
    kind: str


Search = Callable[[Sequence[str]], Iterable[tuple[int, int, str]]]

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_UNITS = ("zero", "oh", "o", "nought", "naught", *_ONES)
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fourty", "fifty", "sixty", "seventy", "eighty", "ninety")
_LARGE = ("hundred", "thousand", "million", "billion")
_TIMES = {"double": 1, "triple": 2}
_JOINS = ("and", "dash", "hyphen", "minus", "slash", "point", "dot", "underscore", "plus")
_SOUNDS_LIKE = ("to", "too", "for", "won", "ate", "tree", "free", "sex", "sicks", "nein", "tu", "fore", "oh")
_STREETS = (
    "street", "road", "avenue", "lane", "drive", "close", "court", "way", "square", "boulevard", "terrace", "crescent",
    "highway", "parkway",
)  # fmt: skip
_DOMAINS = ("com", "net", "org", "edu", "gov", "uk", "de", "fr", "io", "info", "co")
_MISHEARD_DOMAIN = re.compile(r"(?:dot|not) (?:com|come|org|net)")  # of "at example dot com"
_BEFORE_EMAIL = ("is", "address", "email", "mail", "at", "to", "the")


def plain(word: str) -> str:
    """Lower-case a word, without punctuation around it."""
    return word.lower().strip(" \t.,;:!?\"'()[]…-–—")


class _Piece(NamedTuple):
    """A word's part in a string of digits or letters. is_large : a number word such as hundred."""

    digits: int = 0
    letters: int = 0
    is_join: bool = False
    is_large: bool = False


def _piece(word: str) -> _Piece | None:
    """Classify a word: digits, a large number, letters, or what joins them; None for others."""
    text = plain(word)
    if text in _UNITS:
        return _Piece(digits=1)
    if text in _TEENS or text in _TENS:
        return _Piece(digits=2 if text in _TEENS else 1)
    if text in _LARGE:
        return _Piece(is_large=True)
    if text in _TIMES:
        return _Piece(digits=_TIMES[text], is_join=True)
    if text in _JOINS:
        return _Piece(is_join=True)
    if re.fullmatch(r"[a-z]", text) and word != "a":
        return _Piece(letters=1)
    if re.fullmatch(r"[a-z](?:[-.][a-z])+", text) or re.fullmatch(r"\W*[A-Z]{3,}\W*", word):  # MTB
        return _Piece(letters=len(re.findall("[a-z]", text)))
    if not (digits := re.sub(r"\D", "", text)) or len(re.sub(r"[\d\W_]", "", text)) > 2:
        return None
    is_round = len(digits) > 2 and digits.endswith("00") and len(digits.rstrip("0")) <= 2
    return _Piece(digits=1 if is_round else len(digits), is_large=is_round)


def find_strings(words: Sequence[str]) -> Iterator[Span]:
    """Find strings of digits and of letters, spoken one by one, in groups, or written together by the recogniser.

    Digits join with what sounds like one between two others, and over a word that the recogniser misheard.
    """
    pieces = [_piece(word) for word in words]
    at = 0
    while at < len(words):
        begin = pieces[at]
        if begin is None or (begin.is_join and not begin.digits):
            at += 1
            continue
        last, digits, letters, large = at, 0, 0, False
        number = at
        while number < len(words):
            piece = pieces[number]
            if piece is None or (piece.is_join and not piece.digits):
                after = pieces[number + 1] if number + 1 < len(words) else None
                is_bridge = (
                    piece is not None or plain(words[number]) in _SOUNDS_LIKE or len(plain(words[number])) < 6
                )
                if after is None or not is_bridge or not (after.digits or after.letters > 1):
                    break
                digits += plain(words[number]) in _SOUNDS_LIKE
                number += 1
                continue
            digits, letters, large = digits + piece.digits, letters + piece.letters, large or piece.is_large
            last = number
            number += 1
        while last > at and plain(words[last]) == "i":  # somebody goes on to speak of themselves
            last, letters = last - 1, letters - 1
        enough = 2 * MIN_DIGITS - 1 if large else MIN_DIGITS
        if (
            digits >= enough
            or letters >= MIN_LETTERS
            or (digits and letters and digits + letters > MIN_DIGITS)
        ):
            yield Span(at, last, NUMBER if digits >= letters else SPELLED)
        at = last + 1


def find_emails(words: Sequence[str]) -> Iterator[Span]:
    """Find e-mail addresses as they are spoken: john smith at example dot com."""
    said = [plain(word) for word in words]
    for at, word in enumerate(said):
        if "@" in word:
            yield Span(max(0, at - 1), at, EMAIL)
            continue
        before = said[at - 1] if at else ""
        is_misheard = "at" in said[max(0, at - 4) : max(0, at - 1)] and _MISHEARD_DOMAIN.fullmatch(
            f"{before} {word}"
        )
        is_domain = word in _DOMAINS and (before == "dot" or words[at].startswith("."))
        if not is_domain and not is_misheard and not re.search(rf"\.(?:{'|'.join(_DOMAINS)})$", word):
            continue
        first = at
        while first > 0 and (
            words[first].startswith(".") or said[first] == "dot" or said[first - 1] in ("dot", "at")
        ):
            first -= 1  # what the recogniser took apart
        ats = [k for k in range(max(0, at - 8), at) if said[k] == "at"]
        if ats:
            first = min(first, ats[-1])
            while first > max(0, ats[-1] - 6) and said[first - 1] not in _BEFORE_EMAIL:
                first -= 1
        yield Span(first, at, EMAIL)


def find_addresses(words: Sequence[str]) -> Iterator[Span]:
    """Find a house's number with the street behind it."""
    for at, word in enumerate(words):
        if plain(word) not in _STREETS:
            continue
        numbers = [k for k in range(max(0, at - 5), at) if (piece := _piece(words[k])) and piece.digits]
        if numbers:
            yield Span(numbers[0], at, ADDRESS)


def sound_of(text: str) -> str:
    """Write a name as it sounds, roughly: vowels alike, letters of one sound alike, each once. Soundex's idea."""
    text = re.sub(r"[^a-z]", "", text.lower())
    for pattern, sound in (
        ("ph", "f"), ("gh", ""), ("ck|q|x", "k"), ("c(?=[eiy])", "s"), ("c", "k"), ("z", "s"), ("v", "f"), ("w", ""),
        ("(?<=.)h", ""), ("[aeiouy]+", "a"), (r"(.)\1+", r"\1"),
    ):  # fmt: skip
        text = re.sub(pattern, sound, text)
    return text


@dataclass(frozen=True)
class ListedNames:
    """A search for the names of a list, as they sound: recognisers spell them in their own way.

    Parameters
    ----------
    names : tuple of str
        Of one word or several.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if any(len(re.sub(r"[\W\d_]", "", name)) < 2 for name in self.names):
            raise SettingError("expected names of at least two letters in the list, one a line")

    def __call__(self, words: Sequence[str]) -> Iterator[Span]:
        """Yield the spans that sound like a name, of about as many words as it has."""
        said = [plain(word) for word in words]
        for name in self.names:
            letters, sound = re.sub(r"[\W_]", "", name.lower()), sound_of(name)
            count = len(name.split())
            last = re.sub(r"[\W_]", "", name.lower().split()[-1])
            if count > 1 and len(last) >= LEAST_SURNAME:  # with the word before, whatever that became
                for at, word in enumerate(said):
                    text = re.sub(r"'s$", "", word)
                    if min(_likenesses(text, last, sound_of(last))) >= SURNAME_LIKENESS:
                        yield Span(max(0, at - 1), at, LISTED)
            for size in range(max(1, count - 1), count + 2):
                for at in range(len(said) - size + 1):
                    text = "".join(re.sub(r"'s$|[\W_]", "", word) for word in said[at : at + size])
                    if abs(len(text) - len(letters)) <= 2 + len(letters) // 5 and _is_like(
                        text, letters, sound
                    ):
                        yield Span(at, at + size - 1, LISTED)


def _is_like(text: str, letters: str, sound: str) -> bool:
    """Tell whether a word is written or sounds nearly like a listed one."""
    if text == letters:
        return True
    if not text or len(letters) < 4:
        return False
    return max(_likenesses(text, letters, sound)) >= LIKENESS


def _likenesses(text: str, letters: str, sound: str) -> tuple[float, float]:
    """Return how alike a word and a listed one are as written, and on average with how they sound; 1 if the same."""
    alike, code = SequenceMatcher(None, text, letters).ratio(), sound_of(text)
    sounds_alike = SequenceMatcher(None, code, sound).ratio() if len(sound) > 3 else float(code == sound)
    return alike, (alike + sounds_alike) / 2


@dataclass(frozen=True)
class Presidio:
    """A search by the recognisers of `presidio-analyzer`, with a pipeline of spaCy.

    Parameters
    ----------
    model : str
        The package of spaCy's pipeline.
    language : str

    Raises
    ------
    ExtraMissingError
        Without the extra find.
    """

    model: str = PRESIDIO_MODEL
    language: str = "en"

    def __post_init__(self) -> None:
        require("find", "searching for names", "presidio_analyzer", "spacy")

    def __call__(self, words: Sequence[str]) -> Iterator[Span]:
        """Yield the spans of names, places, numbers, and of dates beside a word about birth."""
        starts, text = [], ""
        for word in words:
            starts.append(len(text))
            text += word.strip() + " "
        if not words:
            return
        found = _analyzer(self.model, self.language).analyze(
            text=text, language=self.language, entities=list(ENTITIES), score_threshold=PRESIDIO_SCORE
        )
        for result in found:
            inside = [at for at, start in enumerate(starts) if result.start <= start < result.end]
            if not inside:
                inside = [max(at for at, start in enumerate(starts) if start <= result.start)]
            kind = result.entity_type
            if kind == "DATE_TIME":
                near = " ".join(map(plain, words[max(0, inside[0] - 7) : inside[-1] + 4]))
                if not re.search(r"\b(?:born|birth\w*|dob)\b", near):
                    continue
                kind = BIRTH
            yield Span(inside[0], inside[-1], kind)


@cache
def _analyzer(model: str, language: str) -> Any:
    """Load the analyser, once a process."""
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    if not spacy.util.is_package(model):  # it would be downloaded
        raise SettingError(
            "the pipeline of spaCy is not installed: install the package of one, such as en_core_web_sm, and name it"
            " with --spacy"
        )
    settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": language, "model_name": model}]}
    engine = NlpEngineProvider(nlp_configuration=settings).create_engine()
    return AnalyzerEngine(nlp_engine=engine, supported_languages=[language])


BUILT_IN: tuple[Search, ...] = (find_strings, find_emails, find_addresses)
