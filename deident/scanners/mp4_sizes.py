"""Sizes of the boxes of MP4 that a decoder needs, by the counts in them: what follows is no part of them.

ISO 14496-1, 14496-12 and 14496-14; ETSI TS 102 366; 3GPP TS 26.244; RFC 6381; Opus and FLAC in ISO BMFF; Apple's
QuickTime File Format.
"""

from __future__ import annotations

from collections.abc import Callable

from deident.containers.finding import Bytes, Notes
from deident.containers.source import number
from deident.scanners.flac import scan_blocks

_HEAD = 40  # bytes of a box in which its counts stand
_TFHD = {0x1: 8, 0x2: 4, 0x8: 4, 0x10: 4, 0x20: 4}  # ISO 14496-12, 8.8.7: fields by flags
_TRUN = {0x1: 4, 0x4: 4}
# Bytes of a descriptor (ISO 14496-1, 7.2.6) before the descriptors in it, by its tag.
_INITIAL, _STREAM, _DECODER, _SPECIFIC, _SYNC, _BY_ID, _BY_REFERENCE = (
    0x10,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0E,
    0x0F,
)
_FIELDS = {_INITIAL: 7, _STREAM: 3, _DECODER: 13, _SYNC: 1, _BY_ID: 4, _BY_REFERENCE: 2}
_LONGEST_SETUP = 64  # bytes that set up an AAC decoder; it takes two to twenty


def _table(fixed: int, entry: int) -> Callable[[bytes], int]:
    return lambda head: fixed + entry * number(head, fixed - 4, 4)


def _fields(fixed: int, by_flag: dict[int, int]) -> Callable[[bytes], int]:
    return lambda head: fixed + sum(size for flag, size in by_flag.items() if number(head, 1, 3) & flag)


def _sizes(head: bytes) -> int:
    return 12 + (0 if number(head, 4, 4) else 4 * number(head, 8, 4))


def _run(head: bytes) -> int:
    entry = 4 * (number(head, 1, 3) & 0xF00).bit_count()
    return _fields(8, _TRUN)(head) + entry * number(head, 4, 4)


def _index(head: bytes) -> int:
    fixed = 32 if head[:1] == b"\1" else 24
    return fixed + 12 * number(head, fixed - 2, 2)


def _random_access(head: bytes) -> int:
    lengths = number(head, 8, 4)
    entry = (16 if head[:1] == b"\1" else 8) + sum((lengths >> shift & 3) + 1 for shift in (0, 2, 4))
    return 16 + entry * number(head, 12, 4)


def _groups(head: bytes) -> int:
    fixed = 12 if head[:1] == b"\1" else 8
    return fixed + 4 + 8 * number(head, fixed, 4)


def _group_descriptions(head: bytes) -> int:
    entry = number(head, 8, 4) if head[:1] else 0
    return 16 + entry * number(head, 12, 4) if head[:1] == b"\1" else 12 + 2 * number(head, 8, 4)


def _substreams(head: bytes) -> int:
    at = 2
    for _ in range((number(head, 1, 1) & 7) + 1):
        at += 4 if number(head, at + 2, 1) & 0x1E else 3  # with the channels of dependent substreams
    return at


def _by_version(short: int, long: int) -> Callable[[bytes], int]:
    return lambda head: long if head[:1] == b"\1" else short


# Bytes of a box after its name, by the first of them.
_BOXES: dict[bytes, Callable[[bytes], int]] = {
    b"mvhd": _by_version(100, 112), b"tkhd": _by_version(84, 96), b"mdhd": _by_version(24, 36),
    b"smhd": lambda head: 8, b"wide": lambda head: 0, b"trex": lambda head: 24, b"mfhd": lambda head: 8,
    b"mfro": lambda head: 8, b"mehd": _by_version(8, 12), b"tfdt": _by_version(8, 12),
    b"stts": _table(8, 8), b"ctts": _table(8, 8), b"stsc": _table(8, 12), b"stss": _table(8, 4),
    b"stco": _table(8, 4), b"co64": _table(8, 8), b"stsz": _sizes,
    b"stz2": lambda head: 12 + (number(head, 8, 4) * number(head, 7, 1) + 7) // 8,
    b"elst": lambda head: 8 + (20 if head[:1] == b"\1" else 12) * number(head, 4, 4),
    b"tfhd": _fields(8, _TFHD), b"trun": _run, b"sidx": _index, b"tfra": _random_access,
    b"sbgp": _groups, b"sgpd": _group_descriptions,
}  # fmt: skip
_DECODER_BOXES: dict[bytes, Callable[[bytes], int]] = {
    b"alac": lambda head: 52 if head[28:36] == b"\0\0\0\x18chan" else 28,
    b"dOps": lambda head: 13 + number(head, 9, 1) if number(head, 10, 1) else 11,
    b"dac3": lambda head: 3, b"dec3": _substreams,
    b"damr": lambda head: 9, b"samr": lambda head: 9, b"sawb": lambda head: 9, b"btrt": lambda head: 12,
    b"frma": lambda head: 4, b"enda": lambda head: 2, b"mp4a": lambda head: 4, b"pcmC": lambda head: 6,
    b"srat": lambda head: 8, b"chan": lambda head: 16 + 20 * number(head, 12, 4), b"chnl": lambda head: 16,
    b"SA3D": lambda head: 12 + 4 * number(head, 8, 4), b"\0\0\0\0": lambda head: 0,
}  # fmt: skip
_BRANDS = {
    b"\0\0\0\0", b"isom", *(b"iso%d" % n for n in range(2, 10)), b"mp41", b"mp42", b"mp71", b"M4A ", b"M4B ", b"M4P ",
    b"M4V ", b"M4VH", b"M4VP", b"qt  ", b"avc1", b"dash", b"msdh", b"msix", b"lmsg", b"cmfc", b"cmf2", b"cmfa", b"cmfl",
    b"hlsf", b"piff", b"dby1", b"mmp4", b"MSNV", b"NDAS", b"F4A ", b"F4B ", b"F4P ", b"F4V ", b"f4v ", b"kddi",
    b"Opus", b"caqv", b"XAVC", b"3g2a", b"3g2b", b"3g2c",
    *(b"3g%c%d" % (kind, n) for kind in b"eghprst" for n in range(4, 10)),
}  # fmt: skip  # https://mp4ra.org/registered-types/brands
_MAKERS = (b"damr", b"samr", b"sawb")  # 3GPP TS 26.244, 6.7: a maker stands in front


def add_tail(source: Bytes, name: bytes, body: int, stop: int, notes: Notes) -> None:
    """Note what follows the entries of a box beside a description of sound."""
    if name in (b"ftyp", b"styp"):
        for at in (body, *range(body + 8, stop, 4)):
            if source.at(at, min(4, stop - at)) not in _BRANDS:
                notes.add("mp4.brand", source, at, stop, "a brand that is not known, with those behind it")
                break
    elif name == b"iods":
        _descriptors(source, body + 4, stop, (_INITIAL,), notes)
    elif name in _BOXES:
        end = body + _BOXES[name](source.at(body, _HEAD))
        notes.add(f"mp4.{name.decode()}", source, end, stop, "bytes after the entries of a box")


def add_decoder_tail(source: Bytes, name: bytes, body: int, stop: int, notes: Notes) -> None:
    """Note in a box that sets up a decoder what a decoder does not read."""
    if name == b"esds":
        _descriptors(source, body + 4, stop, (_STREAM,), notes)
    elif name == b"dfLa":
        end = scan_blocks(source, body + 4, stop, notes, "mp4.flac")
        notes.add("mp4.flac", source, end, stop, "bytes after the last block")
    elif name in _DECODER_BOXES:
        if name in _MAKERS and any(source.at(body, 4)):
            notes.add("mp4.stsd", source, body, min(stop, body + 4), "the maker of the sound's coder")
        end = body + _DECODER_BOXES[name](source.at(body, _HEAD))
        notes.add("mp4.stsd", source, end, stop, "bytes after the fields of a box")


def _descriptors(source: Bytes, start: int, stop: int, allowed: tuple[int, ...], notes: Notes) -> None:
    """Note what is no descriptor of these kinds, or follows what one of them needs."""
    while stop - start >= 2:
        head = source.at(start, 5)
        used = next((at + 1 for at in range(1, len(head)) if head[at] < 0x80), 0)
        size = sum((byte & 0x7F) << 7 * (used - 1 - at) for at, byte in enumerate(head[:used]) if at)
        tag, body, end = head[0], start + used, start + used + size
        has_more = tag == _STREAM and bool(number(source.at(body, 3), 2, 1) & 0xE0)  # a link, a clock
        if tag not in allowed or not used or end > stop or has_more:
            break
        if tag == _SPECIFIC:
            if size > _LONGEST_SETUP:
                break
        else:
            inner = {_INITIAL: (_BY_ID, _BY_REFERENCE), _STREAM: (_DECODER, _SYNC), _DECODER: (_SPECIFIC,)}
            _descriptors(source, body + _FIELDS[tag], end, inner.get(tag, ()), notes)
        start = end
    notes.add("mp4.descriptor", source, start, stop, "a descriptor that a decoder does not need")
