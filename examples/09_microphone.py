"""Pipelines, 4: a live source. Snippets are written seconds after they end, for as long as the source goes on.

Raw samples of 16 bits come by the standard input, from a microphone or anything else:

    arecord -q -t raw -f S16_LE -r 16000 -c 1 | python examples/09_microphone.py"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

import deident


def blocks(source: BinaryIO, channels: int) -> Iterator[np.ndarray]:
    """Read (channels, samples) of int16, as they come: until the end, or Ctrl-C."""
    frame = 2 * channels  # bytes
    rest = b""
    try:
        while read := source.read1(8_192):
            rest += read
            whole = len(rest) // frame * frame
            yield np.frombuffer(rest[:whole], dtype="<i2").reshape(-1, channels).T
            rest = rest[whole:]
    except KeyboardInterrupt:
        pass  # what was said until now is still released


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=int, default=16_000, help="sample rate, Hz")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("live-09"), help="folder for the snippets")
    options = parser.parse_args()

    policy = deident.Policy.preset("review", live=True)
    options.out.mkdir(mode=0o700, exist_ok=True)
    tally = deident.Tally()
    source = blocks(sys.stdin.buffer, options.channels)
    for snippet in deident.stream(source, options.rate, policy, tally=tally):
        snippet.save(options.out / f"{snippet.name}.wav")
        print(f"{snippet.seconds:.1f} s", flush=True)
    print(f"{tally.snippets} snippets of {tally.read_seconds:.1f} s")


if __name__ == "__main__":
    main()
