"""Training sets, 2: a disguise as augmentation, for audiomentations, torch or a plain loop.

A disguise is a callable of (samples, sample_rate). Every call draws another voice.

    python examples/05_augmentation.py"""

from pathlib import Path

import numpy as np

import deident

RECORDINGS = Path(__file__).parent / "recordings"


class Snippets:
    """A map-style data set for `torch.utils.data.DataLoader`."""

    def __init__(self, recording: Path, disguise: deident.Disguise) -> None:
        audio = deident.read(recording)
        self.rate = audio.rate
        self.pieces = [audio.mono[s.start : s.stop] for s in deident.find_speech(audio)]
        self.disguise = disguise

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.disguise(self.pieces[index], sample_rate=self.rate)


def main() -> None:
    snippets = Snippets(RECORDINGS / "reading.mp3", deident.DISGUISES["psola"](semitones=(2.0, 4.0)))
    print(f"{len(snippets)} pieces; the first has shape {snippets[0].shape}")
    print(f"another voice at every call: {not np.array_equal(snippets[0], snippets[0])}")

    choosing = np.random.default_rng()  # a disguise has no probability: the caller chooses
    batch = [snippets[i] if choosing.random() < 0.5 else snippets.pieces[i] for i in range(len(snippets))]
    print(f"a batch of {len(batch)}, each disguised with probability 0.5")


if __name__ == "__main__":
    main()
