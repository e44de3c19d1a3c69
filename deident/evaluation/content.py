"""An attacker that listens to what is said and when: words, and the durations of words and pauses.

A disguise of the voice leaves both. One read sentence tells little; a few of free speech tell more.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from deident.audio import RATE, Doubles, Floats
from deident.disguise.base import Method
from deident.evaluation.attack import Attack, Attacker, Evidence
from deident.evaluation.cache import Cache, digest, fingerprint, source_digest
from deident.evaluation.corpus import Utterance
from deident.evaluation.fusion import fuse
from deident.evaluation.scoring import Retrained, Untrained
from deident.evaluation.words import words_of

TimedWord = tuple[str, float, float]

TIMINGS = 12  # numbers of `timing_of`
BUCKETS = 128  # of hashed words
PAUSE = 0.06  # seconds: less between two words is none


class Content(Attacker):
    """Semi-informed with the words, and the timing of words and pauses, that a recogniser finds in disguised speech.

    Parameters
    ----------
    recogniser : callable
        From (samples,) at 16 kHz to text. One with `timed`, from the same to (word, start, end) in seconds, gives
        the timing too.
    """

    summary = "compares words, and the durations of words and pauses, as a recogniser finds them"
    fused = "none"  # as of every attacker with vectors of its own
    trains = True
    family = "words and timing"
    uses = ("train",)
    must_recognise = False  # most people say and time things alike

    def __init__(self, recogniser: Any) -> None:
        self.recogniser = recogniser

    def encoder(
        self, method: Method[Any], utterances: Sequence[Utterance], seed: int, cache: Cache
    ) -> Reader:
        said = [set(words_of(u.transcript)) for u in utterances if u.transcript]
        counts = Counter(word for words in said for word in words)
        return Reader(
            self.recogniser, {word: np.log(len(said) / n) + 1.0 for word, n in sorted(counts.items())}
        )

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        parts = {}
        for name, scoring, columns in (
            ("timing", Retrained(), slice(0, TIMINGS)), ("words", Untrained(), slice(TIMINGS, None)),
        ):  # fmt: skip
            e = _columns(evidence, columns)
            if e.train.shape[-1]:
                parts[name] = e.attack(scoring, e.train, e.enrol, e.train)
        return replace(fuse(parts), note=", ".join(f"{name}: {part.note}" for name, part in parts.items()))


def _columns(evidence: Evidence, columns: slice) -> Evidence:
    """Keep some dimensions of all vectors."""
    names = ("train", "train_original", "trial", "enrol", "enrol_original")
    return replace(evidence, **{name: getattr(evidence, name)[..., columns] for name in names})


@dataclass(frozen=True)
class Reader:
    """From a snippet to the numbers of its timing and to its hashed words.

    Attributes
    ----------
    recogniser : callable
    rarity : dict of str to float
        Weights of words, by the training speakers' transcripts; others weigh as much as the rarest.
    """

    recogniser: Any
    rarity: dict[str, float] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return digest(
            "content", fingerprint(self.recogniser), sorted(self.rarity.items()), source_digest(__name__)
        )

    def __call__(self, samples: Floats) -> Floats:
        """(`TIMINGS` + `BUCKETS`,) of (samples,) at 16 kHz."""
        timed = getattr(self.recogniser, "timed", None)
        if timed is None:
            text, timing = self.recogniser(samples), np.zeros(TIMINGS)
        else:
            words = timed(samples)
            text, timing = " ".join(word for word, _, _ in words), timing_of(words, len(samples) / RATE)
        return np.concatenate((timing, self._hashed(text))).astype(np.float32)

    def _hashed(self, text: str) -> Doubles:
        """(BUCKETS,) unit vector of words weighted by their rarity. Weinberger et al., ICML 2009."""
        found, rarest = np.zeros(BUCKETS), max(self.rarity.values(), default=1.0)
        for word in words_of(text):
            code = zlib.crc32(word.encode())
            found[code % BUCKETS] += (1.0 if code & (1 << 20) else -1.0) * self.rarity.get(word, rarest)
        return found / max(float(np.linalg.norm(found)), 1e-9)


def timing_of(words: Sequence[TimedWord], seconds: float) -> Doubles:
    """Speaking rate, and durations of words and pauses.

    Parameters
    ----------
    words : sequence of (str, float, float)
        Each word with the seconds at which it begins and ends.
    seconds : float
        Length of the snippet.

    Returns
    -------
    (TIMINGS,) float64
    """
    letters = np.array([max(len(re.sub(r"\W", "", word)), 1) for word, _, _ in words], np.float64)
    lengths = np.array([max(end - start, 0.02) for _, start, end in words])
    if not len(words):
        return np.zeros(TIMINGS)
    slow = np.log(lengths / (0.08 + 0.05 * letters))  # against what so many letters take
    gaps = np.array([after[1] - before[2] for before, after in pairwise(words)])
    pauses = gaps[gaps > PAUSE]
    spoken = max(float(lengths.sum()), 0.05)
    classes = [slow[letters <= 3], slow[(letters > 3) & (letters <= 6)], slow[letters > 6]]
    return np.array(
        [
            slow.mean(), slow.std(), slow[-1], *(part.mean() if part.size else slow.mean() for part in classes),
            np.log(letters.sum() / spoken), np.log(len(words) / max(seconds, 0.1)),
            len(pauses) / len(words), np.log(pauses).mean() if pauses.size else np.log(PAUSE),
            np.log(pauses.max(initial=PAUSE)), spoken / max(seconds, 0.1),
        ]
    )  # fmt: skip
