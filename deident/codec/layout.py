"""Where the samples are in WAV, RF64, W64, AIFF, CAF and AU, found without believing a size.

A size in a header is a claim: streaming recorders leave 0 or all ones, a crash leaves an old one, 32 bits
wrap at 4 GB, and a cut file holds less. Each claim is held against the bytes that are there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from deident.codec.files import Bytes
from deident.codec.problems import RefusedError

_MAX_CHUNKS = 10_000
_TAIL_TOLERANCE = 4096  # bytes after the end that are no chunk: padding and small tags, not lost sound
_SENTINEL_SLACK = 4096  # recorders write "as much as fits" minus a header


@dataclass(frozen=True, slots=True)
class Layout:
    """Where and how samples are stored.

    rate : Hz. encoding : a name of `pcm.DECODERS`, "" when libsndfile has to decode. start, stop : the bytes
    that are samples. ending : the code of what is wrong with the end, if anything. patches : the header bytes
    to replace before libsndfile sees them."""

    rate: int
    channels: int
    encoding: str
    start: int
    stop: int
    ending: str | None = None
    patches: dict[int, bytes] = field(default_factory=dict)


class Chunk(NamedTuple):
    kind: bytes
    start: int
    size: int


def _chunks(source: Bytes, at: int, form: str, align: int) -> Iterator[Chunk]:
    """Chunks from `at`. form : how a chunk's kind and size are written; sizes may run past the end."""
    header = struct.calcsize(form)
    for _ in range(_MAX_CHUNKS):
        head = source.at(at, header)
        if len(head) < header:
            return
        kind, size = struct.unpack(form, head)
        yield Chunk(kind, at + header, size)
        at += header + size
        if at % align and not _lacks_padding(source, at):
            at += -at % align


def _lacks_padding(source: Bytes, end: int) -> bool:
    """Whether a writer forgot the byte behind a chunk of odd size, and the next chunk follows at once."""
    here = source.at(end, 5)
    return len(here) == 5 and here[1:] not in _KINDS and all(32 <= byte < 127 for byte in here[:4])


_KINDS = {b"fmt ", b"data", b"fact", b"LIST", b"COMM", b"SSND"}
_RECORDINGS = {b"RIFF", b"RIFX", b"RF64", b"FORM", b"data", b"SSND"}


def _is_clean(source: Bytes, at: int, form: str, align: int) -> bool:
    """Whether what follows the samples is chunks, small leftovers or nothing: no sound that would be lost."""
    for chunk in _chunks(source, at, form, align):
        if chunk.kind in _RECORDINGS:
            return False
        if source.size - chunk.start < _TAIL_TOLERANCE:
            return True
        whole = chunk.start + chunk.size <= source.size
        if not whole or not all(32 <= byte < 127 for byte in chunk.kind[:4]):
            return False
    return True


def _is_unfilled(claim: int) -> bool:
    """A 32-bit size that means "not known when the header was written"."""
    return claim == 0 or any(abs(claim - full) <= _SENTINEL_SLACK for full in (2**31, 2**32 - 1))


def _extent(source: Bytes, start: int, claim: int, form: str, align: int) -> tuple[int, str | None]:
    """(where the samples stop, what is wrong with the end) for a claimed size."""
    present = max(0, source.size - start)
    if claim == 0 and source.size > start and _is_clean(source, start, form, align):
        return start, None
    if _is_unfilled(claim):
        return source.size, None
    if claim > present:
        return source.size, "truncated"
    wraps = (present - claim) >> 32
    if wraps and struct.calcsize(form) == 8:
        claim += wraps << 32
    stop = start + claim
    ends = {stop + (-stop % align), stop}  # recorders forget the padding byte
    again = any(source.at(end, 4) in _RECORDINGS for end in ends)
    clean = not again and any(_is_clean(source, end, form, align) for end in ends)
    return stop, None if clean else "extra-data"


def _pcm(width: int, order: str, kind: str = "i") -> str:
    """The encoding of linear samples `width` bytes wide; "" when there is none."""
    if width == 1:
        return "i1"
    known = (2, 3, 4) if kind == "i" else (4, 8)
    return f"{order}{kind}{width}" if width in known else ""


def riff(source: Bytes) -> Layout:
    """WAV, RIFX and RF64/BW64 (Multimedia Programming Interface 1.0; EBU Tech 3306)."""
    order = ">" if source.at(0, 4) == b"RIFX" else "<"
    form = f"{order}4sI"
    sound, long_size = None, 0
    for chunk in _chunks(source, 12, form, 2):
        if chunk.kind == b"ds64":
            ds64 = source.at(chunk.start, 16)
            long_size = struct.unpack("<Q", ds64[8:16])[0] if len(ds64) == 16 else 0
        elif chunk.kind == b"fmt ":
            sound = _wave_format(source.at(chunk.start, min(chunk.size, 40)), order)
        elif chunk.kind == b"data" and sound:
            claim = long_size if chunk.size == 0xFFFFFFFF and long_size else chunk.size
            stop, ending = _extent(source, chunk.start, claim, form, 2)
            there = struct.pack(f"{order}I", min(stop - chunk.start, 0xFFFFFFFF))
            patches = {chunk.start - 4: there} if _is_unfilled(chunk.size) and not long_size else {}
            return Layout(*sound, chunk.start, stop, ending, patches)
    raise RefusedError("undecodable")


_W64_CHUNKS = {b"fact", b"levl", b"junk", b"bext", b"summ", b"mark"}


def w64(source: Bytes) -> Layout:
    """Sony Wave64: RIFF with 16-byte kinds and 64-bit sizes that count their own 24 bytes."""
    sound, at = None, 40
    for _ in range(_MAX_CHUNKS):
        head = source.at(at, 24)
        if len(head) < 24:
            break
        kind, size = head[:4], struct.unpack("<Q", head[16:])[0]
        if kind == b"fmt ":
            sound = _wave_format(source.at(at + 24, 40), "<")
        elif kind == b"data" and sound:
            start, claim = at + 24, size - 24
            present = source.size - start
            if size <= 24 or size >= 2**62:
                claim = present
            stop = start + min(claim, present)
            extra = (
                source.size - stop > _TAIL_TOLERANCE and source.at(stop + (-stop % 8), 4) not in _W64_CHUNKS
            )
            return Layout(
                *sound, start, stop, "truncated" if claim > present else "extra-data" if extra else None
            )
        if size < 24:
            break
        at += size + (-size % 8)
    raise RefusedError("undecodable")


def _wave_format(body: bytes, order: str) -> tuple[int, int, str]:
    """(rate, channels, encoding) of a `fmt ` chunk."""
    if len(body) < 14:
        raise RefusedError("undecodable")
    tag, channels, rate, _, align = struct.unpack(f"{order}HHIIH", body[:14])
    bits = struct.unpack(f"{order}H", body[14:16])[0] if len(body) >= 16 else 0
    if tag == 0xFFFE and len(body) >= 26:
        tag = struct.unpack(f"{order}H", body[24:26])[0]
    exact = channels and align % channels == 0
    width = align // channels if exact else (bits + 7) // 8
    if tag == 1:
        return rate, channels, "u1" if width == 1 else _pcm(width, order)
    if tag == 3:
        return rate, channels, _pcm(width, order, "f")
    return rate, channels, {6: "alaw", 7: "ulaw"}.get(tag, "") if width == 1 else ""


def aiff(source: Bytes) -> Layout:
    """AIFF and AIFF-C (Apple, 1989 and 1991)."""
    sound = place = None
    for chunk in _chunks(source, 12, ">4sI", 2):
        if chunk.kind == b"COMM":
            sound = _aiff_format(source.at(chunk.start, min(chunk.size, 22)))
        elif chunk.kind == b"SSND" and not place:
            place = chunk
        if place and sound:
            break
    if not sound or not place:
        raise RefusedError("undecodable")
    head = source.at(place.start, 8)
    start = place.start + 8 + (int.from_bytes(head[:4], "big") if len(head) == 8 else 0)
    claim = place.size if _is_unfilled(place.size) else max(0, place.size - (start - place.start))
    stop, ending = _extent(source, start, claim, ">4sI", 2)
    return Layout(*sound, start, max(start, stop), ending)


_AIFC = {b"NONE": ">", b"none": ">", b"twos": ">", b"in24": ">", b"in32": ">", b"sowt": "<"}
_AIFC_OTHER = {
    b"fl32": ">f4", b"FL32": ">f4", b"fl64": ">f8", b"FL64": ">f8",
    b"ulaw": "ulaw", b"ULAW": "ulaw", b"alaw": "alaw", b"ALAW": "alaw", b"raw ": "u1",
}  # fmt: skip


def _aiff_format(body: bytes) -> tuple[int, int, str]:
    if len(body) < 18:
        raise RefusedError("undecodable")
    channels, _, bits = struct.unpack(">HIH", body[:8])
    exponent, mantissa = struct.unpack(">HQ", body[8:18])
    shift = 16383 + 63 - (exponent & 0x7FFF)
    rate = mantissa >> shift if 0 <= shift < 64 else 0
    kind = body[18:22] or b"NONE"
    if kind in _AIFC:
        return rate, channels, _pcm((bits + 7) // 8, _AIFC[kind])
    return rate, channels, _AIFC_OTHER.get(kind, "")


def caf(source: Bytes) -> Layout:
    """Core Audio Format 1.0."""
    sound = None
    for chunk in _chunks(source, 8, ">4sq", 1):
        if chunk.kind == b"desc":
            sound = _caf_format(source.at(chunk.start, 32))
        elif chunk.kind == b"data" and sound:
            start, claim = chunk.start + 4, chunk.size - 4
            if chunk.size <= 0:  # -1: recorded in a stream, and then the last chunk
                return Layout(*sound, start, max(start, source.size))
            stop, ending = _extent(source, start, max(1, claim), ">4sq", 1)
            if ending == "truncated" and not sound[2]:
                raise RefusedError(ending)  # libsndfile makes up sound for packets that are not there
            return Layout(*sound, start, stop, ending)
        if chunk.size < 0:
            break
    raise RefusedError("undecodable")


def _caf_format(body: bytes) -> tuple[int, int, str]:
    if len(body) < 32:
        raise RefusedError("undecodable")
    rate, kind, flags, packet_bytes, packet_frames, channels, bits = struct.unpack(">d4sIIIII", body)
    whole = int(rate) if 0 <= rate < 2**31 else 0
    width = packet_bytes // channels if channels else 0
    if kind == b"lpcm" and packet_frames == 1 and packet_bytes == width * channels and bits > 8 * (width - 1):
        return whole, channels, _pcm(width, "<" if flags & 2 else ">", "f" if flags & 1 else "i")
    return whole, channels, {b"ulaw": "ulaw", b"alaw": "alaw"}.get(kind, "")


_AU = {1: "ulaw", 2: "i1", 3: "i2", 4: "i3", 5: "i4", 6: "f4", 7: "f8", 27: "alaw"}


def au(source: Bytes) -> Layout:
    """Sun and NeXT audio, either byte order."""
    order = ">" if source.at(0, 4) == b".snd" else "<"
    head = source.at(4, 20)
    if len(head) < 20:
        raise RefusedError("undecodable")
    start, claim, code, rate, channels = struct.unpack(f"{order}5I", head)
    name = _AU.get(code, "")
    encoding = order + name if name[:1] in ("i", "f") and name != "i1" else name
    present = max(0, source.size - start)
    if _is_unfilled(claim):
        return Layout(rate, channels, encoding, start, max(start, source.size))
    ending = "truncated" if claim > present else "extra-data" if present - claim > _TAIL_TOLERANCE else None
    return Layout(rate, channels, encoding, start, start + min(claim, present), ending)


LAYOUTS = {"wav": riff, "rf64": riff, "w64": w64, "aiff": aiff, "caf": caf, "au": au}
