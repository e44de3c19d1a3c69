"""Times of a player or a transcript fit the samples: gaps and late starts are filled, what goes back is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

import deident
from deident import Segment
from deident.codec import decode
from deident.codec.ogg import has_steady_clock
from deident.containers.ogg import NO_GRANULE, pages
from deident.containers.source import Memory
from deident.errors import RecordingError
from tests import dirty_parts as parts
from tests.voices import WOMAN, speech

av = pytest.importorskip("av")

RATE = 16_000
SECONDS = 6.0
CHIRP = np.concatenate([np.sin(2 * np.pi * (300 + 400 * n) * np.arange(RATE) / RATE) for n in range(6)]) * 0.3
CODERS = [
    ("webm", "libopus", 48_000), ("matroska", "aac", 16_000), ("mp4", "aac", 48_000), ("ipod", "alac", 16_000),
    ("flv", "aac", 44_100), ("ogg", "libopus", 48_000), ("asf", "wmav2", 44_100),
    ("ogg", "flac", 16_000), ("ogg", "flac", 44_100),
]  # fmt: skip


def recording(
    form: str, codec: str, rate: int, move: Callable[[float], float], samples: np.ndarray = CHIRP
) -> bytes:
    """Encode, with the packets' times moved."""
    import soxr

    file = io.BytesIO()
    samples = soxr.resample(samples, RATE, rate) if rate != RATE else samples
    with av.open(file, "w", format=form) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64_000
        resampler = av.AudioResampler(stream.codec_context.format.name, "mono", rate)

        def write(frames: list) -> None:
            for frame in frames:
                for packet in stream.encode(frame):
                    packet.pts = packet.dts = round(
                        move(float(packet.pts * packet.time_base)) / packet.time_base
                    )
                    output.mux(packet)

        for at in range(0, len(samples), 960):
            values = (samples[at : at + 960] * 32_767).astype(np.int16)[np.newaxis]
            frame = av.AudioFrame.from_ndarray(values, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            write(resampler.resample(frame))
        write([*resampler.resample(None), None])
    return file.getvalue()


def read(content: bytes, **settings: bool) -> tuple[np.ndarray, str | None]:
    with decode(io.BytesIO(content), **settings) as decoding:  # type: ignore[arg-type]
        blocks = list(decoding)
    return np.concatenate(blocks, axis=1)[0], decoding.partial


def pitch_at(samples: np.ndarray, second: float) -> float:
    part = samples[round((second + 0.3) * RATE) : round((second + 0.7) * RATE)]
    return float(np.abs(np.fft.rfft(part)).argmax() * RATE / len(part)) if np.abs(part).max() > 0.05 else 0.0


@pytest.mark.parametrize(("form", "codec", "rate"), CODERS)
@pytest.mark.parametrize("gap", [0.3, 0.9, 2.0])
def test_a_gap_is_silence(form: str, codec: str, rate: int, gap: float) -> None:
    content = recording(form, codec, rate, lambda time: time + gap * (time >= 3.0))
    samples, partial = read(content, timed=True, strict=True)
    assert partial is None
    assert len(samples) == pytest.approx((SECONDS + gap) * RATE, abs=0.15 * RATE)
    assert [pitch_at(samples, n) for n in (0, 1, 2)] == pytest.approx([300, 700, 1_100], abs=10)
    assert [pitch_at(samples, n + gap) for n in (3, 4, 5)] == pytest.approx([1_500, 1_900, 2_300], abs=10)


@pytest.mark.parametrize(("form", "codec", "rate"), CODERS)
def test_hours_that_a_time_stamp_leaves_out_are_not_filled(form: str, codec: str, rate: int) -> None:
    content = recording(form, codec, rate, lambda time: time + 7_200 * (time >= 3.0))
    with decode(io.BytesIO(content)) as decoding:
        assert sum(block.shape[1] for block in decoding) == pytest.approx(SECONDS * RATE, abs=0.15 * RATE)
    assert decoding.partial is None
    with pytest.raises(RecordingError) as caught:
        read(content, timed=True)
    assert caught.value.code == "clock"


@pytest.mark.parametrize(("form", "codec", "rate"), [coder for coder in CODERS if coder[0] != "ogg"])
@pytest.mark.parametrize("late", [0.5, 5.0])
def test_a_late_start_is_silence(form: str, codec: str, rate: int, late: float) -> None:
    samples, partial = read(recording(form, codec, rate, lambda time: time + late), timed=True)
    assert partial is None
    assert len(samples) == pytest.approx((SECONDS + late) * RATE, abs=0.15 * RATE)
    assert pitch_at(samples, late) == pytest.approx(300, abs=10)
    assert np.abs(samples[: round((late - 0.1) * RATE)]).max() < 0.01


@pytest.mark.parametrize("late", [3_600.0, 86_400.0])
def test_what_was_cut_from_a_stream_begins_at_once_but_takes_no_times(late: float) -> None:
    content = recording("webm", "libopus", 48_000, lambda time: time + late)
    assert len(read(content)[0]) == pytest.approx(SECONDS * RATE, abs=0.15 * RATE)
    with pytest.raises(RecordingError) as caught:
        read(content, timed=True)
    assert caught.value.code == "clock"


def earlier(content: bytes, by: int) -> bytes:
    """Move the second cluster of a WebM by milliseconds."""
    at = content.index(CLUSTER, content.index(CLUSTER) + 4)
    at = content.index(b"\xe7", at) + 1
    size = content[at] & 0x7F
    time = int.from_bytes(content[at + 1 : at + 1 + size], "big") - by
    return content[: at + 1] + time.to_bytes(size, "big") + content[at + 1 + size :]


CLUSTER = b"\x1f\x43\xb6\x75"
LONG = np.tile(CHIRP, 3)
BACKWARDS = {
    "again from 0": lambda form, codec, rate: (
        2 * recording(form, codec, rate, lambda time: time, LONG[: len(LONG) // 2])
    ),
    "half a second": lambda form, codec, rate: earlier(
        recording(form, codec, rate, lambda time: time, LONG), 500
    ),
    "twice as fast": lambda form, codec, rate: recording(form, codec, rate, lambda time: time / 2, LONG),
}


@pytest.mark.parametrize("make", BACKWARDS.values(), ids=BACKWARDS)
@pytest.mark.parametrize(
    ("form", "codec", "rate"), [("webm", "libopus", 48_000), ("matroska", "aac", 16_000)]
)
def test_times_that_go_back_are_refused_where_times_are_given(
    form: str, codec: str, rate: int, make: Callable[[str, str, int], bytes]
) -> None:
    content = make(form, codec, rate)
    assert len(read(content)[0]) == pytest.approx(len(LONG), abs=0.25 * RATE)
    with pytest.raises(RecordingError) as caught:
        read(content, timed=True)
    assert caught.value.code == "clock"


@pytest.mark.parametrize("gap", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_gap_in_ogg_pages_is_silence(subtype: str, gap: float) -> None:
    content = parts.sound((LONG * 32_767).astype(np.int16), "OGG", subtype)
    rate = 48_000 if subtype == "OPUS" else RATE
    moved = b""
    for page in pages(Memory(content), 0, len(content)):
        raw = bytearray(content[page.start : page.stop])
        if 9 * rate < page.granule < NO_GRANULE:
            raw[6:14] = (page.granule + round(gap * rate)).to_bytes(8, "little")
        raw[22:26] = bytes(4)
        raw[22:26] = parts.ogg_crc(bytes(raw)).to_bytes(4, "little")
        moved += raw
    samples, partial = read(moved, timed=True)
    assert (len(samples), partial) == (pytest.approx(len(LONG) + gap * RATE, abs=0.15 * RATE), None)
    assert [pitch_at(samples, n + gap) for n in (16, 17)] == pytest.approx([1_900, 2_300], abs=10)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_flac_in_ogg_without_a_gap_is_read_without_an_extra(rate: int) -> None:
    steady, gap = (
        Memory(recording("ogg", "flac", rate, lambda time, by=by: time + by * (time >= 3.0)))
        for by in (0.0, 0.3)
    )
    assert has_steady_clock(steady)
    assert not has_steady_clock(gap)


def test_jitter_of_time_stamps_is_no_gap() -> None:
    rng = np.random.default_rng(0)
    content = recording("matroska", "aac", 16_000, lambda time: time + rng.uniform(0.0, 0.02))
    assert len(read(content, timed=True)[0]) == pytest.approx(SECONDS * RATE, abs=0.15 * RATE)


@pytest.mark.parametrize(("form", "codec", "rate"), [("webm", "libopus", 48_000), ("mp4", "aac", 16_000)])
def test_what_is_to_be_muted_by_the_clock_is_muted(form: str, codec: str, rate: int, tmp_path) -> None:
    path = tmp_path / f"call.{form}"
    path.write_bytes(
        recording(form, codec, rate, lambda time: time + 2.0 * (time >= 3.0), speech(WOMAN, SECONDS))
    )
    muted = Segment(5 * RATE, 8 * RATE)  # by the clock, all that follows the gap
    snippets = list(deident.deidentify(path, mute=[muted]))
    released = sum(snippet.seconds for snippet in snippets)
    assert 0.0 < released <= 3.5


def test_a_cut_recording_is_partial_whatever_is_missing() -> None:
    for form, codec, rate in (("webm", "libopus", 48_000), ("matroska", "aac", 16_000)):
        content = recording(form, codec, rate, lambda time: time)
        assert read(content)[1] is None
        assert read(content[: int(0.92 * len(content))])[1] is not None
