"""Recordings that lie, break off or never were recordings, made here and named by what is wrong with them.

`python -m tests.hostile` decodes them all and prints, as JSON, how each ended and what this process took."""

from __future__ import annotations

import functools
import io
import json
import resource
import struct
import sys
import time
from collections.abc import Iterator

import numpy as np
import soundfile

RATE = 8_000

# container_codec: libsndfile's format and subtype, channels, bytes of magic
FORMATS = {
    "wav_pcm16": ("WAV", "PCM_16", 2, 12), "wav_pcm24": ("WAV", "PCM_24", 1, 12),
    "wav_float": ("WAV", "FLOAT", 2, 12), "wav_double": ("WAV", "DOUBLE", 1, 12),
    "wav_u8": ("WAV", "PCM_U8", 1, 12), "wav_ulaw": ("WAV", "ULAW", 2, 12),
    "wav_ima": ("WAV", "IMA_ADPCM", 1, 12), "wav_ms": ("WAV", "MS_ADPCM", 2, 12),
    "wav_gsm": ("WAV", "GSM610", 1, 12), "wavex_pcm16": ("WAVEX", "PCM_16", 2, 12),
    "rf64_pcm16": ("RF64", "PCM_16", 2, 12), "w64_pcm16": ("W64", "PCM_16", 2, 40),
    "aiff_pcm16": ("AIFF", "PCM_16", 2, 12), "aifc_ulaw": ("AIFF", "ULAW", 1, 12),
    "caf_pcm16": ("CAF", "PCM_16", 2, 8), "caf_alac": ("CAF", "ALAC_16", 1, 8),
    "au_pcm16": ("AU", "PCM_16", 2, 4), "sphere_pcm16": ("NIST", "PCM_16", 1, 8),
    "flac_16": ("FLAC", "PCM_16", 2, 4), "flac_24": ("FLAC", "PCM_24", 1, 4),
    "mp3": ("MP3", "MPEG_LAYER_III", 1, 4), "vorbis": ("OGG", "VORBIS", 1, 5), "opus": ("OGG", "OPUS", 1, 5),
}  # fmt: skip


@functools.cache
def sound(seconds: float, channels: int) -> np.ndarray:
    time_axis = np.arange(int(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 300 * time_axis)
    noise = 0.05 * np.random.default_rng(1).standard_normal((len(tone), channels))
    return (tone[:, np.newaxis] + noise).astype(np.float32)


@functools.cache
def sane(kind: str, seconds: float = 0.7) -> bytes:
    """A well-made recording of one of `FORMATS`."""
    container, codec, channels, _ = FORMATS[kind]
    file = io.BytesIO()
    soundfile.write(file, sound(seconds, channels), RATE, format=container, subtype=codec)
    return file.getvalue()


def wav(
    data: bytes = bytes(16_000),
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = RATE,
    align: int = 2,
    bits: int = 16,
    size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """A WAV file whose every field can be a lie."""
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align, bits) + extra
    body = b"WAVE" + before + chunk(b"fmt ", form)
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data + after
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body


def chunk(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    return kind + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def noise(count: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(count)


def hostile() -> Iterator[tuple[str, bytes]]:
    """(name, content) of every kind."""
    for kind in FORMATS:
        for name, content in broken(kind):
            yield f"{kind}: {name}", content
    yield from strangers()
    yield from wav_lies()
    yield from other_lies()
    yield from flac_lies()
    yield from mpeg_lies()
    yield from ogg_lies()


def broken(kind: str) -> Iterator[tuple[str, bytes]]:
    whole = sane(kind)
    magic = FORMATS[kind][3]
    for cut in (magic, magic + 1, 21, 45, 70):
        yield f"cut after {cut} bytes", whole[:cut]
    for share in (0.1, 0.5, 0.9):
        yield f"cut at {share:.0%}", whole[: int(share * len(whole))]
    yield "last byte missing", whole[:-1]
    yield "random bytes behind the magic", whole[:magic] + noise(20_000)
    yield "zeros behind the magic", whole[:magic] + bytes(20_000)
    yield "ones behind the magic", whole[:magic] + b"\xff" * 20_000
    yield "random bytes behind the header", whole[:64] + noise(20_000)
    yield "twice", whole + whole
    yield "junk at the end", whole + noise(5_000)
    yield "a hole of zeros", whole[: len(whole) // 2] + bytes(3_000) + whole[len(whole) // 2 + 3_000 :]
    for seed in range(3):
        mutated = bytearray(whole)
        rng = np.random.default_rng(seed)
        for at in rng.integers(magic, len(whole), 20):
            mutated[at] = rng.integers(256)
        yield f"20 random bytes, {seed}", bytes(mutated)
        for at in rng.integers(magic, min(200, len(whole)), 4):
            mutated[at] ^= 0xFF
        yield f"a header of random bytes, {seed}", bytes(mutated)


def strangers() -> Iterator[tuple[str, bytes]]:
    """Files that are called .wav and are something else."""
    yield "nothing", b""
    yield "one byte", b"R"
    yield "four bytes", b"RIFF"
    yield "text", b"Dear diary, today we recorded nothing.\n" * 500
    yield "html", b"<!DOCTYPE html><html><body>404</body></html>" * 50
    yield "zip", b"PK\x03\x04" + noise(5_000)
    yield "gzip", b"\x1f\x8b\x08" + noise(5_000)
    yield "jpeg", b"\xff\xd8\xff\xe0" + noise(5_000)
    yield "png", b"\x89PNG\r\n\x1a\n" + noise(5_000)
    yield "pdf", b"%PDF-1.7\n" + noise(5_000)
    yield "elf", b"\x7fELF\x02\x01\x01" + noise(5_000)
    yield "midi", b"MThd\x00\x00\x00\x06\x00\x01\x00\x02" + noise(5_000)
    yield "playlist", b"#EXTM3U\n/etc/passwd\n"
    yield "zeros", bytes(100_000)
    yield "ones", b"\xff" * 100_000
    yield "noise", noise(100_000)
    yield "svx", b"FORM" + struct.pack(">I", 9_000) + b"8SVX" + noise(9_000)
    yield "matlab", b"MATLAB 5.0 MAT-file" + bytes(105) + noise(5_000)
    yield "creative voice", b"Creative Voice File\x1a" + noise(5_000)
    yield "htk", struct.pack(">IIhh", 4_000, 625, 2, 0) + noise(8_000)
    for name, magic in {
        "mp4": b"\0\0\0\x20ftypM4A \0\0\0\0", "matroska": b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f",
        "amr": b"#!AMR\n", "avi": b"RIFF\xff\xff\0\0AVI LIST", "wavpack": b"wvpk\xff\xff\0\0",
        "flv": b"FLV\x01\5", "tta": b"TTA1\1\0",
        "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "ape": b"MAC \x96\x0f",
    }.items():  # fmt: skip
        yield f"{name} of random bytes", magic + noise(9_000)


def wav_lies() -> Iterator[tuple[str, bytes]]:
    yield "no channels", wav(channels=0)
    yield "65,535 channels", wav(channels=65_535, align=65_534)
    yield "65 channels", wav(channels=65, align=130)
    for rate in (0, 1, 3_999, 384_001, 2**32 - 1):
        yield f"{rate} Hz", wav(rate=rate)
    yield "block of nothing", wav(align=0)
    yield "no bits", wav(align=0, bits=0)
    yield "65,535 bits", wav(align=0, bits=65_535)
    yield "odd block", wav(channels=2, align=3)
    yield "64-bit integers", wav(align=8, bits=64)
    for tag in (0, 0x10, 0x55, 0x69, 0x160, 0x161, 0xF1AC, 0xFFFF):
        yield f"codec {tag:#x}", wav(noise(9_000), tag=tag)
    for tag, name in ((2, "ms"), (0x11, "ima"), (0x31, "gsm"), (0x40, "g721")):
        yield f"{name} with a block of 0", wav(noise(9_000), tag=tag, align=0, bits=4)
        yield (
            f"{name} with a block of 65,535",
            wav(noise(9_000), tag=tag, align=65_535, bits=4, extra=b"\2\0\xff\xff"),
        )
        yield (
            f"{name} with 32,767 coefficients",
            wav(noise(9_000), tag=tag, align=256, bits=4, extra=b"\xff\x7f\xff\xff\xff\x7f"),
        )
    for size in (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 45, 16_001, 40_000):
        yield f"data of {size} bytes", wav(size=size)
    yield "no samples", wav(b"")
    yield "one sample", wav(b"\1\2")
    yield "half a sample", wav(b"\1")
    yield "no format", b"RIFF\x10\0\0\0WAVE" + chunk(b"data", bytes(100))
    yield "format behind the data", b"RIFF\x99\0\0\0WAVE" + chunk(b"data", bytes(100)) + wav()[12:36]
    yield "short format", b"RIFF\x99\0\0\0WAVE" + chunk(b"fmt ", bytes(4)) + chunk(b"data", bytes(100))
    yield "format of 4 GB", b"RIFF\x99\0\0\0WAVE" + chunk(b"fmt ", bytes(16), 2**32 - 1)
    yield "extensible without its extension", wav(tag=0xFFFE)
    yield "50,000 empty chunks", wav(before=chunk(b"junk", b"") * 50_000)
    yield "lists in lists", wav(before=_nested(b"LIST", 400))
    yield "a tag of 4 GB", wav(before=b"LIST" + struct.pack("<I", 2**32 - 1))
    yield "second data chunk", wav(after=chunk(b"data", bytes(9_000)))
    yield "second recording", wav() + wav()
    yield "not a number", wav(np.full(4_000, np.nan, "<f4").tobytes(), tag=3, align=4, bits=32)
    yield "infinite", wav(np.full(4_000, np.inf, "<f4").tobytes(), tag=3, align=4, bits=32)
    yield "absurdly loud", wav(np.full(4_000, 3e38, "<f4").tobytes(), tag=3, align=4, bits=32)
    yield "beyond float32", wav(np.full(4_000, 1e300, "<f8").tobytes(), tag=3, align=8, bits=64)
    yield "denormal", wav(np.full(4_000, 1e-42, "<f4").tobytes(), tag=3, align=4, bits=32)
    ds64 = struct.pack("<QQQI", 2**63, 2**63, 2**63, 2**31)
    long = wav(before=chunk(b"ds64", ds64), size=2**32 - 1)
    yield "RF64 of 8 exabytes", b"RF64" + long[4:]
    yield "RF64 without ds64", b"RF64" + wav(size=2**32 - 1)[4:]
    yield "big-endian", b"RIFX" + wav()[4:]


def _nested(kind: bytes, depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = chunk(kind, b"INFO" + body)
    return body


def other_lies() -> Iterator[tuple[str, bytes]]:
    for name, rate in {"0": bytes(10), "infinite": b"\x7f\xff" + bytes(8), "none": b"\xff" * 10}.items():
        comm = struct.pack(">HIH", 1, 100, 16) + rate
        body = (
            b"AIFFCOMM" + struct.pack(">I", 18) + comm + b"SSND" + struct.pack(">III", 208, 0, 0) + bytes(200)
        )
        yield f"aiff at {name} Hz", b"FORM" + struct.pack(">I", len(body)) + body
    comm = struct.pack(">HIH", 1, 100, 16) + b"\x40\x0c\xfa\0\0\0\0\0\0\0"
    body = b"AIFFCOMM" + struct.pack(">I", 18) + comm
    for offset in (0, 150, 2**32 - 1):
        ssnd = b"SSND" + struct.pack(">III", 208, offset, 0) + bytes(200)
        yield f"aiff with samples {offset} bytes on", b"FORM" + struct.pack(">I", 300) + body + ssnd
    for name, rate, channels, packet in (
        ("nan Hz", float("nan"), 1, 2), ("infinite Hz", float("inf"), 1, 2), ("-1 Hz", -1.0, 1, 2),
        ("4 billion channels", 8e3, 2**32 - 1, 2), ("no channels", 8e3, 0, 2), ("no packets", 8e3, 1, 0),
        ("packets of 4 GB", 8e3, 1, 2**32 - 1),
    ):  # fmt: skip
        desc = struct.pack(">d4sIIIII", rate, b"lpcm", 2, packet, 1, channels, 16)
        head = b"caff\0\1\0\0desc" + struct.pack(">q", 32) + desc
        yield f"caf with {name}", head + b"data" + struct.pack(">q", 204) + bytes(204)
    for size in (-1, -(2**63), 0, 2**63 - 1):
        desc = struct.pack(">d4sIIIII", 8e3, b"lpcm", 2, 2, 1, 1, 16)
        head = b"caff\0\1\0\0desc" + struct.pack(">q", 32) + desc
        yield f"caf with data of {size} bytes", head + b"data" + struct.pack(">q", size) + bytes(204)
        yield f"caf with a tag of {size} bytes", head + b"info" + struct.pack(">q", size) + bytes(204)
    for start, size, code, rate, channels in (
        (2**32 - 1, 0, 3, 8_000, 1), (0, 2**32 - 1, 3, 8_000, 1), (24, 100, 99, 8_000, 1), (24, 100, 3, 0, 1),
        (24, 100, 3, 8_000, 0), (24, 100, 3, 8_000, 2**32 - 1), (24, 100, 23, 8_000, 1),
    ):  # fmt: skip
        yield (
            f"au of {start, size, code, rate, channels}",
            b".snd" + struct.pack(">5I", start, size, code, rate, channels) + bytes(1_000),
        )
    w64 = sane("w64_pcm16")
    for size in (0, 23, 2**63, 2**64 - 1):
        yield f"w64 with a chunk of {size} bytes", w64[:56] + struct.pack("<Q", size) + w64[64:]
    sphere = sane("sphere_pcm16")
    for name, old, new in (
        ("channels", b"channel_count -i 1", b"channel_count -i 9"), ("rate", b"-i 8000", b"-i 0000"),
        ("samples", b"sample_count -i", b"sample_count -i 99999"), ("header", b"   1024", b"9999999"),
    ):  # fmt: skip
        yield f"sphere with other {name}", sphere.replace(old, new, 1)


def flac_lies() -> Iterator[tuple[str, bytes]]:
    whole = sane("flac_16")
    for total in (0, 1, 100, 2**32, 2**36 - 1):
        head = bytearray(whole)
        head[21] = head[21] & 0xF0 | total >> 32
        head[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
        yield f"flac of {total} samples", bytes(head)
        yield f"flac of {total} samples, cut", bytes(head[: len(head) // 2])
    info, frames = whole[8:42], whole[_frames_at(whole) :]

    def flac(*blocks: bytes) -> bytes:
        return b"fLaC\0\0\0\x22" + info + b"".join(blocks) + b"\x81\0\0\0" + frames

    yield (
        "flac with 100,000 blocks",
        flac(b"\x01\0\0\x04" + bytes(4) * 1).replace(frames, b"")
        + (b"\x01\0\0\x04" + bytes(4)) * 100_000
        + b"\x81\0\0\0"
        + frames,
    )
    yield "flac with padding of 16 MB that is not there", flac(b"\x01\xff\xff\xff")
    yield "flac with 4 billion comments", flac(b"\x04\0\0\x0c" + bytes(4) + b"\xff" * 4 + bytes(4))
    yield "flac with a comment of 4 GB", flac(b"\x04\0\0\x0c" + bytes(4) + b"\1\0\0\0" + b"\xff" * 4)
    yield "flac with a picture of 4 GB", flac(b"\x06\0\0\x20" + bytes(28) + b"\xff" * 4)
    yield "flac with a seek table of noise", flac(b"\x03\0\x46\x50" + noise(18_000))
    yield "flac with a block of type 127", flac(b"\x7f\0\0\x04" + bytes(4))
    yield "flac with two STREAMINFO", flac(b"\0\0\0\x22" + info)
    yield "flac without STREAMINFO", b"fLaC\x81\0\0\0" + frames
    yield "flac without frames", b"fLaC\x80\0\0\x22" + info
    for name, at, value in (
        ("0 Hz", 18, b"\0\0\x02"),
        ("blocks of 0", 8, bytes(4)),
        ("1 Hz", 18, b"\0\0\x12"),
    ):
        yield f"flac of {name}", whole[:at] + value + whole[at + len(value) :]
    yield "flac frames in disorder", whole[: len(whole) // 2] + whole[_frames_at(whole) :]
    yield "flac behind an ID3 tag", b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + whole
    yield "flac behind an ID3 tag of 256 MB", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + whole


def _frames_at(flac: bytes) -> int:
    at, last = 4, False
    while not last:
        last = bool(flac[at] & 0x80)
        at += 4 + int.from_bytes(flac[at + 1 : at + 4], "big")
    return at


def mpeg_lies() -> Iterator[tuple[str, bytes]]:
    whole = sane("mp3")
    yield "mp3 behind an ID3 tag", b"ID3\x03\0\0\0\0\x02\0" + bytes(256) + whole
    yield "mp3 behind an ID3 tag of 256 MB", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + whole
    yield "mp3 behind 1,000 ID3 tags", b"ID3\x04\0\0\0\0\0\0" * 1_000 + whole
    yield "mp3 behind an ID3 tag of illegal size", b"ID3\x04\0\0\xff\xff\xff\xff" + whole
    yield "mp3 behind zeros", bytes(1_000) + whole
    yield (
        "mp3 with other tags",
        whole + b"APETAGEX" + struct.pack("<III", 2000, 2**32 - 1, 9) + bytes(12) + b"TAG" + bytes(125),
    )
    for frames, size in ((2**32 - 1, 0), (0, 2**32 - 1), (1, 1), (2**32 - 1, 2**32 - 1)):
        at = max(whole.find(b"Xing"), whole.find(b"Info"))
        fields = struct.pack(">III", 3, frames, size)
        yield f"mp3 claiming {frames} frames, {size} bytes", whole[: at + 4] + fields + whole[at + 16 :]
    header = whole[:4]
    yield "mp3 headers only", header * 5_000
    yield "mp3 frames of noise", b"".join(header + noise(len(whole) // 40, n) for n in range(40))
    yield "mp3 of free format", bytes([header[0], header[1], header[2] & 0x0F, header[3]]) + whole[4:]
    yield "aac of noise", b"\xff\xf1\x50\x80\x2e\x7f\xfc" + noise(9_000)


def ogg_lies() -> Iterator[tuple[str, bytes]]:
    for kind in ("vorbis", "opus"):
        whole = sane(kind)
        second = whole.index(b"OggS", 4)
        last = whole.rindex(b"OggS")
        for name, granule in {"-1": b"\xff" * 8, "huge": b"\xff" * 7 + b"\x7f", "0": bytes(8)}.items():
            yield f"{kind} ending at position {name}", whole[: last + 6] + granule + whole[last + 14 :]
        yield f"{kind} with a broken checksum", whole[: last + 22] + b"\0\1\2\3" + whole[last + 26 :]
        yield f"{kind} without a first page", whole[second:]
        yield f"{kind} with its first page 3,000 times", whole[:second] * 3_000
        yield f"{kind} chained three times", whole * 3
        yield f"{kind} chained to a cut one", whole + whole[: len(whole) // 2]
        yield f"{kind} chained to the other", whole + sane("opus" if kind == "vorbis" else "vorbis")
        yield f"{kind} with the end mark missing", whole[: last + 5] + b"\0" + whole[last + 6 :]
        yield f"{kind} with a page lost", whole[:second] + whole[whole.index(b"OggS", second + 4) :]
        for at in range(28, 47):
            yield f"{kind} header byte {at} of ones", whole[:at] + b"\xff" + whole[at + 1 :]
    yield (
        "ogg of empty pages",
        b"".join(b"OggS\0\0" + bytes(8) + b"abcd" + struct.pack("<I", n) + bytes(5) for n in range(20_000)),
    )
    yield "ogg of speex", b"OggS\0\2" + bytes(8) + b"abcd" + bytes(8) + b"\1\x50Speex   " + noise(72)
    yield (
        "ogg of flac of noise",
        b"OggS\0\2" + bytes(8) + b"abcd" + bytes(8) + b"\1\x33\x7fFLAC\1\0\0\1fLaC" + noise(900),
    )


def peak_kib() -> int:
    """The most memory this process had. What Linux calls `ru_maxrss` counts the parent's at the fork too."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    from deident.codec import decode
    from deident.errors import RecordingError

    states = {}
    for name, content in hostile():
        started = time.monotonic()
        try:
            with decode(io.BytesIO(content)) as decoding:
                seconds = sum(block.shape[1] for block in decoding) / 16_000
                state = [decoding.partial or "whole", round(seconds, 3)]
        except RecordingError as error:
            state = [error.code, 0.0]
        states[name] = [*state, round(time.monotonic() - started, 3)]
    json.dump({"peak_kib": peak_kib(), "states": states}, sys.stdout)


if __name__ == "__main__":
    main()
