"""Ranges of samples in WAV, RF64, W64, AIFF, CAF and AU, found without believing a size.

A size in a header is a claim: streaming recorders leave 0 or all ones, a crash leaves an old one, 32 bits
wrap at 4 GB, and a cut file holds less. Each claim is held against the bytes that are there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from deident.codec.files import Bytes
from deident.codec.problems import RefusedError
from deident.containers.chunks import CAF, RIFF, RIFX, UNKNOWN_SIZE, W64, Chunk, ChunkFormat, chunks
from deident.containers.headers import (
    aiff_format,
    caf_format,
    long_sizes,
    sphere_fields,
    sphere_samples,
    wave_format,
)
from deident.containers.source import number

TAIL_TOLERANCE = 4096  # bytes after the end that are no chunk: padding and small tags, not lost sound
_SENTINEL_SLACK = 4096  # recorders write "as much as fits" minus a header
CONTRADICTORY = "?"  # an encoding whose fields exclude each other: as libsndfile reads it, or not at all
_SENTINELS = (
    0x7F000000,
    0x7FFFF000,
    2**31,
    2**32 - 1,
)  # the first two are SoX's, of AIFF and WAV in a stream


@dataclass(frozen=True, slots=True)
class Layout:
    """Range and encoding of the samples in a file.

    Parameters
    ----------
    rate : int
        Hz.
    channels : int
    encoding : str
        A name of `pcm.DECODERS`; empty or `CONTRADICTORY` when libsndfile has to decode.
    start, stop : int
        The bytes that are samples.
    ending : str or None
        The code of what is wrong with the end, if anything.
    patches : dict of int to bytes
        Bytes of the header to replace, by position, before libsndfile sees them.
    """

    rate: int
    channels: int
    encoding: str
    start: int
    stop: int
    ending: str | None = None
    patches: dict[int, bytes] = field(default_factory=dict)


_RECORDINGS = {b"RIFF", b"RIFX", b"RF64", b"FORM", b"data", b"SSND"}


def _are_chunks(source: Bytes, start: int, form: ChunkFormat) -> bool:
    """Tell whether there are chunks up to the end, and nothing else."""
    end = start
    for chunk in chunks(source, start, source.size, form):
        if not chunk.is_whole or not all(32 <= byte < 127 for byte in chunk.name[:4]):
            return False
        end = chunk.after
    return start < end and end >= source.size


def _is_clean(source: Bytes, at: int, form: ChunkFormat) -> bool:
    """Tell whether what follows the samples is chunks, small leftovers or nothing: no sound that would be lost."""
    for chunk in chunks(source, at, source.size, form):
        if chunk.name in _RECORDINGS:
            return False
        if source.size - chunk.body < TAIL_TOLERANCE:
            return True
        if not chunk.is_whole or not all(32 <= byte < 127 for byte in chunk.name[:4]):
            return False
    return True


def _is_unfilled(claim: int) -> bool:
    """Tell a 32-bit size that means "not known when the header was written"."""
    return claim == 0 or any(abs(claim - full) <= _SENTINEL_SLACK for full in _SENTINELS)


def _extent(source: Bytes, start: int, claim: int, form: ChunkFormat) -> tuple[int, str | None]:
    """Find (end of the samples, code of what is wrong with it) for a claimed size."""
    present = max(0, source.size - start)
    if claim == 0 and _are_chunks(source, start, form):
        return start, None
    if _is_unfilled(claim):
        return source.size, None
    if claim > present:
        return source.size, "truncated"
    wraps = (present - claim) >> 32
    if wraps and form.size_bytes == 4:
        claim += wraps << 32
    stop = start + claim
    ends = {stop + (-stop % form.align), stop}  # recorders forget the padding byte
    again = any(source.at(end, 4) in _RECORDINGS for end in ends)
    clean = not again and any(_is_clean(source, end, form) for end in ends)
    return stop, None if clean else "extra-data"


def _pcm(width: int, order: str, kind: str = "i") -> str:
    """Name the encoding of linear samples `width` bytes wide; "" when there is none."""
    if width == 1 and kind == "i":
        return "i1"
    known = (2, 3, 4) if kind == "i" else (4, 8)
    return f"{order}{kind}{width}" if width in known else ""


def riff(source: Bytes) -> Layout:
    """Survey WAV, RIFX and RF64/BW64 (Multimedia Programming Interface 1.0; EBU Tech 3306)."""
    form, sizes, sound = RIFX if source.at(0, 4) == b"RIFX" else RIFF, long_sizes(source, 0), None
    for chunk in chunks(source, 12, source.size, form, sizes):
        if chunk.name == b"fmt ":
            sound = _wave(source, chunk, form)
        elif chunk.name == b"data" and sound:
            long_size = sizes.get(b"data", 0) if chunk.claimed == UNKNOWN_SIZE else 0
            stop, ending = _extent(source, chunk.body, long_size or chunk.claimed, form)
            there = min(stop - chunk.body, UNKNOWN_SIZE).to_bytes(4, "big" if form is RIFX else "little")
            patches = {chunk.body - 4: there} if _is_unfilled(chunk.claimed) and not long_size else {}
            return Layout(*sound, chunk.body, stop, ending, patches)
    raise RefusedError("undecodable")


_W64_CHUNKS = {b"fact", b"levl", b"junk", b"bext", b"summ", b"mark"}


def w64(source: Bytes) -> Layout:
    """Survey Sony Wave64: RIFF with 16-byte kinds and 64-bit sizes that count their own 24 bytes."""
    sound = None
    for chunk in chunks(source, 40, source.size, W64):
        if chunk.name[:4] == b"fmt ":
            sound = _wave(source, chunk, W64)
        elif chunk.name[:4] == b"data" and sound:
            if chunk.claimed == W64.header or chunk.claimed >= 2**62:  # never filled in
                return Layout(*sound, chunk.body, source.size)
            is_extra = (
                source.size - chunk.end > TAIL_TOLERANCE and source.at(chunk.after, 4) not in _W64_CHUNKS
            )
            ending = "extra-data" if is_extra else None
            return Layout(*sound, chunk.body, chunk.stop, ending if chunk.is_whole else "truncated")
    raise RefusedError("undecodable")


# What the packets of codecs begin with that may have the fields of plain samples: FLAC and DTS, in either order
_SYNCS = {
    0xF1AC: (b"\xff\xf8", b"\xff\xf9"),
    0x2001: (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8"),
}


def _is_codec(source: Bytes, at: int, form: ChunkFormat, tag: int) -> bool:
    """Tell whether the data behind a place begins with a packet of the codec."""
    data = (chunk.body for chunk in chunks(source, at, source.size, form) if chunk.name[:4] == b"data")
    return tag in _SYNCS and source.at(next(data, source.size), 4).startswith(_SYNCS[tag])


def _wave(source: Bytes, chunk: Chunk, form: ChunkFormat) -> tuple[int, int, str]:
    """Read (rate, channels, encoding) of a `fmt ` chunk."""
    body = source.at(chunk.body, min(chunk.end - chunk.body, 40))
    if len(body) < 14:
        raise RefusedError("undecodable")
    found, sign = wave_format(body, form.order), ">" if form.order == "big" else "<"
    width = (found.bits + 7) // 8
    if found.align != width * found.channels:
        is_plain = found.tag in (1, 3) or (found.tag in (6, 7) and found.align != found.channels)
        encoding = CONTRADICTORY if is_plain else ""
    elif found.tag == 1:
        encoding = "u1" if width == 1 else _pcm(width, sign)
    elif found.tag == 3:
        encoding = _pcm(width, sign, "f")
    elif found.tag in (6, 7):
        encoding = {6: "alaw", 7: "ulaw"}[found.tag] if width == 1 else ""
    else:  # a codec; its fields do not add up to those of plain samples, unless the tag is the wrong one
        is_plain = found.bits >= 8 and found.byte_rate == found.rate * found.align
        encoding = CONTRADICTORY if is_plain and not _is_codec(source, chunk.after, form, found.tag) else ""
    return found.rate, found.channels, encoding


def aiff(source: Bytes) -> Layout:
    """Survey AIFF and AIFF-C (Apple, 1989 and 1991)."""
    sound = place = None
    for chunk in chunks(source, 12, source.size, RIFX):
        if chunk.name == b"COMM":
            body = source.at(chunk.body, min(chunk.claimed, 22))
            sound = _aiff_sound(body)
        elif chunk.name == b"SSND" and not place:
            place = chunk
        if place and sound:
            break
    if not sound or not place:
        raise RefusedError("undecodable")
    head = source.at(place.body, 8)
    skipped = 8 + (number(head, 0, 4) if len(head) == 8 else 0)
    start = place.body + skipped
    claim = place.claimed if _is_unfilled(place.claimed) else max(0, place.claimed - skipped)
    stop, ending = _extent(source, start, claim, RIFX)
    rate, channels, encoding = sound
    width = int(encoding[-1]) if encoding[-1:].isdigit() else 1
    is_told = bool(encoding) and not _is_unfilled(place.claimed) and ending is None
    if is_told and stop - start != aiff_format(body).frames * channels * width:
        encoding = CONTRADICTORY
    return Layout(rate, channels, encoding, start, max(start, stop), ending)


_AIFC = {b"NONE": ">", b"none": ">", b"twos": ">", b"in24": ">", b"in32": ">", b"sowt": "<"}
_AIFC_OTHER = {
    b"fl32": ">f4", b"FL32": ">f4", b"fl64": ">f8", b"FL64": ">f8",
    b"ulaw": "ulaw", b"ULAW": "ulaw", b"alaw": "alaw", b"ALAW": "alaw", b"raw ": "u1",
}  # fmt: skip


def _aiff_sound(body: bytes) -> tuple[int, int, str]:
    """Read rate, channels and encoding from a COMM chunk."""
    if len(body) < 18:
        raise RefusedError("undecodable")
    found = aiff_format(body)
    if found.compression in _AIFC:
        encoding = _pcm((found.bits + 7) // 8, _AIFC[found.compression]) or CONTRADICTORY
    else:
        encoding = _AIFC_OTHER.get(found.compression, "")
    return found.rate, found.channels, encoding


def caf(source: Bytes) -> Layout:
    """Survey Core Audio Format 1.0."""
    sound = None
    for chunk in chunks(source, 8, source.size, CAF):
        if chunk.name == b"desc":
            sound = _caf_sound(source.at(chunk.body, 32))
        elif chunk.name == b"data" and sound:
            start = chunk.body + 4
            if chunk.claimed == 0 or chunk.claimed >> 63:  # -1: recorded in a stream, and then the last chunk
                size = max(4, source.size - chunk.body)
                patches = {chunk.body - 8: size.to_bytes(8, "big")}
                return Layout(*sound, start, chunk.body + size, patches=patches)
            stop, ending = _extent(source, start, max(1, chunk.claimed - 4), CAF)
            if ending == "truncated" and sound[2] in ("", CONTRADICTORY):
                raise RefusedError(ending)  # libsndfile makes up sound for packets that are not there
            return Layout(*sound, start, stop, ending)
    raise RefusedError("undecodable")


def _caf_sound(body: bytes) -> tuple[int, int, str]:
    """Read rate, channels and encoding from a desc chunk."""
    if len(body) < 32:
        raise RefusedError("undecodable")
    found = caf_format(body)
    width = found.packet_bytes // found.channels if found.channels else 0
    is_even = found.packet_frames == 1 and found.packet_bytes == width * found.channels
    if found.codec == b"lpcm" and is_even and 8 * (width - 1) < found.bits <= 8 * width:
        encoding = _pcm(width, "<" if found.flags & 2 else ">", "f" if found.flags & 1 else "i")
    else:
        encoding = {b"ulaw": "ulaw", b"alaw": "alaw", b"lpcm": CONTRADICTORY}.get(found.codec, "")
    return found.rate, found.channels, encoding


_AU = {1: "ulaw", 2: "i1", 3: "i2", 4: "i3", 5: "i4", 6: "f4", 7: "f8", 27: "alaw"}


def au(source: Bytes) -> Layout:
    """Survey Sun and NeXT audio, and DEC's, either byte order."""
    order = ">" if source.at(0, 1) == b"." else "<"
    head = source.at(4, 20)
    if len(head) < 20:
        raise RefusedError("undecodable")
    start, claim, code, rate, channels = struct.unpack(f"{order}5I", head)
    name = _AU.get(code, "")
    encoding = order + name if name[:1] in ("i", "f") and name != "i1" else name
    present = max(0, source.size - start)
    if _is_unfilled(claim):
        return Layout(rate, channels, encoding, start, max(start, source.size))
    ending = "truncated" if claim > present else "extra-data" if present - claim > TAIL_TOLERANCE else None
    return Layout(rate, channels, encoding, start, start + min(claim, present), ending)


_SPHERE = {b"pcm": "", b"ulaw": "ulaw", b"mu-law": "ulaw", b"alaw": "alaw"}
_SPHERE_HEADER = 1 << 16  # bytes
_SPHERE_TOLERANCE = 2048  # samples behind the announced ones: padding


def sphere(source: Bytes) -> Layout:
    """Survey NIST SPHERE, whose widest samples libsndfile refuses."""
    size = source.at(8, 8).strip()
    start = int(size) if size.isdigit() else 1024
    fields = sphere_fields(source.at(0, min(start, _SPHERE_HEADER)))
    counts = (fields.get(name, b"") for name in (b"sample_rate", b"channel_count", b"sample_n_bytes"))
    rate, channels, width = (int(count[:9]) if count.isdigit() else 0 for count in counts)
    order = "<" if fields.get(b"sample_byte_format", b"01").startswith(b"0") else ">"
    encoding = _SPHERE.get(fields.get(b"sample_coding", b"pcm"), "")
    if not encoding and fields.get(b"sample_coding", b"pcm") == b"pcm":
        encoding = _pcm(width, order)
    block, present = max(1, width * channels), max(0, source.size - start)
    total = sphere_samples(source) * block
    if not total or not encoding:
        return Layout(rate, channels, encoding, start, max(start, source.size))
    is_extra = present > total + _SPHERE_TOLERANCE * block
    ending = "truncated" if total > present else "extra-data" if is_extra else None
    return Layout(rate, channels, encoding, start, start + min(total, present), ending)
