"""FLAC of any width and block size, uncompressed, which encoders at hand do not write (RFC 9639)."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np

_SIZE_CODES = {192: 1, 576: 2, 1152: 3, 2304: 4, 4608: 5, **{256 << n: 8 + n for n in range(8)}}
_BITS_CODES = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}


def flac(
    samples: np.ndarray,
    bits: int,
    blocks: Sequence[int] | int = 4_096,
    rate: int = 16_000,
    *,
    has_flag: bool = True,
    has_rate: bool = False,
    first: int = 0,
) -> bytes:
    """Write (samples, channels) integers of `bits` bits.

    blocks : samples a frame; a sequence makes a stream of variable block size, whose last size goes on.
    has_flag : frames say that block sizes vary. has_rate : frames say their rate. first : number of the first."""
    is_variable = not isinstance(blocks, int)
    sizes = list(blocks) if isinstance(blocks, Sequence) else [blocks]
    frames, at, number = [], 0, 0
    while at < len(samples):
        size = min(sizes[min(number, len(sizes) - 1)], len(samples) - at)
        where = at if is_variable else first + number
        frames.append(_frame(samples[at : at + size], bits, where, is_variable and has_flag, rate * has_rate))
        at, number = at + size, number + 1
    least, most = (min(sizes), max(sizes)) if is_variable else (sizes[0], sizes[0])
    packed = rate << 44 | (samples.shape[1] - 1) << 41 | (bits - 1) << 36 | len(samples)
    raw = samples.astype("<i4").view(np.uint8).reshape(*samples.shape, 4)[..., : -(-bits // 8)].tobytes()
    info = (
        min(least, 65_535).to_bytes(2, "big")
        + min(most, 65_535).to_bytes(2, "big")
        + bytes(6)
        + packed.to_bytes(8, "big")
    )
    return b"fLaC\x80\0\0\x22" + info + hashlib.md5(raw).digest() + b"".join(frames)


def _frame(samples: np.ndarray, bits: int, number: int, is_variable: bool, rate: int) -> bytes:
    size, channels = samples.shape
    code = _SIZE_CODES.get(size, 6 if size <= 256 else 7)
    head = bytes(
        [
            0xFF,
            0xF8 | is_variable,
            code << 4 | (14 if rate else 0),
            (channels - 1) << 4 | _BITS_CODES.get(bits, 0) << 1,
        ]
    )
    head += _coded(number)
    if code in (6, 7):
        head += (size - 1).to_bytes(code - 5, "big")
    if rate:
        head += (rate // 10).to_bytes(2, "big")
    head += bytes([_crc(head, 8, 0x07)])
    values = np.concatenate([np.concatenate(([2], samples[:, channel])) for channel in range(channels)])
    body = _bits(values, ([8] + [bits] * size) * channels)  # subframes: verbatim
    whole = head + body
    return whole + _crc(whole, 16, 0x8005).to_bytes(2, "big")


def _bits(values: np.ndarray, widths: Sequence[int]) -> bytes:
    """Pack values of given widths, most significant bit first."""
    text = "".join(
        format(int(value) & (1 << width) - 1, f"0{width}b")
        for value, width in zip(values, widths, strict=True)
    )
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _coded(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    tail = []
    limit = 0x40
    while number >= limit:
        tail.append(0x80 | number & 0x3F)
        number >>= 6
        limit >>= 1
    return bytes([0xFF & ~(2 * limit - 1) | number, *reversed(tail)])


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    table, value = _table(bits, polynomial), 0
    for byte in data:
        value = (value << 8 ^ table[value >> (bits - 8) ^ byte]) & (1 << bits) - 1
    return value


@functools.cache
def _table(bits: int, polynomial: int) -> list[int]:
    table = [byte << (bits - 8) for byte in range(256)]
    for _ in range(8):
        table = [
            (value << 1 ^ (polynomial if value >> (bits - 1) else 0)) & (1 << bits) - 1 for value in table
        ]
    return table
