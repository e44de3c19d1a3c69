"""Sound to hear: synthetic voices before and after every preset and method.

`python -m website.sounds FOLDER` writes the files and `index.md`, the table that docs/methods.md shows on the site."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from deident import DISGUISES, Audio, Key, Policy, Segment, deidentify, read
from deident.disguise.presets import PRESETS
from deident.segment import RATE

RECORDINGS = Path(__file__).parents[1] / "examples" / "recordings"
SECONDS = 3.0
# Two keys that anyone can write down: the voices are the first that each draws, not the ones that sound best.
KEY, OTHER_KEY = Key(bytes(32)), Key(bytes([1] * 32))


@dataclass(frozen=True)
class Example:
    """A synthetic voice: SECONDS of a recording from a start on."""

    title: str
    file: str
    start: float
    channels: str | int = "mix"

    def audio(self) -> Audio:
        whole = read(RECORDINGS / self.file, channels=self.channels)
        first = round(self.start * RATE)
        return Audio(whole.mono[first : first + round(SECONDS * RATE)], RATE)


EXAMPLES = {
    "reading": Example("a reader", "reading.mp3", 0.0),
    "meeting": Example("a meeting, with noise and hum", "meeting.flac", 1.0),
    "call": Example("a telephone line", "call.wav", 5.9, channels=1),
}


def takes() -> Iterator[tuple[str, str, Policy, Key]]:
    """Yield the rows after the original: a name for files, a title, and what makes them."""
    for name in PRESETS:
        yield name, f"`{name}`", Policy.preset(name, repeatable=True), KEY
        if name == "review":
            yield "review2", "`review`, another draw", Policy.preset(name, repeatable=True), OTHER_KEY
    for name, kind in DISGUISES.items():
        if name != "vocoder":  # the presets are of it
            yield name, f"`{name}`", Policy(disguise=kind(), repeatable=True), KEY


def sounds() -> dict[str, bytes]:
    """Make the files: MP3 by name."""
    made = {}
    for voice, example in EXAMPLES.items():
        audio = example.audio()
        level = 0.0
        for name, _, policy, key in takes():
            whole = [Segment(0, len(audio))]
            (snippet,) = deidentify(audio, policy, key=key, speaker=voice, segments=whole)
            made[f"{voice}-{name}.mp3"] = mp3(snippet.samples)
            level = level or float(np.sqrt(np.mean(snippet.samples**2)))
        before = audio.mono / np.sqrt(np.mean(audio.mono**2)) * level  # as loud as what is released
        made[f"{voice}-original.mp3"] = mp3(before)
    return made


def mp3(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="MP3")
    return file.getvalue()


def table(folder: str) -> str:
    """Write the table of players, in Markdown, for files in a folder."""
    rows = [("original", "before"), *((name, title) for name, title, _, _ in takes())]
    lines = [["", *(example.title for example in EXAMPLES.values())], ["---"] * (len(EXAMPLES) + 1)]
    for name, title in rows:
        players = [
            f'<audio controls preload="none" src="{folder}/{voice}-{name}.mp3"'
            f' title="{example.title}, {name}"></audio>'
            for voice, example in EXAMPLES.items()
        ]
        lines.append([title, *players])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f'<div class="sounds" markdown>\n\n{text}\n</div>\n'


def main(folder: str) -> None:
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for name, data in sounds().items():
        (place / name).write_bytes(data)
    (place / "index.md").write_text(table("."), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
