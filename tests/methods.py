"""Disguises that only tests use. They are here, not in a test, so that worker processes can import them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from deident.audio import Audio
from deident.disguise import Method
from deident.pipeline import plan
from deident.policy import Policy
from deident.recording import Observer, Recording, Tally


@dataclass(frozen=True)
class Sine(Method[float]):
    """Replaces a snippet by a sine of the drawn frequency: what was drawn can be read off the output."""

    stretch: float = 1.0
    by: float = 1.0  # how much longer it really makes things

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(200.0, 4_000.0))

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        time = np.arange(round(len(audio) * self.by)) / audio.rate
        return Audio(0.1 * np.sin(2 * np.pi * voice * time), audio.rate)


@dataclass(frozen=True)
class Pair(Method[float]):
    """A voice, and chance of its own for each snippet: the two are the output's halves."""

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform())

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        return Audio(np.repeat((voice, float(rng.uniform())), len(audio) // 2), audio.rate)


@dataclass(frozen=True)
class Through(Method[None]):
    """Passes everything on: what is gone from the output, the run took out."""

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
        return audio


@dataclass(frozen=True)
class Anew(Through):
    """Says that it makes quiet parts anew."""

    replaces_quiet: ClassVar[bool] = True


@dataclass(frozen=True)
class Failing(Method[None]):
    """Fails with a message that holds what it failed on, as real bugs do."""

    text: str = "secret-canary"

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
        raise ZeroDivisionError(self.text)


@dataclass(frozen=True)
class Together(Sine):
    """Tells what it was given together: snippets of `refused` samples fail, and those with them."""

    given: list[list[int]] = field(default_factory=list)
    refused: int = 0

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        return self.apply_all([audio], [voice], [rng])[0]

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[float], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        self.given.append([len(audio) for audio in audios])
        if self.refused in self.given[-1]:
            raise ArithmeticError
        return [super(Together, self).apply(*one) for one in zip(audios, voices, rngs, strict=True)]


@dataclass(frozen=True)
class Deadly(Method[None]):
    """Kills its process when the snippet is louder than `above`, once the file `after` is there."""

    above: float = 0.0
    after: str = ""

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
        if np.abs(audio.mono).max() > self.above:
            until = time.monotonic() + 60
            while self.after and not os.path.exists(self.after) and time.monotonic() < until:
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)
        return audio


@dataclass(frozen=True)
class Replaced:
    """A speech detector that puts the file `new` in the place of `old` while it is at work, and finds nothing."""

    new: str
    old: str

    def __call__(self, samples: np.ndarray, rate: int) -> list[tuple[int, int]]:
        os.replace(self.new, self.old)
        return []


def frequency(samples: np.ndarray, rate: int = 16_000) -> float:
    """Of a sine, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size), 1 << 18))
    return float(np.argmax(spectrum)) * rate / (1 << 18)


def planned(source: Any, policy: Policy | None = None, **known: Any) -> Tally:
    """`plan` of what is known of a recording, by the names of `Recording`."""
    recording = Recording("", **{name: tuple(values) for name, values in known.items()})
    return plan(source, recording, policy or Policy(disguise=Sine()), None, Observer())
