"""Files that SoX writes are read whole and right, from a file and from a stream, whose length it does not know."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from deident.codec import decode
from tests import voices

SOX = shutil.which("sox")
SPEECH = np.repeat(voices.speech(seconds=1.5)[:, None], 2, axis=1) * np.array([1.0, -0.6])
HOWS = {  # by SoX's type, what it can write; of integers, -b is the width
    "wav": ["-b 8 -e unsigned", "-b 16", "-b 24", "-b 32", "-e float -b 32", "-e mu-law", "-e a-law",
            "-e ms-adpcm", "-e ima-adpcm"],
    "aiff": ["-b 8", "-b 16", "-b 24", "-b 32"],
    "aifc": ["-b 8", "-b 16", "-b 24", "-b 32"],
    "au": ["-b 8 -e signed", "-b 16", "-b 24", "-b 32", "-e float -b 32", "-e float -b 64", "-e mu-law", "-e a-law"],
    "sph": ["-b 8 -e signed", "-b 16", "-b 16 -B", "-b 16 -L", "-b 24", "-b 32", "-e mu-law"],
    "caf": ["-b 16", "-b 24", "-e float -b 32", "-e mu-law"],
    "w64": ["-b 16", "-b 24", "-e float -b 32"],
    "flac": ["-b 8", "-b 16", "-b 24"],
}  # fmt: skip
UNSEEKABLE = ("wav", "aiff", "aifc", "au", "sph", "flac")
ALL = [(kind, how) for kind, hows in HOWS.items() for how in hows]


def by_sox(folder: Path, kind: str, how: str, rate: int, channels: int, *, stream: bool) -> bytes:
    assert SOX
    source, out = folder / "source.wav", folder / f"out.{kind}"
    soundfile.write(source, SPEECH[:, :channels], 16_000, "PCM_24")
    command = [SOX, "-V1", "-D", str(source), "-t", kind, *how.split(), "-r", str(rate)]
    if stream:
        return subprocess.run([*command, "-"], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run([*command, str(out)], check=True)
    return out.read_bytes()


def read_whole(content: bytes, rate: int, channels: int) -> None:
    with decode(io.BytesIO(content), channels="split") as decoding:
        found = np.concatenate(list(decoding), axis=1)
        assert (decoding.source_rate, decoding.channels) == (rate, channels)
    assert decoding.partial is None
    assert decoding.source_seconds == pytest.approx(len(SPEECH) / 16_000, abs=0.1)  # blocks of ADPCM
    wanted = soxr.resample(soxr.resample(SPEECH[:, :channels], 16_000, rate), rate, 16_000).T
    count = min(wanted.shape[1], found.shape[1]) - 400
    for one, other in zip(found[:, 400:count], wanted[:, 400:count], strict=True):
        gain = float(np.dot(one, other) / np.dot(other, other))
        assert gain == pytest.approx(1.0, abs=0.03)
        assert np.corrcoef(one, other)[0, 1] > 0.98  # of 8 bits


@pytest.mark.skipif(SOX is None, reason="sox is not installed")
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2)])
@pytest.mark.parametrize(("kind", "how"), ALL)
def test_what_sox_writes_is_read(tmp_path: Path, kind: str, how: str, rate: int, channels: int) -> None:
    read_whole(by_sox(tmp_path, kind, how, rate, channels, stream=False), rate, channels)


@pytest.mark.skipif(SOX is None, reason="sox is not installed")
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 2), (48_000, 1)])
@pytest.mark.parametrize(("kind", "how"), [(kind, how) for kind, how in ALL if kind in UNSEEKABLE])
def test_what_sox_writes_to_a_stream_is_read(
    tmp_path: Path, kind: str, how: str, rate: int, channels: int
) -> None:
    read_whole(by_sox(tmp_path, kind, how, rate, channels, stream=True), rate, channels)


@pytest.mark.parametrize(("bits", "channels"), [(8, 1), (16, 2), (24, 3)])
def test_aiff_of_a_stream_is_whole(bits: int, channels: int) -> None:
    """SoX announces 0x7F000000 bytes, in whole frames."""
    samples = np.repeat(SPEECH[:, :1], channels, axis=1)
    out = io.BytesIO()
    soundfile.write(out, samples, 16_000, f"PCM_{'S' if bits == 8 else ''}{bits}", format="AIFF")
    content = bytearray(out.getvalue())
    at = content.index(b"SSND")
    width = bits // 8 * channels
    content[at + 4 : at + 8] = (0x7F000000 // width * width + 8).to_bytes(4, "big")
    content[4:8] = (0x7F000046).to_bytes(4, "big")
    read_whole_of_one(bytes(content[: at + 16 + len(samples) * width]))


def read_whole_of_one(content: bytes) -> None:
    with decode(io.BytesIO(content)) as decoding:
        found = np.concatenate(list(decoding), axis=1)
    assert decoding.partial is None
    assert found.shape[1] == len(SPEECH)
    assert np.corrcoef(found[0], SPEECH[:, 0])[0, 1] > 0.98


def ogg(codec: str, rate: int, channels: int, folder: Path) -> bytes:
    source, out = folder / "source.wav", folder / "out.ogg"
    soundfile.write(source, SPEECH[:, :channels], 16_000)
    how = ["-c:a", codec, "-ar", str(rate), "-f", "ogg"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(source), *how, str(out)], check=True)
    return out.read_bytes()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("second", [("libopus", 48_000, 1), ("libvorbis", 44_100, 2), ("flac", 8_000, 1)])
@pytest.mark.parametrize("first", [("libopus", 16_000, 2), ("libvorbis", 8_000, 1), ("flac", 44_100, 2)])
def test_ogg_streams_of_any_kind_in_a_chain_are_read_whole(
    tmp_path: Path, first: tuple[str, int, int], second: tuple[str, int, int]
) -> None:
    chain = ogg(*first, tmp_path) + ogg(*second, tmp_path)
    with decode(io.BytesIO(chain)) as decoding:
        found = np.concatenate(list(decoding), axis=1)
    assert decoding.partial is None
    assert found.shape[1] == pytest.approx(2 * len(SPEECH), abs=800)
