"""A canonical FLAC: the marker, one STREAMINFO, and frames of 16-bit mono sound, each bit accounted for.

Headers follow from the number of samples, so they are made again and compared. The decoder is not believed:
what it gives is predicted, subtracted and Rice-coded anew as each frame says, and must come to the very bits
of the frame, up to its checksum. Only the samples that were encoded do. RFC 9639.
"""

from __future__ import annotations

import hashlib
import io
from functools import cache

import numpy as np
import numpy.typing as npt

from deident.audit.promise import RATE, SAMPLE_BYTES, AuditError

Integers = npt.NDArray[np.int64]

FIRST_FRAME = 42  # bytes: the marker, a block header and STREAMINFO
BLOCKS = (1152, 4096)  # samples a frame; the two that encoders' presets use
SAMPLE_BITS = 8 * SAMPLE_BYTES
SLACK = 64  # bytes a frame may hold above its plain samples
ESCAPE = 15  # the Rice parameter that announces plain numbers; encoders of 16-bit sound don't need it
_COUNT = (1 << 36) - 1  # where STREAMINFO keeps the number of samples
_FORM = RATE << 44 | (SAMPLE_BITS - 1) << 36  # and 0 for one channel
_RATE_CODE, _SIZE_CODE = 5, 4  # 16 kHz, 16 bits
_BLOCK_CODES = {192: 1, 576: 2, 1152: 3, 2304: 4, 4608: 5} | {256 << k: 8 + k for k in range(8)}


def flac_samples(data: bytes, max_seconds: float) -> int:
    """The samples in a FLAC of which every byte is as it should be. Raises `AuditError`."""
    block, form = int.from_bytes(data[8:10], "big"), int.from_bytes(data[18:26], "big")
    samples = form & _COUNT
    if len(data) < FIRST_FRAME or block not in BLOCKS or form != _FORM | samples:
        raise AuditError(f"expected FLAC blocks of 1152 or 4096 samples, 16 bits, mono, {RATE} Hz")
    if not 0 < samples < max_seconds * RATE:  # before a decoder believes it
        raise AuditError(f"a snippet must last less than {max_seconds:g} s; STREAMINFO says otherwise")
    decoded = decode(data, samples)
    position, sizes = FIRST_FRAME, []
    for number, start in enumerate(range(0, samples, block)):
        sizes.append(frame_size(data, position, number, decoded[start : start + block]))
        position += sizes[-1]
    if position != len(data):
        raise AuditError(f"{len(data) - position} bytes follow the last FLAC frame; expected none")
    digest = hashlib.md5(decoded.astype("<i2").tobytes(), usedforsecurity=False).digest()
    if data[:FIRST_FRAME] != canonical_start(block, sizes, samples, digest):
        raise AuditError("STREAMINFO is not the only block, or is not what the frames call for")
    return samples


def decode(data: bytes, samples: int) -> Integers:
    """(samples,) int64, as a library that every player uses decodes them."""
    import soundfile

    try:
        decoded, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    except (soundfile.SoundFileError, RuntimeError, ValueError):
        raise AuditError("the FLAC cannot be decoded") from None
    if decoded.shape != (samples,):
        raise AuditError("the FLAC does not decode to as many samples as its frames hold")
    return np.asarray(decoded, dtype=np.int64)


def canonical_start(block: int, frame_sizes: list[int], samples: int, digest: bytes) -> bytes:
    """(42,) bytes before the first frame: the marker and a STREAMINFO that is the last block."""
    return b"".join((
        b"fLaC\x80\x00\x00\x22", block.to_bytes(2, "big") * 2, min(frame_sizes).to_bytes(3, "big"),
        max(frame_sizes).to_bytes(3, "big"), (_FORM | samples).to_bytes(8, "big"), digest,
    ))  # fmt: skip


def canonical_header(number: int, samples: int) -> bytes:
    """The header of a frame of a stream with frames of constant length. RFC 9639, section 9.1."""
    code = _BLOCK_CODES.get(samples, 6 if samples <= 256 else 7)
    length = (samples - 1).to_bytes(code - 5, "big") if code in (6, 7) else b""
    head = bytes((0xFF, 0xF8, code << 4 | _RATE_CODE, _SIZE_CODE << 1)) + coded(number) + length
    return head + bytes([crc8(head)])


def coded(number: int) -> bytes:
    """A frame's number, written as UTF-8 writes a character of that number."""
    if number < 0x80:
        return bytes([number])
    if number >= 1 << 31:
        raise AuditError("a FLAC stream has fewer than 2**31 frames")
    more = next(n for n in range(1, 6) if number < 1 << (5 * n + 6))
    tail = [0x80 | number >> 6 * k & 0x3F for k in reversed(range(more))]
    return bytes([0xFF << (7 - more) & 0xFF | number >> 6 * more, *tail])


def crc8(data: bytes) -> int:
    """Compute the CRC-8 of a frame header (polynomial 0x07)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc


@cache
def _powers(bits: int) -> npt.NDArray[np.uint16]:
    """(bits,) x to the power 0, 1, 2 … modulo the polynomial of FLAC's CRC-16."""
    powers, value = np.empty(bits, np.uint16), 1
    for exponent in range(bits):
        powers[exponent] = value
        value = value << 1 ^ (0x18005 if value & 0x8000 else 0)
    return powers


def crc16_is_right(bits: npt.NDArray[np.uint8]) -> bool:
    """Tell whether a frame with its checksum, as a polynomial, is divisible by the CRC's."""
    powers = _powers(8 * (SAMPLE_BYTES * max(BLOCKS) + SLACK))[bits.size - 1 :: -1]
    return not np.bitwise_xor.reduce(powers * bits)


def common_zeros(samples: Integers) -> int:
    """Count the lowest bits that are zero in every sample; 0 for silence, as encoders write it."""
    together = int(np.bitwise_or.reduce(samples))
    return (together & -together).bit_length() - 1 if together else 0


def frame_size(data: bytes, start: int, number: int, samples: Integers) -> int:
    """The bytes of the frame at `start`, every one of which is as these samples call for."""
    header = canonical_header(number, samples.size)
    if data[start : start + len(header)] != header:
        raise AuditError(f"the header of FLAC frame {number} is not the one its place calls for")
    window = data[start : start + SAMPLE_BYTES * samples.size + SLACK]
    walk = _Walk(window, 8 * len(header), number)
    walk.subframe(samples)
    size = -(-walk.position // 8) + 2
    if size > len(window) or walk.bits[walk.position : 8 * size - 16].any():
        raise AuditError(f"FLAC frame {number} ends too late, or not in zero bits up to a whole byte")
    if not crc16_is_right(walk.bits[: 8 * size]):
        raise AuditError(f"the checksum of FLAC frame {number} does not match its bytes")
    return size


class _Walk:
    """Reads one frame and compares it with its samples. `position` is a bit of `window`."""

    def __init__(self, window: bytes, position: int, number: int) -> None:
        self.window, self.position, self.number = window, position, number
        self.bits = np.unpackbits(np.frombuffer(window, np.uint8))

    def broken(self, what: str) -> AuditError:
        return AuditError(f"FLAC frame {self.number} {what}")

    def take(self, width: int, signed: bool = False) -> int:
        """Read the next `width` bits as a number."""
        stop = self.position + width
        if stop > self.bits.size:
            raise self.broken("is cut short")
        first, last = self.position // 8, -(-stop // 8)
        value = int.from_bytes(self.window[first:last], "big") >> (8 * last - stop) & ((1 << width) - 1)
        self.position = stop
        return value - (1 << width) if signed and value >> (width - 1) else value

    def numbers(self, count: int, width: int) -> Integers:
        """(count,) signed numbers of `width` bits each."""
        stop = self.position + count * width
        if stop > self.bits.size:
            raise self.broken("is cut short")
        weights = 1 << np.arange(width - 1, -1, -1, dtype=np.int64)
        weights[0] = -weights[0]
        values: Integers = self.bits[self.position : stop].reshape(count, width) @ weights
        self.position = stop
        return values

    def expect(self, equal: bool) -> None:
        """Refuse the frame unless its coded samples equal the decoded ones."""
        if not equal:
            raise self.broken("does not hold the samples it decodes to")

    def subframe(self, samples: Integers) -> None:
        """Check that a subframe codes exactly these samples: constant, verbatim, fixed or linear prediction."""
        if self.take(1):
            raise self.broken("has a reserved bit set")
        kind, wasted = self.take(6), self.take(1)
        while wasted and not self.take(1):
            wasted += 1
        if wasted != common_zeros(samples):
            raise self.broken("wastes other bits than its samples have to waste")
        width, scaled = SAMPLE_BITS - wasted, samples >> wasted
        if kind == 0:
            self.expect(bool((scaled == self.take(width, signed=True)).all()))
        elif kind == 1:
            self.expect(np.array_equal(scaled, self.numbers(scaled.size, width)))
        elif 8 <= kind <= 12 or kind >= 32:
            order = kind - 8 if kind <= 12 else kind - 31
            if order > scaled.size:
                raise self.broken("predicts more samples than it holds")
            self.expect(np.array_equal(scaled[:order], self.numbers(order, width)))
            self.rice_codes(scaled[order:] - self.predicted(scaled, order, adaptive=kind >= 32), order)
        else:
            raise self.broken("is of a reserved kind")

    def predicted(self, samples: Integers, order: int, adaptive: bool) -> Integers | int:
        """(samples - order,) what the predictor makes of the samples before each."""
        taps, shift = _FIXED[order] if not adaptive else None, 0
        if taps is None:
            precision, shift = self.take(4) + 1, self.take(5, signed=True)
            if precision > 15 or shift < 0:
                raise self.broken("has a predictor of reserved precision or negative shift")
            taps = self.numbers(order, precision)
        if not 0 < order < samples.size:
            return 0
        return np.convolve(samples[:-1], taps, "valid") >> shift

    def rice_codes(self, residual: Integers, order: int) -> None:
        """Expect this residual, Rice-coded in partitions. RFC 9639, section 9.2.7."""
        if self.take(2):
            raise self.broken("codes its residual in a way 16-bit sound does not need")
        parts = 1 << self.take(4)
        count, rest = divmod(residual.size + order, parts)
        if rest or count <= order:
            raise self.broken("does not divide into its partitions")
        folded = residual << 1 ^ residual >> 63
        parameters = []
        for part in range(parts):
            parameters.append(self.take(4))
            if parameters[-1] == ESCAPE:
                raise self.broken("escapes from Rice coding")
            here = folded[max(0, part * count - order) : (part + 1) * count - order]
            self.position += int((here >> parameters[-1]).sum()) + here.size * (1 + parameters[-1])
            if self.position > self.bits.size:
                raise self.broken("does not hold the samples it decodes to")
        counts = np.full(parts, count)
        counts[0] -= order
        self.expect(
            self.holds(folded, np.repeat(parameters, counts), np.repeat(4 * np.arange(parts), counts))
        )

    def holds(self, folded: Integers, parameters: Integers, headers: Integers) -> bool:
        """Tell whether the bits before `position` are these Rice codes, each after `headers` bits of other things.

        A code is as many zero bits as the number's upper part says, a one, and the lower part.
        """
        lengths = (folded >> parameters) + 1 + parameters
        stops = np.cumsum(lengths) + headers
        ones = stops + (self.position - int(stops[-1])) - parameters - 1
        words = self.words()
        after = ones + 1
        low = words[after >> 3] >> (32 - (after & 7) - parameters) & ((1 << parameters) - 1)
        # One one-bit from a code's start to where its first should be, and that is one: zeros before it.
        upto = np.cumsum(self.bits, dtype=np.int64)
        starts = ones - (folded >> parameters)
        runs = upto[ones] - upto[starts] + self.bits[starts]
        return bool(
            (low == folded & ((1 << parameters) - 1)).all() and self.bits[ones].all() and (runs == 1).all()
        )

    def words(self) -> Integers:
        """(bytes of the window,) the 32 bits from each byte on, zero past the end."""
        octets = np.frombuffer(self.window + bytes(4), np.uint8).astype(np.int64)
        return octets[:-3] << 24 | octets[1:-2] << 16 | octets[2:-1] << 8 | octets[3:]


_FIXED = [np.array(taps, np.int64) for taps in ([], [1], [2, -1], [3, -3, 1], [4, -6, 4, -1])]
