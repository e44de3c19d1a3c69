"""Sizes that lie, cut files, files glued together, damage: every recording is read to its end, or it is said."""

import io
import struct

import numpy as np
import pytest
import soundfile

from tests import hostile
from tests.test_codec import code_of, decoded, encoded, speech


def with_size(content: bytes, size: int) -> bytes:
    at = content.index(b"data") + 4
    return content[:at] + struct.pack("<I", size) + content[at + 4 :]


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**31, 0x7FFFF000, 2**32 - 1, 2**32 - 1 - 36, 2**32 - 46])
@pytest.mark.parametrize("codec", ["PCM_16", "PCM_24", "FLOAT", "IMA_ADPCM"])
def test_a_size_that_was_never_filled_in_is_not_believed(size, codec):
    content = encoded(speech(2.0), codec=codec)
    whole, _ = decoded(io.BytesIO(content))
    found, decoding = decoded(io.BytesIO(with_size(content, size)), strict=True)
    assert np.array_equal(found, whole)
    assert decoding.partial is None


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_size_that_sox_writes_to_a_pipe_is_not_believed(channels):
    block = 3 * channels
    content = hostile.wav(bytes(block * 8_000), channels=channels, align=block, bits=24, rate=16_000)
    found, decoding = decoded(io.BytesIO(with_size(content, 0x7FFFF000 // block * block)), strict=True)
    assert (found.shape[1], decoding.partial) == (8_000, None)


def test_a_size_that_wrapped_at_4_gb_is_unwrapped(tmp_path):
    path = tmp_path / "long.wav"
    data = 2**32 + 320_000
    with path.open("wb") as file:  # sparse: 4 GB of zeros that take no room
        file.write(hostile.wav(b"", rate=16_000, size=data & 0xFFFFFFFF))
        file.truncate(44 + data)
    from deident.codec.files import Bytes
    from deident.codec.layout import riff

    with path.open("rb") as file:
        layout = riff(Bytes(file.fileno()))
    assert (layout.stop - layout.start, layout.ending) == (data, None)


def test_what_is_cut_is_kept_and_said():
    content = encoded(speech(2.0), codec="PCM_16")
    found, decoding = decoded(io.BytesIO(content[: 44 + 4 * 16_000]))
    assert found.shape == (1, 16_000)
    assert decoding.partial == "truncated"
    assert decoding.source_seconds == 1.0
    assert code_of(io.BytesIO(content[: 44 + 4 * 16_000]), strict=True) == "truncated"


@pytest.mark.parametrize(
    "kind",
    [kind for kind in hostile.FORMATS if kind not in ("mp3", "caf_alac")],
)
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_no_container_is_cut_without_a_word(kind, share):
    content = hostile.sane(kind, 3.0)
    whole, _ = decoded(io.BytesIO(content))
    cut = content[: int(share * len(content))]
    assert code_of(io.BytesIO(cut), strict=True) == "truncated"
    if kind == "vorbis":  # three seconds are a page or two: what is left is refused, or a part of it
        return
    found, decoding = decoded(io.BytesIO(cut))
    assert decoding.partial == "truncated"
    assert found.shape[1] <= share * whole.shape[1] + 8_000


@pytest.mark.parametrize("kind", [kind for kind in hostile.FORMATS if kind != "mp3"])
def test_a_second_recording_in_the_file_is_read_or_said(kind):
    content = hostile.sane(kind, 1.0)
    whole, _ = decoded(io.BytesIO(content))
    found, decoding = decoded(io.BytesIO(content + content))
    assert decoding.partial == "extra-data" or found.shape[1] >= 2 * whole.shape[1]


def test_links_of_an_ogg_chain_are_all_decoded():
    first, second = speech(1.0, 16_000, 1), speech(2.0, 24_000, 2)
    content = encoded(first, 16_000, "OGG", "VORBIS") + encoded(second, 24_000, "OGG", "OPUS")
    found, decoding = decoded(io.BytesIO(content))
    assert decoding.partial is None
    assert abs(found.shape[1] - 3 * 16_000) < 100
    assert np.corrcoef(found[0, :16_000], first[:, 0])[0, 1] > 0.9


def test_a_later_link_without_the_channels_of_the_first_is_reported():
    content = encoded(speech(1.0), 16_000, "OGG", "VORBIS") + encoded(
        speech(1.0, 16_000, 1), 16_000, "OGG", "VORBIS"
    )
    found, decoding = decoded(io.BytesIO(content), channels="split")
    assert (found.shape, decoding.partial) == ((2, 16_000), "extra-data")
    found, decoding = decoded(io.BytesIO(content), channels=1)
    assert (found.shape, decoding.partial) == ((1, 16_000), "extra-data")


def test_flac_in_ogg(tmp_path):
    content = encoded(speech(3.0), 16_000, "FLAC")
    whole, _ = decoded(io.BytesIO(content))
    wrapped = ogg_of_flac(content)
    found, decoding = decoded(io.BytesIO(wrapped))
    assert np.array_equal(found, whole)
    assert (decoding.container, decoding.partial) == ("ogg", None)
    found, decoding = decoded(io.BytesIO(wrapped[: len(wrapped) // 2]))
    assert decoding.partial == "truncated"
    assert np.array_equal(found, whole[:, : found.shape[1]])


def ogg_of_flac(flac: bytes) -> bytes:
    """FLAC to Ogg mapping 1.0; the checksums stay zero, since nobody asks for them."""
    at = hostile._frames_at(flac)
    packets = [b"\x7fFLAC\1\0\0\1" + flac[:42], flac[42:at]]
    packets += [flac[start : start + 3_000] for start in range(at, len(flac), 3_000)]
    pages = []
    for number, packet in enumerate(packets):
        flags = (2 if number == 0 else 0) | (4 if number == len(packets) - 1 else 0)
        laces = [255] * (len(packet) // 255) + [len(packet) % 255]
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, 0, 7, number, 0, len(laces))
        pages.append(head + bytes(laces) + packet)
    return b"".join(pages)


def without_xing(mp3: bytes) -> bytes:
    """The same frames without the one that tells their number, as streams and old encoders have it."""
    from deident.containers.mpeg import mpeg_frame

    assert b"Info" in mp3[:100] or b"Xing" in mp3[:100]
    return mp3[mpeg_frame(mp3[:4]).bytes :]


def test_an_mp3_is_read_to_its_end_whatever_its_first_frame_suggests():
    loud, quiet = speech(4.0, 16_000, 1), np.zeros((16 * 16_000, 1), np.float32)
    content = without_xing(encoded(np.concatenate((loud, quiet)), 16_000, "MP3", "MPEG_LAYER_III"))
    libsndfile = len(soundfile.read(io.BytesIO(content))[0])
    found, decoding = decoded(io.BytesIO(content))
    assert 20 * 16_000 <= found.shape[1] < 20.2 * 16_000
    assert decoding.partial is None
    assert libsndfile < 19 * 16_000, "libsndfile has learnt it: the detour may go"


@pytest.mark.parametrize("cut", [1, 100, 1_000])
def test_an_mp3_may_begin_within_a_frame(cut):
    """As what is cut from a stream does."""
    mp3 = without_xing(encoded(speech(2.0), 16_000, "MP3", "MPEG_LAYER_III"))
    found, _ = decoded(io.BytesIO(mp3[cut:]))
    whole, _ = decoded(io.BytesIO(mp3))
    lost = whole.shape[1] - found.shape[1]
    assert 0 < lost < 4_000
    assert np.allclose(found[0, -8_000:], whole[0, -8_000:], atol=1e-4)
    assert code_of(io.BytesIO(b"\xff\xfb\x90\x64" + bytes(200) + mp3[-600:])) == "not-audio"


def test_an_mp3_that_claims_more_frames_than_it_has_is_partial():
    content = encoded(speech(3.0), 16_000, "MP3", "MPEG_LAYER_III")
    at = max(content.find(b"Xing"), content.find(b"Info")) + 8
    lying = content[:at] + struct.pack(">I", 2**31) + content[at + 4 :]
    found, decoding = decoded(io.BytesIO(lying))
    assert decoding.partial == "truncated"
    assert found.shape[1] >= 3 * 16_000


@pytest.mark.parametrize("xing", [True, False])
def test_a_cut_mp3_is_partial(xing):
    content = encoded(speech(3.0, 16_000, 1), 16_000, "MP3", "MPEG_LAYER_III")
    content = content if xing else without_xing(content)
    assert decoded(io.BytesIO(content[: len(content) // 2]))[1].partial == "truncated"


def unknown_length(flac: bytes) -> bytes:
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def test_a_flac_of_unknown_length_is_complete():
    content = encoded(speech(3.3), 16_000, "FLAC")
    found, decoding = decoded(io.BytesIO(unknown_length(content)), strict=True)
    assert np.array_equal(found, decoded(io.BytesIO(content))[0])
    assert decoding.partial is None
    assert decoded(io.BytesIO(unknown_length(content)[:-500]))[1].partial == "truncated"


def test_a_damaged_flac_keeps_what_stands_before_the_damage():
    content = bytearray(encoded(speech(5.0), 16_000, "FLAC"))
    whole, _ = decoded(io.BytesIO(bytes(content)))
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    found, decoding = decoded(io.BytesIO(bytes(content)))
    assert decoding.partial == "damaged"
    assert 1.5 * 16_000 < found.shape[1] < 3 * 16_000
    assert np.array_equal(found, whole[:, : found.shape[1]])


def test_samples_behind_the_announced_ones_are_said():
    assert decoded(io.BytesIO(with_size(encoded(speech(2.0)), 16_000)))[1].partial == "extra-data"
    flac = encoded(speech(2.0), 16_000, "FLAC")
    short = flac[:21] + bytes([flac[21] & 0xF0]) + struct.pack(">I", 10_000) + flac[26:]
    found, decoding = decoded(io.BytesIO(short))
    assert (found.shape[1], decoding.partial) == (10_000, "extra-data")


def test_tags_behind_the_sound_are_not_sound():
    tag = b"TAG" + bytes(125)
    for content in (
        encoded(speech(2.0)) + hostile.chunk(b"LIST", b"INFO" + bytes(50_000)),
        encoded(speech(2.0)) + tag,
        encoded(speech(2.0), container="FLAC") + tag,
        encoded(speech(2.0), container="MP3", codec="MPEG_LAYER_III") + tag,
    ):
        found, decoding = decoded(io.BytesIO(content))
        assert decoding.partial is None
        assert found.shape[1] == 2 * 16_000
