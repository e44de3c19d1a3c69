"""FLAC frames that have been changed by someone who knows how to make their checksums right again.

The decoder is left out: these are for the walk to see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deident.audit import AuditError
from deident.audit.flac import canonical_header, coded, crc8, frame_size
from tests.dirty import voice
from tests.test_audit import broken, crc16, flac

ONE = voice(0.1)


def one_frame() -> tuple[bytes, bytes]:
    """A frame's header, and the rest of it without its checksum."""
    data, size = flac(ONE), len(canonical_header(0, ONE.size))
    return data[42 : 42 + size], data[42 + size : -2]


def proved(frame: bytes, samples: np.ndarray = ONE) -> int:
    whole = frame + crc16(frame)
    return frame_size(whole, 0, 0, samples.astype(np.int64))


def test_a_frame_is_as_long_as_its_sound() -> None:
    header, body = one_frame()
    assert proved(header + body) == len(header + body) + 2
    for hidden in (b"hidden", b"h", b"\0"):
        with pytest.raises(AuditError, match="checksum"):
            proved(header + body + hidden)


def test_bits_before_a_frames_checksum_are_seen() -> None:
    seen = 0
    for size in range(1600, 1632):
        samples = voice(0.2)[:size]
        frame = flac(samples)[42:-2]
        if frame[-1] & 1 == 0:
            with pytest.raises(AuditError, match=r"zero bits|samples"):
                proved(frame[:-1] + bytes([frame[-1] | 1]), samples)
            seen += 1
    assert seen


def test_a_header_with_another_form_is_seen() -> None:
    header, body = one_frame()
    for place, value in ((1, 0xF9), (2, header[2] & 0xF0), (3, 0x00), (3, 0x18), (3, 0x09), (4, 1)):
        other = bytearray(header[:-1])
        other[place] = value
        with pytest.raises(AuditError, match="header"):
            proved(bytes(other) + bytes([crc8(bytes(other))]) + body)


def test_another_subframe_is_seen() -> None:
    header, body = one_frame()
    for first in range(256):
        if first != body[0]:
            with pytest.raises(AuditError, match="frame 0"):
                proved(header + bytes([first]) + body[1:])


def test_every_bit_of_a_frame_counts_without_its_checksum() -> None:
    header, body = one_frame()
    for place in range(0, 8 * len(body), 13):
        frame = bytearray(body)
        frame[place // 8] ^= 0x80 >> place % 8
        with pytest.raises(AuditError):
            proved(header + bytes(frame))


def test_silence_has_one_spelling() -> None:
    silence, header = np.zeros(4096, np.int16), canonical_header(0, 4096)
    assert proved(header + bytes(3), silence) == len(header) + 5
    with pytest.raises(AuditError, match="wastes"):
        proved(header + bytes.fromhex("012000"), silence)  # three bits fewer for each zero


def test_other_sound_is_seen() -> None:
    header, body = one_frame()
    for place in (0, 1, 40, 1000, 1599):
        samples = ONE.copy()
        samples[place] += 1
        with pytest.raises(AuditError, match="frame 0"):
            proved(header + body, samples)


def test_sound_of_another_recording_is_seen() -> None:
    mine, other = flac(voice(0.1)), flac(voice(0.2)[800:2400])
    assert "STREAMINFO" in broken(mine[:42] + other[42:])


def test_streaminfo_is_recomputed() -> None:
    data = flac(voice(0.5))
    for place in range(4, 42):
        broken(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert "STREAMINFO" in broken(data[:26] + bytes(16) + data[42:])  # no MD5, as streams have it
    assert "STREAMINFO" in broken(data[:12] + bytes(6) + data[18:])  # no frame sizes


def test_frames_in_another_order_are_seen() -> None:
    samples = np.concatenate([voice(0.256), voice(0.256)[::-1]])
    data = flac(samples)
    second = data.index(canonical_header(1, 4096))
    broken(data[:42] + data[second:] + data[42:second])
    broken(data[:second])
    broken(data + data[second:])


def test_numbers_of_frames_are_coded_as_utf8_is() -> None:
    for number in (0, 127, 128, 2047, 2048, 65535, 65536, 0x10FFFF):
        assert coded(number) == chr(number).encode("utf-8", "surrogatepass")
    assert coded(0x7FFFFFFF) == b"\xfd" + b"\xbf" * 5


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"RIFF", b"fLaC", flac(voice(0.02))[:60]]))
def test_only_the_audits_own_error_comes_out(rest: bytes, start: bytes) -> None:
    broken(start + rest)
