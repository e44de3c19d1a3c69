"""A whole recording in each container of the table: `recording(name)`."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import cache
from pkgutil import resolve_name

import numpy as np
import pytest
import soundfile

from deident.containers import CONTAINERS
from tests.dirty import voice

SECONDS = 2.0
_CODERS = {  # where a demuxer is no muxer, or the muxer's own choice needs other rates
    "mp4": ("mp4", "aac"), "matroska": ("webm", "libopus"), "avi": ("avi", "pcm_s16le"), "flv": ("flv", "aac"),
    "aac": ("adts", "aac"),
}  # fmt: skip


@cache
def recording(name: str, seconds: float = SECONDS) -> bytes:
    """Make a recording in a container, by its name in the table. Skips the test where that needs an extra.

    libsndfile or FFmpeg writes it; for a layout that neither knows, `example(samples)` of the layout's own module.
    """
    samples, container = voice(seconds), CONTAINERS[name]
    if container.libsndfile == "RAW":
        example: Callable[[np.ndarray], bytes] = resolve_name(container.layout.partition(":")[0]).example
        return example(samples)
    if container.libsndfile:
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, format=container.libsndfile.split()[0])
        return file.getvalue()
    pytest.importorskip("av")
    if name in ("amr", "ape"):
        return {"amr": _amr, "ape": _ape}[name](seconds)
    return encoded(samples, *_CODERS.get(name, (container.demuxer, None)))


def encoded(samples: np.ndarray, form: str, codec: str | None, rate: int = 16_000) -> bytes:
    """Encode (samples,) int16 with FFmpeg's libraries, by default with the coder that the format's muxer prefers."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form) as output:
        stream = output.add_stream(codec or output.default_audio_codec, rate=rate, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = rate
        for part in (frame, None):
            output.mux(stream.encode(part))
    return file.getvalue()


def _amr(seconds: float) -> bytes:
    """Frames of 20 ms at 12.2 kbit/s (RFC 4867, section 5); any bits are sound."""
    rng = np.random.default_rng(1)
    return b"#!AMR\n" + b"".join(b"\x3c" + rng.bytes(31) for _ in range(round(50 * seconds)))


def _ape(seconds: float) -> bytes:
    """Monkey's Audio 3.99: frames that are marked as silence, since nothing here writes others."""
    frames, samples, last = 1, 73_728, round(16_000 * seconds)
    sound = struct.pack("<II", 1 << 31, 3) + bytes(8)  # a checksum, flagged; the flags: silence
    descriptor = struct.pack(
        "<4sHHIIIIIII16s", b"MAC ", 3_990, 0, 52, 24, 4 * frames, 0, len(sound), 0, 0, bytes(16)
    )
    header = struct.pack("<HHIIIHHI", 2_000, 0, samples, last, frames, 16, 1, 16_000)
    return descriptor + header + struct.pack("<I", 52 + 24 + 4 * frames) + sound
