"""Decoding: every container to the same sound, and never a loss without a word."""

import gzip
import io
import os
import struct
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from deident.audio import Audio
from deident.codec import Limits, decode, read
from deident.errors import RecordingError, SettingError
from tests import hostile

EPS = np.finfo(np.float32).eps
RESAMPLED = 2e-6  # soxr in blocks against soxr at once, in float32


def decoded(source, **settings):
    """(samples, decoding) of a whole recording."""
    with decode(source, **settings) as decoding:
        blocks = list(decoding)
    return np.concatenate(blocks, axis=1), decoding


def code_of(source, **settings) -> str:
    with pytest.raises(RecordingError) as caught:
        decoded(source, **settings)
    return caught.value.code


def speech(seconds=3.0, rate=16_000, channels=2) -> np.ndarray:
    """Different low-passed noise in every channel, (samples, channels), at most half full scale."""
    rng = np.random.default_rng(5)
    raw = rng.standard_normal((int(seconds * rate), channels))
    smooth = np.apply_along_axis(np.convolve, 0, raw, np.hanning(12), mode="same")
    return (0.5 * smooth / np.abs(smooth).max()).astype(np.float32)


def encoded(samples, rate=16_000, container="WAV", codec="PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=codec)
    return file.getvalue()


LOSSLESS = [
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"), ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"), ("RF64", "FLOAT"), ("W64", "PCM_16"), ("W64", "PCM_24"), ("W64", "PCM_U8"),
    ("AIFF", "PCM_S8"), ("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("AIFF", "PCM_32"), ("AIFF", "FLOAT"),
    ("AIFF", "DOUBLE"), ("AIFF", "ULAW"), ("AIFF", "ALAW"), ("CAF", "PCM_16"), ("CAF", "PCM_24"),
    ("CAF", "FLOAT"), ("CAF", "ULAW"), ("CAF", "ALAC_16"), ("AU", "PCM_16"), ("AU", "PCM_24"),
    ("AU", "DOUBLE"), ("AU", "ULAW"), ("AU", "ALAW"), ("NIST", "PCM_16"), ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


@pytest.mark.parametrize(("container", "codec"), LOSSLESS)
def test_every_format_decodes_to_what_libsndfile_makes_of_it(container, codec):
    content = encoded(speech(), 16_000, container, codec)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    found, decoding = decoded(io.BytesIO(content), channels="split")
    assert found.shape == expected.T.shape
    # G.711 has no agreed scale: 14 and 13 bits are put into 16 with a rest of a bit or so
    assert np.abs(found - expected.T).max() <= (8 / 32_768 if codec in ("ULAW", "ALAW") else 2 * EPS)
    assert decoding.partial is None
    assert decoding.source_seconds == pytest.approx(len(expected) / 16_000, abs=1e-6)
    assert (decoding.source_rate, decoding.source_channels, decoding.channels) == (16_000, 2, 2)


BOTH_ORDERS = [
    (container, codec, order)
    for container in ("WAV", "AIFF", "CAF", "AU")
    for codec in ("PCM_16", "PCM_24", "PCM_32", "FLOAT")
    for order in ("LITTLE", "BIG")
    if (container, codec) != ("AIFF", "FLOAT")
]


@pytest.mark.parametrize(("container", "codec", "order"), BOTH_ORDERS)
def test_both_byte_orders(container, codec, order):
    file = io.BytesIO()
    soundfile.write(file, speech(0.2), 16_000, format=container, subtype=codec, endian=order)
    expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")
    found, _ = decoded(io.BytesIO(file.getvalue()), channels="split")
    assert np.array_equal(found, expected.T)


def test_g711_is_the_standards():
    codes = np.arange(256, dtype=np.uint8)
    ulaw, _ = decoded(io.BytesIO(hostile.wav(codes.tobytes(), tag=7, align=1, bits=8, rate=16_000)))
    alaw, _ = decoded(io.BytesIO(hostile.wav(codes.tobytes(), tag=6, align=1, bits=8, rate=16_000)))
    # ITU-T G.711, tables 1a to 2b: the ends and the smallest steps, 14 and 13 bits put into 16
    assert [round(float(x) * 32_768) for x in ulaw[0, [0x80, 0x00, 0xFF, 0xFE]]] == [32_124, -32_124, 0, 8]
    assert [round(float(x) * 32_768) for x in alaw[0, [0xAA, 0x2A, 0xD5, 0x55]]] == [32_256, -32_256, 8, -8]
    assert np.array_equal(np.sort(ulaw[0]), np.sort(-ulaw[0]))


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000, 384_000])
def test_any_rate_becomes_16_khz(rate):
    stereo = speech(1.5, rate)
    found, decoding = decoded(io.BytesIO(encoded(stereo, rate, "WAV", "FLOAT")))
    expected = soxr.resample(stereo.mean(axis=1), rate, 16_000, quality="HQ")
    assert decoding.source_rate == rate
    assert found.shape == (1, len(expected))
    assert np.abs(found[0] - expected).max() < RESAMPLED


def test_a_long_recording_is_one_stream_not_many():
    samples = speech(61, 22_050, 1)
    with decode(io.BytesIO(encoded(samples, 22_050, "FLAC"))) as decoding:
        blocks = list(decoding)
    expected = soxr.resample(encoded_and_back(samples), 22_050, 16_000, quality="HQ")
    assert len(blocks) > 8
    assert all(16_000 <= block.shape[1] <= 8 * 16_000 for block in blocks[:-1])
    assert np.abs(np.concatenate(blocks, axis=1)[0] - expected).max() < RESAMPLED


def encoded_and_back(samples):
    return soundfile.read(io.BytesIO(encoded(samples, 22_050, "FLAC")), dtype="float32")[0]


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_channels_mixed_chosen_and_split(rate):
    samples = speech(1.0, rate, 3)
    content = encoded(samples, rate, "WAV", "FLOAT")
    resample = (lambda x: x) if rate == 16_000 else (lambda x: soxr.resample(x, rate, 16_000, quality="HQ"))
    mix, decoding = decoded(io.BytesIO(content))
    assert decoding.channels == 1
    assert np.abs(mix[0] - resample(samples.mean(axis=1))).max() < RESAMPLED
    for channel in range(3):
        one, decoding = decoded(io.BytesIO(content), channels=channel)
        assert decoding.channels == 1
        assert np.abs(one[0] - resample(samples[:, channel])).max() < RESAMPLED
    split, decoding = decoded(io.BytesIO(content), channels="split")
    assert decoding.channels == 3
    assert np.abs(split - resample(samples).T).max() < RESAMPLED


def test_sixty_four_channels_pass_and_sixty_five_do_not():
    found, _ = decoded(io.BytesIO(encoded(speech(0.2, 16_000, 64), codec="FLOAT")), channels="split")
    assert found.shape == (64, 3_200)
    assert code_of(io.BytesIO(encoded(speech(0.2, 16_000, 65), codec="FLOAT"))) == "channels"


def test_a_missing_channel_is_refused():
    stereo = encoded(speech(0.2))
    assert code_of(io.BytesIO(stereo), channels=2) == "missing-channel"
    assert code_of((speech(0.2).T, 16_000), channels=2) == "missing-channel"
    with pytest.raises(SettingError):
        decode(io.BytesIO(stereo), channels=-1)
    with pytest.raises(SettingError):
        decode(io.BytesIO(stereo), channels="left")


def test_blocks_are_the_callers_own():
    source = Audio(speech(3.0).T[:1], 16_000)
    for recording in (source, io.BytesIO(encoded(speech(9.0)))):
        blocks = list(decode(recording))
        for block in blocks:
            assert block.dtype == np.float32
            assert block.flags.writeable
            block += 1.0
    assert np.abs(source.samples).max() < 1.0


# Sources


def test_every_kind_of_source_gives_the_same(tmp_path):
    samples = speech(1.0, 16_000, 1)
    content = encoded(samples, codec="FLOAT")
    path = tmp_path / "recording.wav"
    path.write_bytes(content)
    compressed = tmp_path / "recording.gz"
    compressed.write_bytes(gzip.compress(content))
    reader, writer = os.pipe()
    feeder = threading.Thread(target=lambda: (os.write(writer, content), os.close(writer)))
    feeder.start()
    with (
        path.open("rb") as opened,
        path.open("rb", buffering=0) as unbuffered,
        gzip.open(compressed) as unpacked,
        open(reader, "rb") as piped,
        tempfile.TemporaryFile() as temporary,
        tempfile.NamedTemporaryFile() as named,
        tempfile.SpooledTemporaryFile() as spooled,
    ):
        for file in (temporary, named, spooled):
            file.write(content)
            file.seek(0)
        sources = [
            path, str(path), opened, unbuffered, unpacked, piped, temporary, named, spooled,
            io.BytesIO(content), Audio(samples.T, 16_000), (samples[:, 0], 16_000),
            (samples.T.astype(np.float64), 16_000),
        ]  # fmt: skip
        for source in sources:
            assert np.array_equal(decoded(source)[0], samples.T), type(source)
        assert opened.tell() == 0
        feeder.join()


def test_an_open_file_is_read_from_where_it_stands(tmp_path):
    content = encoded(speech(0.5, 16_000, 1))
    path = tmp_path / "archive"
    path.write_bytes(b"something before" + content)
    with path.open("rb") as file:
        file.seek(16)
        assert decoded(file)[0].shape == (1, 8_000)
        assert file.tell() == 16


def test_a_text_file_and_a_closed_one_are_refused(tmp_path):
    path = tmp_path / "recording.wav"
    path.write_bytes(encoded(speech(0.1)))
    with path.open(encoding="latin-1") as text:
        assert code_of(text) == "not-binary"
    closed = io.BytesIO(b"")
    closed.close()
    assert code_of(closed) == "not-binary"
    with path.open("rb") as closed_file:
        pass
    assert code_of(closed_file) == "not-binary"
    assert code_of(io.StringIO("RIFF")) == "not-binary"


def test_the_copy_of_a_stream_is_bounded():
    assert code_of(io.BytesIO(bytes(3_000_000)), limits=Limits(spool_bytes=1_000_000)) == "limit-spool"


def test_integer_arrays_and_rates():
    samples = (speech(1.0, 48_000) * 32_767).astype(np.int16)
    found, decoding = decoded((samples.T, 48_000))
    expected = soxr.resample(samples.mean(axis=1) / 32_768, 48_000, 16_000, quality="HQ")
    assert decoding.container == "samples"
    assert np.abs(found[0] - expected).max() < RESAMPLED
    assert decoding.source_seconds == 1.0


def test_read_gives_the_whole_at_either_rate():
    samples = speech(12.0, 44_100)
    content = encoded(samples, 44_100, codec="FLOAT")
    native = read(io.BytesIO(content), channels="split", rate=None)
    assert native.rate == 44_100
    assert np.array_equal(native.samples, samples.T)
    assert read(io.BytesIO(content)).rate == 16_000
    assert len(read(io.BytesIO(content))) == 12 * 16_000
    with pytest.raises(SettingError):
        read(io.BytesIO(content), rate=8_000)


def test_read_says_that_a_recording_is_partial():
    cut = encoded(speech(1.0))[:-9_000]
    with pytest.warns(UserWarning, match="truncated"):
        read(io.BytesIO(cut))
    with pytest.raises(RecordingError, match="ends before"):
        read(io.BytesIO(cut), strict=True)


# Headers that lie


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


# Values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("codec", ["FLOAT", "DOUBLE"])
def test_values_that_are_no_sound_are_refused_or_zeroed(value, codec):
    samples = speech(1.0, 16_000, 1)[:, 0].copy()
    spoiled = samples.copy()
    spoiled[[5, 9_000]] = value
    samples[[5, 9_000]] = 0.0
    content = encoded(spoiled, codec=codec)
    assert code_of(io.BytesIO(content)) == "not-finite"
    found, _ = decoded(io.BytesIO(content), nonfinite="zero")
    assert np.array_equal(found[0], samples)
    assert code_of((spoiled, 16_000)) == "not-finite"
    for given in (spoiled, spoiled.astype(np.float64)):
        if value == 3e38 and given.dtype == np.float64:
            given[5] = 1e300
        assert np.array_equal(decoded((given, 16_000), nonfinite="zero")[0][0], samples)
    if np.isfinite(value):
        assert np.array_equal(decoded(Audio(spoiled, 16_000), nonfinite="zero")[0][0], samples)


@pytest.mark.parametrize("rate", [1, 3_999, 384_001])
def test_impossible_rates_are_refused(rate):
    assert code_of(io.BytesIO(hostile.wav(rate=rate))) == "rate"


def test_limits_on_shape_hold():
    content = encoded(speech(1.0, 48_000, 4), 48_000)
    assert code_of(io.BytesIO(content), limits=Limits(max_channels=2)) == "channels"
    assert code_of(io.BytesIO(content), limits=Limits(max_rate=44_100)) == "rate"
    assert code_of(io.BytesIO(content), limits=Limits(max_frames=40_000)) == "limit-frames"
    with pytest.raises(SettingError):
        Limits(max_channels=65)
    with pytest.raises(SettingError):
        Limits(cpu_seconds=0)


def test_silence_that_expands_without_measure_is_refused():
    silence = encoded(np.zeros((3_000_000, 1), np.int16), 48_000, "FLAC")
    assert len(silence) < 20_000
    assert decoded(io.BytesIO(silence))[1].partial is None
    bounded = Limits(max_expansion=100, expansion_grace=1_000_000)
    assert code_of(io.BytesIO(silence), limits=bounded) == "limit-expansion"


# The extra


def test_a_container_of_the_extra_names_it():
    content = b"\0\0\0\x20ftypM4A " + bytes(100)
    try:
        import av  # noqa: F401
    except ImportError:
        with pytest.raises(RecordingError, match=r"deident\[av\]"):
            decode(io.BytesIO(content))
    else:
        assert code_of(io.BytesIO(content)) == "undecodable"


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("mp4", "aac", 44_100),
        ("matroska", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("adts", "aac", 16_000),
        ("asf", "wmav2", 44_100),
        ("wav", "adpcm_g726", 8_000),
        ("caf", "alac", 48_000),
    ],
)
def test_the_extra_decodes_what_it_is_for(container, codec, rate):
    av = pytest.importorskip("av")
    samples = speech(3.0, rate, 1)[:, 0]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(
            (samples * 32_767).astype(np.int16)[np.newaxis], format="s16", layout="mono"
        )
        frame.sample_rate = rate
        for part in (frame, None):
            output.mux(stream.encode(part))
    found, decoding = decoded(io.BytesIO(file.getvalue()))
    assert decoding.source_rate == rate
    assert abs(found.shape[1] - 3 * 16_000) < 3_000
    assert decoding.partial is None
    reference = soxr.resample(samples, rate, 16_000, quality="HQ")
    lags = np.fft.irfft(np.fft.rfft(found[0], 2**17) * np.conj(np.fft.rfft(reference, 2**17)))
    energy = np.linalg.norm(found[0]) * np.linalg.norm(reference)
    assert lags.max() > 0.8 * energy


SPEECH = Path(os.environ["DEIDENT_SPEECH"]) if "DEIDENT_SPEECH" in os.environ else None


@pytest.mark.skipif(SPEECH is None, reason="DEIDENT_SPEECH names no folder of recordings")
def test_real_recordings_decode_whole():
    assert SPEECH is not None
    paths = sorted(SPEECH.glob("*/*.flac"))
    assert paths
    for path in paths:
        info = soundfile.info(path)
        found, decoding = decoded(path, strict=True)
        assert decoding.partial is None
        assert abs(found.shape[1] - info.frames * 16_000 / info.samplerate) <= 1
