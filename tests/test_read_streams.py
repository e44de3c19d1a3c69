"""Recordings are read whole that were written to a pipe, so that no header could be filled in at their end, that were
cut from a stream, whose sound ends before their picture, that leave out silence, or that have a tag behind them.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import numpy as np
import pytest
import soxr

from deident.codec import decode
from tests.dirty_parts import ape

av = pytest.importorskip("av")

RATE = 16_000
SECONDS = 12
NOISE = np.convolve(np.random.default_rng(6).standard_normal(SECONDS * RATE), np.hanning(12), "same") / 12


class Pipe:
    """A file that cannot be sought in."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += bytes(data)
        return len(data)


def encoded(
    file: io.BytesIO | Pipe, form: str, codec: str, rate: int, channels: int, samples: np.ndarray = NOISE
) -> None:
    values = np.repeat(np.round(9_000 * soxr.resample(samples, RATE, rate)), channels).astype(np.int16)
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(file, "w", format=form) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(values[np.newaxis], "s16", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for part in (frame, None):
            output.mux(stream.encode(part))


def piped(form: str, codec: str, rate: int, channels: int = 1) -> bytes:
    pipe = Pipe()
    encoded(pipe, form, codec, rate, channels)
    return bytes(pipe.content)


def read(content: bytes) -> tuple[np.ndarray, str | None]:
    with decode(io.BytesIO(content)) as decoding:
        blocks = list(decoding)
    return np.concatenate(blocks, axis=1)[0], decoding.partial


@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [("matroska", "libmp3lame", 16_000), ("matroska", "ac3", 48_000), ("asf", "wmav2", 44_100),
     ("asf", "libmp3lame", 16_000), ("matroska", "libopus", 48_000), ("matroska", "pcm_s16le", 16_000)],
)  # fmt: skip
def test_no_duration_is_made_up_for_a_stream_that_announces_none(form: str, codec: str, rate: int) -> None:
    samples, partial = read(piped(form, codec, rate))
    assert (len(samples), partial) == (pytest.approx(len(NOISE), abs=2_000), None)


@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [("matroska", "libmp3lame", 16_000), ("matroska", "aac", 16_000), ("asf", "wmav2", 44_100)],
)
def test_a_duration_that_is_announced_tells_a_cut(form: str, codec: str, rate: int) -> None:
    file = io.BytesIO()
    encoded(file, form, codec, rate, 1)
    assert read(file.getvalue())[1] is None
    assert read(file.getvalue()[: len(file.getvalue()) * 2 // 3])[1] == "truncated"


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (16_000, 2), (8_000, 1)])
@pytest.mark.parametrize("size", [2**64 - 1, 0])
def test_a_caf_of_a_codec_whose_size_was_never_filled_in_is_whole(
    rate: int, channels: int, size: int
) -> None:
    content = piped("caf", "adpcm_ima_qt", rate, channels)
    at = content.index(b"data") + 4
    samples, partial = read(content[:at] + size.to_bytes(8, "big") + content[at + 8 :])
    assert (len(samples), partial) == (pytest.approx(len(NOISE), abs=130), None)
    assert np.corrcoef(samples[: len(NOISE)], NOISE)[0, 1] > 0.8


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (16_000, 2), (48_000, 1)])
@pytest.mark.parametrize("count", [1_400, 4_097, 30_000])
def test_alac_in_caf_is_read_to_its_last_sample(rate: int, channels: int, count: int) -> None:
    file = io.BytesIO()
    encoded(file, "caf", "alac", rate, channels, NOISE[:count])
    samples, partial = read(file.getvalue())
    assert (len(samples), partial) == (pytest.approx(count, abs=1), None)


@pytest.mark.parametrize("size", [0, 2**32 - 1])
@pytest.mark.parametrize(("codec", "rate"), [("mp2", 44_100), ("g722", 16_000), ("wmav2", 44_100)])
def test_a_wav_of_a_codec_whose_size_was_never_filled_in_is_whole(codec: str, rate: int, size: int) -> None:
    file = io.BytesIO()
    encoded(file, "wav", codec, rate, 1)
    content = bytearray(file.getvalue())
    at = content.index(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    samples, partial = read(bytes(content))
    assert (len(samples), partial) == (pytest.approx(len(NOISE), abs=2_000), None)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_flac_in_asf_is_read_without_gaps(rate: int) -> None:
    file = io.BytesIO()
    encoded(file, "asf", "flac", rate, 1)
    samples, partial = read(file.getvalue())
    assert (len(samples), partial) == (pytest.approx(len(NOISE), abs=2), None)


@pytest.mark.parametrize(
    ("form", "codec"), [("wv", "wavpack"), ("adts", "aac"), ("ogg", "libopus"), ("ogg", "flac")]
)
@pytest.mark.parametrize("size", [5, 20_000])
def test_a_tag_behind_a_recording_is_no_damage(form: str, codec: str, size: int) -> None:
    file = io.BytesIO()
    encoded(file, form, codec, 48_000, 1)
    item = struct.pack("<II", size, 0) + b"Title\0" + np.random.default_rng(9).bytes(size)
    ends = (
        b"APETAGEX" + struct.pack("<4I8x", 2_000, len(item) + 32, 1, flags) for flags in (5 << 29, 4 << 29)
    )
    samples, partial = read(file.getvalue() + item.join(ends))
    assert (len(samples), partial) == (pytest.approx(len(NOISE), abs=1_100), None)


@pytest.mark.parametrize("headers", [(True, False), (False, False), (False, True, False)])
def test_tags_of_which_the_last_has_no_header_are_no_damage(headers: tuple[bool, ...]) -> None:
    file = io.BytesIO()
    encoded(file, "wv", "wavpack", RATE, 1)
    tags = b"".join(ape({"Title": b"a call"}, header=header) for header in headers)
    samples, partial = read(file.getvalue() + tags)
    assert (len(samples), partial) == (len(NOISE), None)


def amr(mark: bytes, speech: tuple[int, int], pause: list[tuple[int, int]]) -> bytes:
    """Write a second of speech, one of a pause and one of speech, of frames as (type, bytes)."""
    rng = np.random.default_rng(4)
    kinds = [*50 * [speech], *[pause[k % len(pause)] for k in range(50)], *50 * [speech]]
    return mark + b"".join(bytes([kind << 3 | 4]) + rng.bytes(size - 1) for kind, size in kinds)


NARROW = amr(b"#!AMR\n", (7, 32), [(8, 6), *7 * [(15, 1)]])
WIDE = amr(b"#!AMR-WB\n", (2, 33), [(9, 6), *7 * [(15, 1)]])
LOST = amr(b"#!AMR-WB\n", (2, 33), [(14, 1)])


def in_mp4(content: bytes) -> bytes:
    """Copy the packets of AMR to MP4."""
    file = io.BytesIO()
    with av.open(io.BytesIO(content), format="amr") as source, av.open(file, "w", format="3gp") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [NARROW, WIDE, LOST, in_mp4(NARROW)], ids=["narrow", "wide", "lost", "mp4"]
)
def test_silence_that_amr_leaves_out_is_no_damage(content: bytes) -> None:
    samples, partial = read(content)
    assert (len(samples), partial) == (pytest.approx(3 * RATE, abs=20), None)
    assert np.abs(samples[RATE + 1_000 : 2 * RATE - 100]).max() < 1e-3 < np.abs(samples[:RATE]).max()


@pytest.mark.parametrize("size", [0, 2**32 - 1])
@pytest.mark.parametrize(("codec", "rate"), [("pcm_s16le", 16_000), ("libmp3lame", 16_000), ("ac3", 48_000)])
def test_an_avi_whose_sizes_were_never_filled_in_is_whole(codec: str, rate: int, size: int) -> None:
    file = io.BytesIO()
    encoded(file, "avi", codec, rate, 1)
    content = bytearray(file.getvalue().partition(b"idx1")[0])
    for at in (4, content.index(b"movi") - 4):
        content[at : at + 4] = size.to_bytes(4, "little")
    samples, partial = read(bytes(content))
    assert (len(samples), partial) == (pytest.approx(len(NOISE), abs=2_000), None)


@pytest.mark.parametrize("cut", [1, 50, 3_000])
def test_aac_that_begins_within_a_frame_is_read_from_the_next_one(cut: int) -> None:
    file = io.BytesIO()
    encoded(file, "adts", "aac", RATE, 1)
    samples, partial = read(file.getvalue()[cut:])
    lost = 1_024 * (1 + cut // 400)
    assert (len(samples), partial) == (pytest.approx(len(NOISE) - lost, abs=lost + 2_048), None)


def film(form: str, codec: str, rate: int, video: str, seconds: float) -> bytes:
    """Encode the noise with pictures of another duration."""
    file = io.BytesIO()
    values = np.round(9_000 * soxr.resample(NOISE, RATE, rate)).astype(np.int16)
    with av.open(file, "w", format=form) as output:
        pictures = output.add_stream(video, rate=10, width=32, height=32, pix_fmt="yuv420p")
        sound = output.add_stream(codec, rate=rate, layout="mono")
        sound.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(values[np.newaxis], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        packets = [*sound.encode(frame), *sound.encode(None)]
        for number in range(round(10 * seconds)):
            picture = av.VideoFrame.from_ndarray(np.full((48, 32), number % 200, np.uint8), "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 10)
            packets += pictures.encode(picture)
        packets += pictures.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "codec", "rate", "video"),
    [
        ("matroska", "aac", 16_000, "mpeg4"),
        ("asf", "libmp3lame", 44_100, "msmpeg4"),
        ("flv", "aac", 22_050, "flv"),
    ],
)
def test_sound_that_ends_before_the_picture_is_whole(form: str, codec: str, rate: int, video: str) -> None:
    content = film(form, codec, rate, video, 1.5 * SECONDS)
    samples, partial = read(content)
    assert (len(samples), partial) == (pytest.approx(len(NOISE), abs=2_000), None)
    content = film(form, codec, rate, video, SECONDS)
    assert read(content[: len(content) * 2 // 3])[1] == "truncated"
