"""Recordings that differ anywhere are told apart by the digest of their files."""

import io
from pathlib import Path

import numpy as np
import soundfile

from deident.audio import RATE
from deident.codec import decode, read
from deident.policy import Policy
from deident.runs.run import run
from tests.methods import Sine


def digest_of(content: bytes) -> str:
    with decode(io.BytesIO(content)) as decoding:
        assert decoding.file_sha256 == ""
        for _ in decoding:
            pass
        return decoding.file_sha256


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, "PCM_16", format="WAV")
    return file.getvalue()


def test_every_byte_counts() -> None:
    whole = wav(np.zeros(RATE * 20))
    changed = [whole, whole[:-2]]
    for at in (44, 100_001, 2**16 - 1, 2**16, 320_000, len(whole) - 1):
        other = bytearray(whole)
        other[at] ^= 1
        changed.append(bytes(other))
    assert len({digest_of(content) for content in changed}) == len(changed)
    assert digest_of(whole) == digest_of(whole)


def test_parts_in_another_order_are_another_file() -> None:
    rng = np.random.default_rng(3)
    parts = [rng.normal(0, 0.1, 1 << 15) for _ in range(4)]  # each as long as what is taken in at a time
    orders = [(0, 1, 2, 3), (1, 0, 2, 3), (3, 2, 1, 0)]
    assert len({digest_of(wav(np.concatenate([parts[i] for i in order]))) for order in orders}) == 3


def test_recordings_that_are_mostly_silence_are_both_released(recordings: Path, tmp_path: Path) -> None:
    """Two channels of one meeting, of equal length, that say something for some seconds each."""
    speech = read(recordings / "reading.mp3").mono[: 8 * RATE]
    for name, at in (("a.wav", 20.3), ("b.wav", 41.7)):
        track = np.zeros(600 * RATE, np.float32)
        track[round(at * RATE) :][: speech.size] = speech if name == "a.wav" else speech[::-1]
        (tmp_path / name).write_bytes(wav(track))
    summary = run([tmp_path / "a.wav", tmp_path / "b.wav"], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert summary.states["released"] == 2
