"""Words: what recognisers make of speech, and how many of them are wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from deident.audio import RATE, Floats
from deident.disguise.naming import object_named
from deident.errors import ExtraMissingError, SettingError, require
from deident.evaluation.cache import Arrays, digest, file_digest, fingerprint, source_digest
from deident.evaluation.copies import Analysed
from deident.evaluation.corpus import Utterance

BEFORE, BEHIND = 0.2, 0.5  # seconds of silence that Whisper gets around a snippet


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation; apostrophes stay."""
    return re.findall(r"[\w']+", text.lower().replace("’", "'"))


def word_errors(reference: str, text: str) -> int:
    """Least number of words to insert, drop or replace. Levenshtein (1966), over words."""
    said, got = words_of(reference), words_of(text)
    row = np.arange(len(got) + 1)
    places = np.arange(len(got) + 1)
    for number, word in enumerate(said, start=1):
        change = row[:-1] + np.array([word != other for other in got], dtype=row.dtype)
        best = np.concatenate(([number], np.minimum(change, row[1:] + 1)))
        # An insertion costs one a place: the running minimum of cost minus place gives all of them at once.
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def is_runaway(reference: str, text: str) -> bool:
    """Tell whether a text has more word errors than its reference has words: it repeats itself, or is made up."""
    return word_errors(reference, text) > len(words_of(reference))


def words_wrong(reference: str, text: str) -> int:
    """Count word errors, at most as many as the reference has words.

    A recogniser that repeats itself on poor speech inserts words without end, a hundred in a snippet of four.
    Unbounded, a few such snippets would make most of a corpus's errors.
    """
    return min(word_errors(reference, text), len(words_of(reference)))


@cache
def _decoder() -> Any:
    """Load the decoder, once a process, however often the recogniser is sent there."""
    from pocketsphinx import Decoder

    # A third of the default's 30,000 states a frame finds the same words, in clear and in disguised speech, and
    # takes a quarter less time: most of it goes where it cannot make anything out.
    return Decoder(loglevel="FATAL", maxhmmpf=10_000)


class Pocketsphinx:
    """The recogniser of the `pocketsphinx` package, US English, large vocabulary.

    Raises `ExtraMissingError` without the extra `attackers`.
    """

    name = "pocketsphinx"

    def __init__(self) -> None:
        try:
            import pocketsphinx  # noqa: F401
        except ImportError:
            raise ExtraMissingError.of("attackers", "the recogniser") from None

    @property
    def fingerprint(self) -> str:
        import pocketsphinx

        return digest(self.name, getattr(pocketsphinx, "__version__", ""), source_digest(__name__))

    def __call__(self, samples: Floats) -> str:
        decoder = _decoder()
        pcm = np.clip(np.rint(samples * 32_767.0), -32_768, 32_767).astype("<i2")
        if not pcm.size:
            return ""
        decoder.reinit_feat()  # the running cepstral mean of the last utterance must not help this one
        decoder.start_utt()
        decoder.process_raw(pcm.tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""


def text_by(recogniser: str) -> str:
    """Name of the array of texts that a recogniser gave."""
    return f"text by {recogniser}"


@dataclass(frozen=True)
class Whisper:
    """Whisper by `faster-whisper`, in English: beam of 5, temperature 0, no voice filter, no previous text.

    Attributes
    ----------
    model : str
        A folder with a model in CTranslate2's format; or the name of one, such as "base", that `faster-whisper` knows
        and downloads.

    Raises
    ------
    ExtraMissingError
        Without the extra `whisper`.
    SettingError
        When there is no model.
    """

    model: str

    def __post_init__(self) -> None:
        require("whisper", "recognising words by Whisper", "faster_whisper")
        whisper_model(self.model)

    @property
    def fingerprint(self) -> str:
        weights = Path(self.model) / "model.bin"
        return digest(
            "whisper", file_digest(str(weights)) if weights.exists() else self.model, source_digest(__name__)
        )

    def __call__(self, samples: Floats) -> str:
        """Text of (samples,) at 16 kHz."""
        return " ".join(segment.text.strip() for segment in self._segments(samples))

    def timed(self, samples: Floats) -> list[tuple[str, float, float]]:
        """Words of (samples,) at 16 kHz, and the seconds at which each begins and ends."""
        segments = self._segments(samples, word_timestamps=True)
        words = (word for segment in segments for word in segment.words or ())
        return [(w.word.strip(), float(w.start) - BEFORE, float(w.end) - BEFORE) for w in words]

    def _segments(self, samples: Floats, **options: bool) -> Any:
        """Transcribe samples at one level, with silence before and after."""
        level = 0.7 / max(float(np.abs(samples).max(initial=0.0)), 1e-6)
        padded = np.pad(samples * np.float32(level), (round(BEFORE * RATE), round(BEHIND * RATE)))
        return whisper_model(self.model).transcribe(
            padded,
            language="en",
            beam_size=5,
            temperature=0.0,
            vad_filter=False,
            condition_on_previous_text=False,
            **options,
        )[0]


@cache
def whisper_model(model: str) -> Any:
    """Load a model of Whisper's, once a process, with one thread: work is divided over processes.

    Raises `SettingError` when there is none.
    """
    from faster_whisper import WhisperModel

    is_here = Path(model).is_dir()
    try:
        return WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=is_here)
    except Exception:  # CTranslate2 and the download raise kinds of their own, whose messages hold the path
        raise SettingError(
            "expected the folder of a Whisper model in CTranslate2's format, or a name that faster-whisper knows"
        ) from None


def recogniser_named(text: str) -> tuple[str, Any]:
    """A name for the report, and the recogniser: whisper:PATH, pocketsphinx, or package.module:NAME."""
    if text == Pocketsphinx.name:
        return text, Pocketsphinx()
    kind, _, rest = text.partition(":")
    return (Path(rest).name, Whisper(rest)) if kind == "whisper" else (rest, object_named(text))


@dataclass(frozen=True)
class Recognition:
    """Text of the first copy of each utterance that has a transcript, by a recogniser; none for the others."""

    name: str
    recogniser: Any

    @property
    def fingerprint(self) -> str:
        return digest("recognition", self.name, fingerprint(self.recogniser))

    def __call__(self, original: Analysed, utterance: Utterance, copies: Sequence[Analysed]) -> Arrays:
        texts = [""] * len(copies)
        if words_of(utterance.transcript):
            texts[0] = str(self.recogniser(copies[0].audio.mono))
        return {text_by(self.name): np.array(texts)}
