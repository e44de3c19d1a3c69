"""Decoding of FLAC frames at which libsndfile and FFmpeg give up: of 65,536 samples, or very many bytes (RFC 9639).

STREAMINFO has no room for that size, so the standard forbids it; players built on libFLAC read it all the same. The
decoder below is a hundred times slower than a library: it is for such streams alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import mul

import numpy as np
import numpy.typing as npt

from deident.codec.files import Bytes
from deident.codec.pcm import Block
from deident.containers import flac

LONG = 1 << 16  # samples
_FFMPEG_BYTES = 150_000  # of a frame; FFmpeg's parser gives up at a quarter of a million or so
Integers = npt.NDArray[np.int64]
_FIXED: tuple[list[int], ...] = (
    [],
    [1],
    [-1, 2],
    [1, -3, 3],
    [-1, 4, -6, 4],
)  # taps, the earliest sample first
_HEADER_BYTES = 16
_SLACK = 4096  # bytes that a frame may hold above its plain samples
_SIDE = {8: 1, 9: 0, 10: 1}  # channel that holds a difference, by the code of channels


def find_frame(stream: Bytes, position: int) -> int | None:
    """Find the byte where a frame of 65,536 samples begins, `position` samples from the start of the stream."""
    return next(
        (at for at, header, start in _frames(stream) if header.samples == LONG and start == position), None
    )


def has_large_frames(stream: Bytes, bits: int) -> bool:
    """Tell frames that FFmpeg does not read, whose samples take `bits` bits."""
    return any(
        header.samples == LONG or header.samples * header.channels * bits > 8 * _FFMPEG_BYTES
        for _, header, _ in _frames(stream)
    )


def _frames(stream: Bytes) -> Iterator[tuple[int, flac.FrameHeader, int]]:
    """List the frames, last first, as (byte, header, first sample)."""
    info = flac.stream_info(stream.at(8, flac.INFO_BYTES))
    for at, header in flac.headers_from_end(stream, first_frame(stream), stream.size):
        if header.is_like(info):
            yield at, header, header.end(info) - header.samples


def first_frame(stream: Bytes) -> int:
    """Find the byte where the first frame begins."""
    return max(block.stop for block in flac.metadata_blocks(stream, len(flac.MARK), stream.size))


class FrameDecoder:
    """The frames of a stream from the one at byte `start` on: `(rate, block)` until they end or are damaged."""

    def __init__(self, stream: Bytes, start: int) -> None:
        self._stream = stream
        self._start = start
        self._info = flac.stream_info(stream.at(8, flac.INFO_BYTES))
        self.frames = 0

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        at = self._start
        while header := flac.frame_header(self._stream.at(at, _HEADER_BYTES)):
            bits = header.bits or self._info.bits
            most = header.samples * header.channels * (bits + 1) // 8 + _SLACK
            frame = self._stream.at(at, most)
            try:
                samples, size = _decode_frame(frame, header, bits)
            except (IndexError, ValueError):  # it is cut short, or is no frame
                return
            if flac.crc16(frame[:size]):
                return
            at += size
            self.frames += len(samples)
            yield self._info.rate, (samples * 2.0 ** (1 - bits)).astype(np.float32)


def _decode_frame(frame: bytes, header: flac.FrameHeader, bits: int) -> tuple[Integers, int]:
    """Decode a frame to ((samples, channels), its size in bytes)."""
    code = frame[3] >> 4
    bit_reader = BitReader(frame, 8 * header.bytes)
    rows = [
        _subframe(bit_reader, header.samples, bits + (_SIDE.get(code) == channel))
        for channel in range(header.channels)
    ]
    if code == 8:
        rows[1] = rows[0] - rows[1]
    elif code == 9:
        rows[0] = rows[0] + rows[1]
    elif code == 10:
        twice = rows[0] << 1 | rows[1] & 1
        rows = [twice + rows[1] >> 1, twice - rows[1] >> 1]
    return np.stack(rows, axis=1), -(-bit_reader.position // 8) + 2


class BitReader:
    """Reads numbers from bytes, from a position in bits on. Raises `IndexError` past the end."""

    def __init__(self, data: bytes, position: int) -> None:
        self.position = position
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        places = np.arange(self._bits.size, dtype=np.int32)
        places[self._bits == 0] = self._bits.size
        self._next_one = memoryview(np.minimum.accumulate(places[::-1])[::-1].copy().data)

    def take(self, width: int, signed: bool = False) -> int:
        return int(self.numbers(1, width, signed)[0])

    def numbers(self, count: int, width: int, signed: bool = True) -> Integers:
        """Read (count,) numbers of `width` bits each."""
        weights = 1 << np.arange(width - 1, -1, -1, dtype=np.int64)
        weights[:1] *= -1 if signed else 1
        start, self.position = self.position, self.position + count * width
        if self.position > self._bits.size:
            raise IndexError
        values: Integers = self._bits[start : self.position].reshape(count, width) @ weights
        return values

    def zeros(self) -> int:
        """Count the zeros before the next one, and pass over both."""
        start, self.position = self.position, self._next_one[self.position] + 1
        return self.position - 1 - start

    def rice_codes(self, count: int, parameter: int) -> Integers:
        """Read (count,) signed numbers: zeros that count the upper part, a one, and `parameter` lower bits."""
        at, zeros, lows, next_one = self.position, [], [], self._next_one
        for _ in range(count):
            one = next_one[at]
            zeros.append(one - at)
            lows.append(one + 1)
            at = one + 1 + parameter
        self.position = at
        places = np.array(lows, np.int64)[:, None] + np.arange(parameter)
        low = self._bits[places] @ (1 << np.arange(parameter - 1, -1, -1, dtype=np.int64))
        folded: Integers = np.array(zeros, np.int64) << parameter | low
        values: Integers = folded >> 1 ^ -(folded & 1)
        return values


def _subframe(bits: BitReader, samples: int, width: int) -> Integers:
    """Decode one channel of a frame: (samples,)."""
    if bits.take(1):
        raise ValueError
    kind = bits.take(6)
    wasted = bits.zeros() + 1 if bits.take(1) else 0
    width -= wasted
    if kind == 0:
        values: Integers = np.full(samples, bits.take(width, signed=True), np.int64)
    elif kind == 1:
        values = bits.numbers(samples, width)
    elif 8 <= kind <= 12 or kind >= 32:
        values = _predicted(bits, samples, width, kind)
    else:
        raise ValueError
    values <<= wasted
    return values


def _predicted(bits: BitReader, samples: int, width: int, kind: int) -> Integers:
    """Decode a channel that is predicted, with fixed or given taps, and corrected by a residual."""
    order = kind - 31 if kind >= 32 else kind - 8
    values = bits.numbers(order, width).tolist()
    shift, taps = 0, _FIXED[order] if kind < 32 else []
    if kind >= 32:
        precision = bits.take(4) + 1
        shift = bits.take(5, signed=True)
        taps = bits.numbers(order, precision)[::-1].tolist()
    residual = _residual(bits, samples, order)
    if not order:
        return residual
    for correction in residual.tolist():
        values.append(correction + (sum(map(mul, taps, values[-order:])) >> shift))
    return np.array(values, np.int64)


def _residual(bits: BitReader, samples: int, order: int) -> Integers:
    """Read the (samples - order,) differences from a prediction, in partitions of Rice codes."""
    width = 4 + bits.take(2)
    if width > 5:
        raise ValueError
    parts = 1 << bits.take(4)
    counts = [samples // parts - order * (part == 0) for part in range(parts)]
    if samples % parts or counts[0] < 0:
        raise ValueError
    found = []
    for count in counts:
        parameter = bits.take(width)
        if parameter == (1 << width) - 1:
            found.append(bits.numbers(count, bits.take(5)))
        else:
            found.append(bits.rice_codes(count, parameter))
    return np.concatenate(found)
