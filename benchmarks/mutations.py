"""Changes of a released file that the audit catches: python -m benchmarks.mutations [--count 10000]

Every kind of change that a faulty disk, a careless tool or a hidden message makes: one byte changed,
inserted, appended, prepended, removed. A byte of a WAV's samples is sound like any other: that one is for the
manifest's checksum, and is counted apart."""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from collections import Counter

import numpy as np
import soundfile

from deident.audit import AuditError, inspect
from deident.audit.snippet import WAV_HEADER, canonical_header

RATE = 16_000
CHANGES = ("change", "insert", "append", "prepend", "remove", "truncate")


def tone(seconds: float, seed: int) -> np.ndarray:
    """(samples,) int16: a gliding tone in noise, which a coder treats much as it treats speech."""
    time_axis = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(0, 300, time_axis.size)
    return (6000 * np.sin(2 * np.pi * (120 + 40 * time_axis) * time_axis) + noise).astype(np.int16)


def wav(samples: np.ndarray) -> bytes:
    return canonical_header(2 * samples.size) + samples.astype("<i2").tobytes()


def flac(samples: np.ndarray, level: float = 0.62) -> bytes:
    """The frames libFLAC makes, after its marker and STREAMINFO alone."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16", compression_level=level)
    data, position, last = file.getvalue(), 4, False
    while not last:
        last = bool(data[position] & 0x80)
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    return b"fLaC\x80" + data[5:42] + data[position:]


def changed(data: bytes, kind: str, rng: random.Random, limit: int | None = None) -> bytes:
    """A copy with one change. limit : the first byte that may not be changed."""
    place, extra = rng.randrange(limit or len(data)), bytes([rng.randrange(256)])
    if kind == "change":
        return data[:place] + bytes([data[place] ^ rng.randrange(1, 256)]) + data[place + 1 :]
    if kind == "insert":
        return data[:place] + extra + data[place:]
    if kind == "append":
        return data + extra * rng.choice((1, 1, 2, 3, 16))
    if kind == "prepend":
        return extra * rng.choice((1, 1, 2, 3, 16)) + data
    if kind == "remove":
        return data[:place] + data[place + 1 :]
    return data[:place]


def caught(data: bytes) -> bool:
    try:
        inspect(data, max_seconds=10.0)
    except AuditError:
        return True
    return False


def measure(count: int, seed: int = 1) -> dict[str, list[int]]:
    """(caught, tried) by kind of change, for `count` changes of structure in all."""
    rng, table = random.Random(seed), {}
    sounds = [tone(seconds, n) for n, seconds in enumerate((0.05, 0.3, 1.0))]
    originals = {"wav": [wav(s) for s in sounds], "flac": [flac(s) for s in sounds]}
    for number in range(count):
        format_, kind = ("wav", "flac")[number % 2], CHANGES[number // 2 % len(CHANGES)]
        data = rng.choice(originals[format_])
        limit = WAV_HEADER if (format_, kind) == ("wav", "change") else None
        row = table.setdefault(f"{format_} {kind}", [0, 0])
        mutant = changed(data, kind, rng, limit)
        if mutant == data:
            continue
        row[0] += caught(mutant)
        row[1] += 1
    row = table.setdefault("wav change of a sample (left to the checksum)", [0, 0])
    data = originals["wav"][1]
    for _ in range(100):
        row[0] += caught(data[:WAV_HEADER] + changed(data[WAV_HEADER:], "change", rng))
        row[1] += 1
    return table


def total(table: dict[str, list[int]]) -> tuple[int, int]:
    """(caught, tried) over all but the changes that only a checksum can tell."""
    sums = Counter()
    for kind, (hits, tries) in table.items():
        if "checksum" not in kind:
            sums.update(caught=hits, tried=tries)
    return sums["caught"], sums["tried"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks mutations", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    began = time.process_time()
    table = measure(options.count, options.seed)
    hits, tries = total(table)
    if options.json:
        print(json.dumps({"caught": hits, "tried": tries, "kinds": table}))
    else:
        for kind, (good, of) in sorted(table.items()):
            print(f"{kind:48s} {good:6d} of {of:6d}")
        print(f"{'structure, in all':48s} {hits:6d} of {tries:6d} = {100 * hits / max(1, tries):.3f} %")
        print(f"CPU {time.process_time() - began:.1f} s")
    return 0 if hits >= 0.999 * tries else 1


if __name__ == "__main__":
    sys.exit(main())
