"""FLAC of every width, block size and encoder is read whole, by libsndfile or by our own decoder."""

from __future__ import annotations

import io
import struct
import tempfile

import numpy as np
import pytest
import soundfile

from deident.codec.files import Bytes
from deident.codec.flac_frames import FrameDecoder, first_frame
from tests import hostile
from tests.flac_writer import flac
from tests.test_read_whole import RATE, SPEECH, mp3, read, recording_flac


@pytest.mark.parametrize("bits", [4, 8, 12, 13, 15, 16, 17, 20, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_of_any_width(bits: int, channels: int) -> None:
    if bits not in (8, 16, 24):
        pytest.importorskip("av")
    whole = np.random.default_rng(bits).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (9_000, channels))
    samples, partial = read(flac(whole, bits), channels="split")
    assert partial is None
    assert np.abs(samples - whole.T / 2.0 ** (bits - 1)).max() < 2**-22


@pytest.mark.parametrize(
    "blocks",
    [16, 192, 1_000, 32_768, 50_000, 65_535, 65_536, [4_096, 16], [1_000, 300, 4_608, 700],
     [300, 65_536, 500], [65_536, 300]],
)  # fmt: skip
@pytest.mark.parametrize("bits", [16, 24])
def test_flac_of_any_block_size(blocks: int | list[int], bits: int) -> None:
    whole = np.random.default_rng(1).integers(
        -(2 ** (bits - 1)), 2 ** (bits - 1), (70_000 if blocks != 16 else 5_000, 1)
    )
    content = flac(whole, bits, blocks)
    for given in (content, content[:21] + bytes([content[21] & 0xF0]) + bytes(4) + content[26:]):
        samples, partial = read(given)
        assert partial is None
        assert np.array_equal(samples[0], whole[:, 0] / np.float32(2.0 ** (bits - 1)))
    assert read(content[:-100])[1] == "truncated"


@pytest.mark.parametrize("bits", [12, 15, 20, 32])
@pytest.mark.parametrize(("blocks", "channels"), [(65_536, 1), ([300, 65_536, 500], 2), (65_535, 8)])
def test_flac_of_frames_that_no_library_at_hand_reads(
    bits: int, blocks: int | list[int], channels: int
) -> None:
    whole = np.random.default_rng(1).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (70_000, channels))
    content = flac(whole, bits, blocks)
    samples, partial = read(content, channels="split")
    assert partial is None
    assert np.abs(samples - whole.T / 2.0 ** (bits - 1)).max() < 2**-22
    samples, partial = read(content[: len(content) // 2])
    assert partial == "truncated" or not samples.size


SOUNDS_OF_FLAC = {
    "speech": np.round(SPEECH[:, None] * 2_000) / 32_768,
    "noise": np.random.default_rng(2).uniform(-1.0, 1.0, (RATE, 1)),
    "tone": 0.9 * np.sin(np.arange(RATE) / 9.0)[:, None],
    "silence": np.zeros((RATE, 1)),
    "few bits": np.round(SPEECH[:, None] * 8) / 64,
    "near channels": np.stack([SPEECH, np.roll(SPEECH, 1)], axis=1) / 4,
    "opposite channels": np.stack([SPEECH, -SPEECH], axis=1) / 4,
    "left alone": np.stack([SPEECH, 0.01 * SPEECH], axis=1) / 4,
}


@pytest.mark.parametrize("name", SOUNDS_OF_FLAC)
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_own_decoding_of_flac_is_that_of_libsndfile(name: str, subtype: str, level: float) -> None:
    file = io.BytesIO()
    soundfile.write(file, SOUNDS_OF_FLAC[name], RATE, subtype, format="FLAC", compression_level=level)
    file.seek(0)
    expected = soundfile.read(file, dtype="float32", always_2d=True)[0]
    with tempfile.TemporaryFile() as unnamed:
        unnamed.write(file.getvalue())
        unnamed.flush()
        stream = Bytes(unnamed.fileno())
        found = np.concatenate([block for _, block in FrameDecoder(stream, first_frame(stream))])
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.99])
def test_a_damaged_frame_of_65536_samples_ends_what_is_read(place: float) -> None:
    whole = np.random.default_rng(1).integers(-(2**15), 2**15, (150_000, 1))
    content = bytearray(flac(whole, 16, 65_536))
    content[int(place * len(content))] ^= 0x10
    samples, partial = read(bytes(content))
    assert samples.shape[1] == {0.2: 0, 0.5: 65_536, 0.99: 131_072}[place]
    assert partial in ("damaged", "truncated", "undecodable")


def test_flac_of_variable_blocks_as_before_2007() -> None:
    """The number of the first sample in every frame, without the flag for it, which was not there yet."""
    whole = np.random.default_rng(1).integers(-(2**15), 2**15, (9_000, 1))
    content = flac(whole, 16, [2_304, 576, 4_608], has_flag=False)
    samples, partial = read(content)
    assert (samples.shape[1], partial) == (9_000, None)


@pytest.mark.parametrize("other", ["mp3", "wav", "noise"])
def test_what_is_glued_to_a_flac_is_told(other: str) -> None:
    rest = {
        "mp3": mp3(44_100, 1), "wav": hostile.wav(bytes(20_000), rate=RATE),
        "noise": np.random.default_rng(3).bytes(9_000),
    }[other]  # fmt: skip
    samples, partial = read(recording_flac() + rest)
    assert (samples.shape[1], partial) == (len(SPEECH), "extra-data")
    assert read(recording_flac() + rest[:2_000])[1] is None


@pytest.mark.parametrize("claim", [16, 1_152, 65_535])
def test_flac_that_claims_other_block_sizes(claim: int) -> None:
    whole = np.random.default_rng(1).integers(-(2**15), 2**15, (50_000, 1))
    content = flac(whole, 16, 4_096)
    lying = content[:8] + struct.pack(">HH", claim, claim) + content[12:]
    samples, partial = read(lying)
    assert samples.shape[1] == 50_000 or partial


def test_flac_that_changes_its_rate_is_read_at_each() -> None:
    pytest.importorskip("av")
    whole = np.random.default_rng(1).integers(-(2**15), 2**15, (16_000, 1))
    first, second = flac(whole, 16), flac(whole, 16, rate=32_000, has_rate=True, first=4)
    samples, partial = read(first + second[42:])
    assert partial is not None or samples.shape[1] == pytest.approx(24_000, abs=50)
