"""Recognition of words with their times: the seam for a recogniser, and Whisper behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from deident.audio import Floats, Samples
from deident.errors import require
from deident.evaluation.words import whisper_model

BEAM_SIZE = 5  # of what reads a snippet again
_MOST_TOKENS = 200
_MOST_PROMPT = 220  # tokens; what is longer, faster-whisper cuts off
_WINDOWS_KEPT = 4  # encoded: Whisper reads a chunk in one or two, each at most 8 MB


class SpokenWord(NamedTuple):
    """A word that was recognised. start, stop : seconds.   confidence : 0 to 1."""

    text: str
    start: float
    stop: float
    confidence: float = 1.0

    def __repr__(self) -> str:
        return "SpokenWord(hidden)"


Recogniser = Callable[[Samples], Sequence[Any]]


@dataclass(frozen=True)
class WhisperWords:
    """Words with times by Whisper, of `faster-whisper`.

    A sound that recognisers of one model read one after the other is encoded once, which is most of the work.

    Parameters
    ----------
    model : str
        A folder with a model in CTranslate2's format, or a name that `faster-whisper` knows and downloads.
    language : str
    expected : tuple of str
        Names that may be said. Whisper leaves out names that it does not know, unless its prompt has them.
    beam_size : int
        Hypotheses that are followed at once.

    Raises
    ------
    ExtraMissingError
        Without the extra find.
    """

    model: str
    language: str = "en"
    expected: tuple[str, ...] = ()
    beam_size: int = 1

    def __post_init__(self) -> None:
        require("find", "recognising words", "faster_whisper")

    def __call__(self, samples: Samples) -> list[SpokenWord]:
        """Recognise (samples,) float32 at 16 kHz, up to 30 s."""
        segments, _ = _encoding_once(self.model).transcribe(
            samples,
            language=self.language,
            beam_size=self.beam_size,
            temperature=0.0,
            vad_filter=False,
            condition_on_previous_text=False,
            word_timestamps=True,
            max_new_tokens=_MOST_TOKENS,
            hotwords=_prompt(self.expected) or None,
        )
        return [
            SpokenWord(word.word.strip(), word.start, word.end, word.probability)
            for segment in segments
            for word in segment.words or ()
        ]

    def expecting(self, names: Iterable[str]) -> Iterator[WhisperWords]:
        """Yield recognisers that expect names, each as many as its prompt holds.

        Parameters
        ----------
        names : iterable of str

        Yields
        ------
        WhisperWords
        """
        tokens = whisper_model(self.model).hf_tokenizer.encode
        group: tuple[str, ...] = ()
        for name in names:
            if group and len(tokens(_prompt((*group, name)), add_special_tokens=False).ids) > _MOST_PROMPT:
                yield replace(self, expected=group)
                group = ()
            group = (*group, name)
        if group:
            yield replace(self, expected=group)


@cache
def _encoding_once(model: str) -> Any:
    """Load a model that keeps what it made of the sounds that it encoded last."""
    whisper = whisper_model(model)
    whisper.encode = keeping_results(whisper.encode)
    return whisper


def keeping_results(encode: Callable[[Floats], Any]) -> Callable[[Floats], Any]:
    """Make a function of an array that returns what it kept, where the array is one of the last few."""

    @lru_cache(_WINDOWS_KEPT)
    def of_bytes(features: bytes, shape: tuple[int, ...]) -> Any:
        return encode(np.frombuffer(features, np.float32).reshape(shape).copy())

    return lambda features: of_bytes(np.asarray(features, np.float32).tobytes(), features.shape)


def _prompt(names: Sequence[str]) -> str:
    return ", ".join(names)
