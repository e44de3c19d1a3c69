"""Fields of the headers of WAV, AIFF, CAF and SPHERE."""

from __future__ import annotations

import struct
from typing import NamedTuple

from deident.containers.source import Source

EXTENSIBLE = 0xFFFE


class WaveFormat(NamedTuple):
    """`fmt ` chunk (RFC 2361). written_tag : as it stands there, which for the extensible form says nothing yet."""

    written_tag: int
    tag: int
    channels: int
    rate: int
    byte_rate: int
    align: int
    bits: int


def wave_format(body: bytes, order: str) -> WaveFormat:
    """Read a `fmt ` chunk of at least 14 bytes; what is missing of 16 or 26 is 0."""
    order = ">" if order in ("big", ">") else "<"
    tag, channels, rate, byte_rate, align, bits = struct.unpack(f"{order}HHIIHH", body[:16].ljust(16, b"\0"))
    inner = struct.unpack(f"{order}H", body[24:26])[0] if tag == EXTENSIBLE and len(body) >= 26 else tag
    return WaveFormat(tag, inner, channels, rate, byte_rate, align, bits)


def long_sizes(source: Source, start: int) -> dict[bytes, int]:
    """Read the 64-bit sizes of the RF64 file at `start` (EBU Tech 3306), by the names of their chunks."""
    data = source.at(start + 12, 24)
    if data[:4] != b"ds64" or len(data) < 24:
        return {}
    return dict(zip((b"RIFF", b"data"), struct.unpack("<QQ", data[8:24]), strict=True))


class AiffFormat(NamedTuple):
    """`COMM` chunk of AIFF and AIFF-C (Apple, 1989 and 1991)."""

    channels: int
    frames: int
    bits: int
    rate: int
    compression: bytes


def aiff_format(body: bytes) -> AiffFormat:
    """Read a `COMM` chunk of at least 18 bytes."""
    channels, frames, bits, exponent, mantissa = struct.unpack(">HIHHQ", body[:18])
    shift = 16383 + 63 - (exponent & 0x7FFF)
    rate = mantissa >> shift if 0 <= shift < 64 else 0
    return AiffFormat(channels, frames, bits, rate, body[18:22] or b"NONE")


class CafFormat(NamedTuple):
    """`desc` chunk of CAF (Apple, 2006). rate : 0 for one that is no number."""

    rate: int
    codec: bytes
    flags: int
    packet_bytes: int
    packet_frames: int
    channels: int
    bits: int


def caf_format(body: bytes) -> CafFormat:
    """Read a `desc` chunk of at least 32 bytes."""
    rate, *fields = struct.unpack(">d4sIIIII", body[:32])
    return CafFormat(int(rate) if 0 <= rate < 2**31 else 0, *fields)


def sphere_fields(head: bytes) -> dict[bytes, bytes]:
    """Read the fields of a NIST SPHERE header, by name."""
    lines = (line.split(None, 2) for line in head.split(b"end_head")[0].split(b"\n"))
    return {line[0]: line[2].strip() for line in lines if len(line) == 3}


def sphere_samples(source: Source) -> int:
    """Read `sample_count` of a NIST SPHERE header; 0 if missing."""
    count = sphere_fields(source.at(0, 1024)).get(b"sample_count", b"")
    return int(count[:18]) if count.isdigit() else 0
