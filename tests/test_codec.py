"""Decoding: every container to the same sound, and never a loss without a word."""

import gzip
import io
import os
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
from tests.decoders import code_of

EPS = np.finfo(np.float32).eps
RESAMPLED = 2e-6  # soxr in blocks against soxr at once, in float32


def decoded(source, **settings):
    """(samples, decoding) of a whole recording."""
    with decode(source, **settings) as decoding:
        blocks = list(decoding)
    return np.concatenate(blocks, axis=1), decoding


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
