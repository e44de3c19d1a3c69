"""A whole recording in each container of the table: `recording(name)`."""

from __future__ import annotations

import io
import struct
from functools import cache

import numpy as np
import pytest
import soundfile

from tests.dirty import voice

SECONDS = 2.0
_SOUNDFILE = {
    "wav": ("WAV", "PCM_16"), "rf64": ("RF64", "PCM_16"), "w64": ("W64", "PCM_16"), "aiff": ("AIFF", "PCM_16"),
    "caf": ("CAF", "PCM_16"), "au": ("AU", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"),
    "sphere": ("NIST", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"),
}  # fmt: skip
_FFMPEG = {
    "mp4": ("mp4", "aac"), "matroska": ("webm", "libopus"), "asf": ("asf", "wmav2"), "avi": ("avi", "pcm_s16le"),
    "flv": ("flv", "aac"), "wavpack": ("wv", "wavpack"), "tta": ("tta", "tta"), "aac": ("adts", "aac"),
}  # fmt: skip


@cache
def recording(name: str, seconds: float = SECONDS) -> bytes:
    """Make a recording in a container, by its name in the table. Skips the test where that needs an extra."""
    samples = voice(seconds)
    if name in _SOUNDFILE:
        file = io.BytesIO()
        form, subtype = _SOUNDFILE[name]
        soundfile.write(file, samples, 16_000, format=form, subtype=subtype)
        return file.getvalue()
    pytest.importorskip("av")
    return (
        {"amr": _amr, "ape": _ape}[name](seconds)
        if name in ("amr", "ape")
        else encoded(samples, *_FFMPEG[name])
    )


def encoded(samples: np.ndarray, form: str, codec: str, rate: int = 16_000) -> bytes:
    """Encode (samples,) int16 with FFmpeg's libraries."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
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
