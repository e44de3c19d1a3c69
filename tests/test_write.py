"""The bytes that leave: exactly the promised ones, and nothing else."""

import hashlib
import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deident.codec import ENCODERS, encode_flac, encode_wav
from deident.errors import SettingError

pcm_arrays = arrays(np.int16, st.integers(1, 9_000), elements=st.integers(-(2**15), 2**15 - 1))
speechlike = (8_000 * np.sin(np.arange(40_000) / 20)).astype(np.int16)


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@given(pcm=pcm_arrays)
@settings(max_examples=25, deadline=None)
def test_every_sample_comes_back(encode, pcm):
    read, rate = soundfile.read(io.BytesIO(encode(pcm)), dtype="int16")
    assert rate == 16_000
    assert np.array_equal(read, pcm)


def test_a_wav_is_its_44_bytes_and_the_samples():
    encoded = encode_wav(speechlike)
    size = 2 * len(speechlike)
    assert encoded[:44].hex(" ", 4) == (
        b"RIFF" + struct.pack("<I", size + 36) + b"WAVE"
        b"fmt \x10\0\0\0" b"\1\0\1\0" b"\x80\x3e\0\0" b"\0\x7d\0\0" b"\2\0\x10\0"
        b"data" + struct.pack("<I", size)
    ).hex(" ", 4)  # fmt: skip
    assert encoded[44:] == speechlike.astype("<i2").tobytes()


def test_the_standard_library_reads_the_wav():
    with wave.open(io.BytesIO(encode_wav(speechlike))) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, len(speechlike))


def test_a_flac_has_one_block_that_tells_the_truth():
    encoded = encode_flac(speechlike)
    assert encoded[:8] == b"fLaC" + bytes([0x80, 0, 0, 34])
    info = encoded[8:42]
    packed = int.from_bytes(info[10:18], "big")
    assert packed >> 44 == 16_000
    assert packed >> 41 & 7 == 0  # one channel
    assert packed >> 36 & 31 == 15  # 16 bits
    assert packed & (2**36 - 1) == len(speechlike)
    assert info[18:] == hashlib.md5(speechlike.astype("<i2").tobytes()).digest()
    assert encoded[42] == 0xFF
    assert encoded[43] & 0xFC == 0xF8  # the first frame follows at once
    assert b"libFLAC" not in encoded


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
def test_the_bytes_depend_on_the_samples_alone(encode):
    other = speechlike.copy()
    other[100] += 1
    assert encode(speechlike) == encode(speechlike.copy()) == encode(speechlike[::1])
    assert encode(other) != encode(speechlike)


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
def test_strided_samples_are_written_in_their_order(encode):
    assert encode(speechlike[::-2]) == encode(speechlike[::-2].copy())


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(0, np.int16),
        np.zeros((1, 8), np.int16),
        np.zeros(8, np.float32),
        np.zeros(8, np.int32),
    ],
    ids=["empty", "two axes", "float", "int32"],
)
def test_only_samples_are_written(encode, wrong):
    with pytest.raises(SettingError):
        encode(wrong)
