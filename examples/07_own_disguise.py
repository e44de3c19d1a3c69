"""Comparing disguises, 2: write one.

A method draws a voice from its settings, and applies the voice to audio. `run`, `preview` and `evaluate` need no
more. This one is a toy: it moves the spectrum and protects nobody.

    python examples/07_own_disguise.py"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import deident
from deident.disguise import Method

RECORDINGS = Path(__file__).parent / "recordings"


@dataclass(frozen=True)
class RingVoice:
    hz: float = field(repr=False)  # keeps the drawn value out of logs


@dataclass(frozen=True)
class Ring(Method[RingVoice]):
    """Ring modulation: moves every frequency up and down by the drawn one."""

    hz: tuple[float, float] = (20.0, 60.0)

    def draw(self, rng: np.random.Generator) -> RingVoice:
        return RingVoice(float(rng.uniform(*self.hz)))

    def apply(self, audio: deident.Audio, voice: RingVoice, rng: np.random.Generator) -> deident.Audio:
        phase = 2.0 * np.pi * voice.hz / audio.rate * np.arange(len(audio))
        return deident.Audio(audio.mono * np.cos(phase), audio.rate)


def main() -> None:
    policy = deident.Policy(disguise=Ring(), cutting=deident.CuttingSettings(max_seconds=6.0))
    snippets = list(deident.deidentify(RECORDINGS / "meeting.flac", policy))
    print(f"{len(snippets)} snippets as {policy.disguise}")
    print(f"with another method behind it: {deident.Chain((Ring(), deident.DISGUISES['mcadams']()))}")


if __name__ == "__main__":
    main()
