"""Comparing disguises, 2: write one.

Settings draw a voice; the voice and the sound alone say what comes out. Nothing else is needed for `run`,
`preview` and `evaluate` to take it. This one is a toy: it moves the spectrum up and protects nobody.

    python examples/07_own_disguise.py"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import deident
from deident.disguise import Method

RECORDINGS = Path(__file__).parent / "recordings"


@dataclass(frozen=True)
class RingVoice:
    hz: float = field(repr=False)  # what was drawn stays out of logs


@dataclass(frozen=True)
class Ring(Method[RingVoice]):
    """Ring modulation: every frequency is moved up and down by the drawn one."""

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
