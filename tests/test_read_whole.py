"""Recordings that players play are read to their end and to the sample, whatever one header says; or it is reported."""

from __future__ import annotations

import io
import itertools
import shutil
import struct
import subprocess
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from deident.codec import decode
from deident.codec.files import Bytes
from deident.codec.readers import open_reader
from deident.containers import CONTAINERS
from deident.containers.mpeg import encoder_tag, frames
from deident.containers.mpeg import first_frame as first_mpeg_frame
from deident.containers.source import Memory
from deident.errors import RecordingError
from tests import hostile
from tests.dirty_parts import id3
from tests.recordings import encoded, recording

RATE = 16_000
SPEECH = np.convolve(np.random.default_rng(5).standard_normal(3 * RATE), np.hanning(12), "same") / 12


def read(content: bytes, **settings: object) -> tuple[np.ndarray, str | None]:
    """(samples, partial) of a whole recording; the code of the error instead of partial if it is refused."""
    try:
        with decode(io.BytesIO(content), **settings) as decoding:  # type: ignore[arg-type]
            blocks = list(decoding)
        return np.concatenate(blocks, axis=1), decoding.partial
    except RecordingError as error:
        return np.zeros((1, 0)), error.code


def likeness(samples: np.ndarray, reference: np.ndarray) -> float:
    """Correlation without a lag."""
    count = min(len(samples), len(reference))
    a, b = samples[:count], reference[:count]
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


# MP3


def mp3(rate: int, channels: int, samples: np.ndarray = SPEECH) -> bytes:
    file = io.BytesIO()
    resampled = soxr.resample(samples, RATE, rate)
    soundfile.write(file, np.stack([resampled] * channels, axis=1), rate, format="MP3")
    return file.getvalue()


SOUNDS = [(44_100, 1), (44_100, 2), (48_000, 1), (16_000, 2), (8_000, 1)]


@pytest.mark.parametrize(("first", "second"), list(itertools.product(SOUNDS, SOUNDS)))
def test_joined_mp3s_are_read_whole(first: tuple[int, int], second: tuple[int, int]) -> None:
    samples, partial = read(mp3(*first) + mp3(*second))
    assert partial is None
    assert samples.shape[1] == pytest.approx(2 * len(SPEECH), abs=16)
    assert likeness(samples[0], SPEECH) > 0.85
    assert likeness(samples[0, len(SPEECH) :], SPEECH) > 0.85


@pytest.mark.parametrize("between", [id3(b""), b"TAG" + bytes(125), bytes(5_000), b"some words"])
def test_mp3s_are_read_on_behind_what_stands_between_them(between: bytes) -> None:
    samples, partial = read(
        between * (between[:3] == b"ID3") + mp3(44_100, 1) + between + mp3(48_000, 2) + between
    )
    assert (samples.shape[1], partial) == (pytest.approx(2 * len(SPEECH), abs=16), None)


def test_a_joined_mp3_of_fewer_channels_is_partial_where_channels_are_split() -> None:
    samples, partial = read(mp3(44_100, 2) + mp3(44_100, 1), channels="split")
    assert (samples.shape[1], partial) == (pytest.approx(len(SPEECH), abs=8), "extra-data")


def test_noise_between_mp3_frames_is_reported() -> None:
    noise = np.random.default_rng(1).bytes(20_000)
    assert read(mp3(44_100, 1) + noise + mp3(44_100, 1))[1] == "damaged"
    assert read(mp3(44_100, 1) + noise)[1] == "extra-data"


@pytest.mark.parametrize("padding", [0, 1, 100, 528, 529, 1_000])
@pytest.mark.parametrize("sound", [(44_100, 1), (16_000, 2), (48_000, 2)])
def test_an_mp3_of_any_padding_is_whole(padding: int, sound: tuple[int, int]) -> None:
    content = bytearray(mp3(*sound))
    at, frame, head = next(
        frames(Memory(bytes(content)), first_mpeg_frame(Memory(bytes(content)), 0, 9_000) or 0, 9_000)
    )
    tag = encoder_tag(frame, head)
    assert tag is not None
    field = at + 4 + frame.side_info + 8 + 4 + 4 + 100 + 4 + 21
    assert int.from_bytes(content[field : field + 3], "big") == tag.delay << 12 | tag.padding
    content[field : field + 3] = (tag.delay << 12 | padding).to_bytes(3, "big")
    with decode(io.BytesIO(bytes(content)), strict=True) as decoding:
        list(decoding)
    samples = tag.frames * frame.samples - tag.delay - padding
    assert decoding.source_seconds == pytest.approx(samples / sound[0], abs=1e-6)


def ape(size_error: int = 0, header: bool = True) -> bytes:
    """An APE tag whose footer claims some bytes too many."""
    item = struct.pack("<II", 4, 0) + b"Title\0" + b"Name"
    fields = struct.pack("<III", 2_000, len(item) + 32 + size_error, 1)
    foot = b"APETAGEX" + fields + struct.pack("<I", (1 << 31) * header) + bytes(8)
    head = b"APETAGEX" + fields + struct.pack("<I", 5 << 29) + bytes(8)
    return head * header + item + foot


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("error", [-1, 0, 1, 32, 1_000_000])
def test_an_ape_tag_of_wrong_size_costs_no_sound(error: int, header: bool) -> None:
    for content in (mp3(44_100, 1), recording_flac()):
        whole, _ = read(content)
        samples, partial = read(content + ape(error, header))
        assert (samples.shape, partial) == (whole.shape, None)


def recording_flac() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, SPEECH, RATE, format="FLAC")
    return file.getvalue()


# More channels than PyAV counts


@pytest.mark.parametrize(
    ("form", "codec"),
    [("ipod", "aac"), ("webm", "libopus"), ("wv", "wavpack"), ("tta", "tta"),
     ("mov", "pcm_s16le"), ("mov", "pcm_f32le"), ("avi", "pcm_s16le")],
)  # fmt: skip
@pytest.mark.parametrize("layout", ["5.1", "6.1", "7.1"])
def test_many_channels(form: str, codec: str, layout: str) -> None:
    av = pytest.importorskip("av")
    count = {"5.1": 6, "6.1": 7, "7.1": 8}[layout]
    rate = 48_000
    time = np.arange(rate) / rate
    whole = np.stack([0.1 * np.sin(2 * np.pi * 200 * (n + 1) * time) for n in range(count)])
    file = io.BytesIO()
    with av.open(file, "w", format=form) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            (whole * 32_767).astype(np.int16).T.reshape(1, -1).copy(), "s16", layout
        )
        frame.sample_rate = rate
        for part in (frame, None):
            output.mux(stream.encode(part))
    samples, partial = read(file.getvalue(), channels="split")
    assert partial is None
    assert samples.shape == (count, pytest.approx(RATE, abs=1_500))
    pitches = [np.abs(np.fft.rfft(row[4_000:12_000])).argmax() * 2 for row in samples]
    assert sorted(pitches)[0] == pytest.approx(200, abs=4)


def test_a_container_with_a_packet_for_each_sample_is_read_in_blocks() -> None:
    """As FFmpeg's demuxer gives AVI of many channels: each on its own would take minutes."""
    av = pytest.importorskip("av")
    whole = np.random.default_rng(4).integers(-9_000, 9_000, (1, 16 * RATE)).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format="avi") as output:
        stream = output.add_stream("pcm_s16le", rate=RATE, layout="hexadecagonal")
        frame = av.AudioFrame.from_ndarray(whole, "s16", "hexadecagonal")
        frame.sample_rate = RATE
        for part in (frame, None):
            output.mux(stream.encode(part))
    with av.open(io.BytesIO(file.getvalue())) as container:
        assert sum(1 for _ in container.demux()) > RATE
    with tempfile.TemporaryFile() as unnamed:
        unnamed.write(file.getvalue())
        unnamed.flush()
        blocks = [block for _, block in open_reader(Bytes(unnamed.fileno()), "avi", "av")]
    assert np.array_equal(np.concatenate(blocks), whole.reshape(-1, 16))
    assert len(blocks) < 10


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg, to write it")
@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [  # that libsndfile lacks
        ("a.wav", "ac3", 48_000, 6), ("a.wav", "flac", 48_000, 6), ("a.wav", "dfpwm", 16_000, 2),
        ("a.wav", "adpcm_ima_wav", 96_000, 1), ("a.wav", "adpcm_ms", 96_000, 2), ("a.wav", "pcm_s64le", 16_000, 1),
        ("a.rf64", "libmp3lame", 48_000, 2), ("a.rf64", "adpcm_ms", 12_000, 1), ("a.rf64", "pcm_s64le", 8_000, 3),
        # with the fields of plain samples
        ("a.wav", "flac", 8_000, 1), ("a.rf64", "flac", 8_000, 1), ("a.w64", "flac", 8_000, 1),
        ("a.wav", "dca", 44_100, 2), ("a.w64", "dca", 44_100, 2),
        # with a rest of some bytes behind the last packet
        ("a.rf64", "mp2", 22_050, 2), ("a.rf64", "adpcm_swf", 22_050, 1), ("a.w64", "wmav1", 11_025, 1),
        ("a.w64", "wmav2", 24_000, 1),
    ],
)  # fmt: skip
def test_a_wav_of_any_codec_is_whole(name: str, codec: str, rate: int, channels: int, tmp_path: Path) -> None:
    pytest.importorskip("av")
    source, out = tmp_path / "source.wav", tmp_path / name
    soundfile.write(source, np.stack([SPEECH / 4] * channels, axis=1), RATE)
    how = ["-c:a", codec, "-strict", "-2", "-ar", str(rate), "-f", "w64" if name == "a.w64" else "wav"]
    rf64 = ["-rf64", "always"] if name == "a.rf64" else []
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, *how, *rf64, out], check=True)
    samples, partial = read(out.read_bytes())
    assert (samples.shape[1], partial) == (pytest.approx(len(SPEECH), abs=4_000), None)
    samples, partial = read(out.read_bytes()[: out.stat().st_size // 2])
    assert (samples.shape[1] > len(SPEECH) // 4, partial) == (True, "truncated")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg, to write it")
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_an_avi_is_filled_with_no_silence(rate: int, tmp_path: Path) -> None:
    """Its chunks have no time stamps: those that FFmpeg makes up for packets of variable length are far apart."""
    pytest.importorskip("av")
    soundfile.write(tmp_path / "a.wav", SPEECH / 4, RATE)
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        tmp_path / "a.wav",
        "-ar",
        str(rate),
        "-c:a",
        "libvorbis",
        tmp_path / "a.avi",
    ]
    subprocess.run(command, check=True)
    samples, partial = read((tmp_path / "a.avi").read_bytes())
    assert (samples.shape[1], partial) == (pytest.approx(len(SPEECH), abs=2_000), None)


@pytest.mark.parametrize("factor", [0, 0.5, 1.5, 100])
def test_an_avi_whose_header_counts_other_frames_is_whole(factor: float) -> None:
    content = bytearray(recording("avi"))
    whole, _ = read(bytes(content))
    at = content.index(b"strh") + 8 + 32
    count = int.from_bytes(content[at : at + 4], "little")
    content[at : at + 4] = int(factor * count).to_bytes(4, "little")
    samples, partial = read(bytes(content))
    assert (samples.shape, partial) == (whole.shape, None)
    assert read(bytes(content[: len(content) * 2 // 3]))[1] == "truncated"


# Containers glued together, of other kinds or with another rate


@pytest.mark.parametrize("name", ["mp4", "matroska", "avi", "tta"])
def test_what_is_glued_to_a_container_is_read_on_or_told(name: str) -> None:
    content = recording(name)
    whole, partial = read(content)
    assert partial is None
    behind = [recording(other) for other in CONTAINERS if other != name and other != "ape"]
    behind.append(id3(b"") + recording("wav"))
    if name == "tta":
        behind.append(encoded(np.zeros(9_000, np.int16), "tta", None, 48_000))
    for other in behind:
        samples, partial = read(content + other)
        assert partial is not None or samples.shape[1] > 1.5 * whole.shape[1]
    item = struct.pack("<II", 9_000, 0) + b"Cover\0" + bytes(9_000)
    footer = b"APETAGEX" + struct.pack("<IIII", 2_000, len(item) + 32, 1, 0) + bytes(8)
    for tag in (b"TAG" + bytes(125), bytes(3_000), item + footer, id3(bytes(9_000))):
        assert read(content + tag)[1] is None


@pytest.mark.parametrize("rate", [1, 100, 8_000])
def test_no_room_is_made_for_a_table_that_the_header_of_a_tta_makes_up(rate: int, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from deident.codec.ends import tta_end

    content = bytearray(recording("tta"))
    content[10:18] = struct.pack("<II", rate, 2**31)
    (tmp_path / "a.tta").write_bytes(content)
    with (tmp_path / "a.tta").open("rb") as file:
        tracemalloc.start()
        end = tta_end(Bytes(file.fileno()))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert end == len(content)
    assert most < 100_000 + len(content)


# SPHERE and AU


@pytest.mark.parametrize(
    ("bits", "order"), [(16, "01"), (24, "012"), (24, "210"), (32, "0123"), (32, "3210")]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_sphere_of_any_width(bits: int, order: str, channels: int) -> None:
    if bits != 16:
        pytest.importorskip("av")
    whole = np.random.default_rng(bits).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (9_000, channels))
    fields = {
        "sample_count": len(whole), "sample_n_bytes": bits // 8, "channel_count": channels, "sample_rate": RATE,
    }  # fmt: skip
    head = "NIST_1A\n   1024\n" + "".join(f"{name} -i {value}\n" for name, value in fields.items())
    head += f"sample_byte_format -s{len(order)} {order}\nsample_coding -s3 pcm\nend_head\n"
    raw = whole.astype("<i4" if order[0] == "0" else ">i4").view(np.uint8).reshape(*whole.shape, 4)
    raw = raw[..., : bits // 8] if order[0] == "0" else raw[..., 4 - bits // 8 :]
    samples, partial = read(head.ljust(1024).encode() + raw.tobytes(), channels="split")
    assert partial is None
    assert np.abs(samples - whole.T / 2.0 ** (bits - 1)).max() < 2**-22


@pytest.mark.parametrize("magic", [b".snd", b"dns.", b".sd\0", b"\0ds."])
@pytest.mark.parametrize("code", [2, 3, 6])
def test_au_of_either_order_and_of_dec(magic: bytes, code: int) -> None:
    order = ">" if magic[:1] == b"." else "<"
    kind = {2: "i1", 3: f"{order}i2", 6: f"{order}f4"}[code]
    values = (SPEECH * (100 if code == 2 else 9_000 if code == 3 else 1)).astype(kind)
    head = magic + struct.pack(f"{order}5I", 28, values.nbytes, code, RATE, 1) + bytes(4)
    samples, partial = read(head + values.tobytes())
    expected = values / {2: 128.0, 3: 32_768.0, 6: 1.0}[code]
    assert partial is None
    assert np.abs(samples[0] - expected).max() < 1e-6


def test_au_of_a_codec_that_libsndfile_lacks() -> None:
    pytest.importorskip("av")
    head = b".snd" + struct.pack(">5I", 24, RATE, 24, RATE, 1)  # G.722
    samples, partial = read(head + np.random.default_rng(2).bytes(RATE))
    assert (samples.shape[1], partial) == (pytest.approx(2 * RATE, abs=50), None)


# WAV


@pytest.mark.parametrize("count", [1, 10, 1_000, 2_047, 16_000])
@pytest.mark.parametrize("start", [b"", bytes(8), b"LIST", b"abcd\0\0\0\0"])
def test_a_wav_whose_size_was_never_filled_in_is_read_whatever_its_samples(count: int, start: bytes) -> None:
    data = start + np.random.default_rng(count).bytes(2 * count)
    samples, partial = read(hostile.wav(data, rate=RATE, size=0))
    assert (samples.shape[1], partial) == (len(data) // 2, None)


def test_a_wav_without_samples_but_with_chunks_is_empty() -> None:
    after = hostile.chunk(b"LIST", b"INFO" + hostile.chunk(b"IART", b"me"))
    assert read(hostile.wav(b"", rate=RATE, size=0, after=after))[1] == "empty"


FIELDS = itertools.product((1, 2, 3), (8, 12, 16, 20, 24, 32), (0, 1, 2, 3, 4, 6, 8, 32), (1, 3, 6, 7))
DATA = np.random.default_rng(1).integers(-9_000, 9_000, 8_000).astype("<i2").tobytes()


def test_a_wav_of_contradictory_fields_is_read_as_libsndfile_reads_it() -> None:
    """Channels, bits, bytes a block, codec; at most the first of them is right."""
    for channels, bits, align, tag in list(FIELDS)[::3]:
        content = hostile.wav(DATA, tag=tag, channels=channels, rate=RATE, align=align, bits=bits)
        try:
            expected = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)[0].T
        except soundfile.LibsndfileError:
            expected = np.zeros((0, 0))
        found, _ = read(content, channels="split", nonfinite="zero")
        if not expected.size:
            assert not found.size
            continue
        expected = np.where(np.abs(np.nan_to_num(expected, nan=np.inf)) <= 1e6, expected, 0.0)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-3  # G.711 has no agreed scale


@pytest.mark.parametrize(("channels", "align"), [(1, 1), (1, 4), (2, 2), (2, 32), (2, 3), (1, 0)])
@pytest.mark.parametrize("byte_rate", [0, 1, 32_000])
def test_a_wrong_block_align_or_byte_rate_changes_nothing(channels: int, align: int, byte_rate: int) -> None:
    right = hostile.wav(DATA, channels=channels, rate=RATE, align=2 * channels)
    wrong = hostile.wav(DATA, channels=channels, rate=RATE, align=align)
    wrong = wrong[:28] + struct.pack("<I", byte_rate) + wrong[32:]
    assert np.array_equal(read(wrong, channels="split")[0], read(right, channels="split")[0])
