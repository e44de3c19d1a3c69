"""Pipelines, 2: samples in, samples out. Nothing touches the disk.

python examples/02_arrays.py"""

from pathlib import Path

import deident

RECORDINGS = Path(__file__).parent / "recordings"


def main() -> None:
    audio = deident.read(RECORDINGS / "meeting.flac")  # or from wherever your samples come
    samples, rate = audio.samples, audio.rate

    tally = deident.Tally()
    for snippet in deident.deidentify((samples, rate), tally=tally):
        print(
            f"{snippet.seconds:5.2f} s  {snippet.samples.dtype}  {len(snippet.encode('flac')):6} bytes of FLAC"
        )
    print(f"of {tally.speech_seconds:.1f} s of speech, {tally.released_seconds:.1f} s released")

    # If the segments with speech are known, give them, in samples at 16 kHz.
    segments = [deident.Segment(16_000, 64_000), deident.Segment(96_000, 120_000)]
    print([round(s.seconds, 2) for s in deident.deidentify((samples, rate), segments=segments)])


if __name__ == "__main__":
    main()
