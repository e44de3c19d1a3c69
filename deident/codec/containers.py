"""Which container this is, by its first bytes: what is not on the list meets no decoder."""

from __future__ import annotations

from dataclasses import dataclass

from deident.codec.files import Bytes
from deident.codec.problems import RefusedError

_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


@dataclass(frozen=True, slots=True)
class Container:
    """A file format. `engine` is what decodes it: "sound" (ourselves and libsndfile) or "av".
    start : bytes in front of it that are none of it."""

    name: str
    engine: str
    start: int = 0


# Name, engine, and the bytes that must stand at the offsets.
SIGNATURES: tuple[tuple[str, str, tuple[tuple[int, bytes], ...]], ...] = (
    ("wav", "sound", ((0, b"RIFF"), (8, b"WAVE"))),
    ("wav", "sound", ((0, b"RIFX"), (8, b"WAVE"))),
    ("rf64", "sound", ((0, b"RF64"), (8, b"WAVE"))),
    ("rf64", "sound", ((0, b"BW64"), (8, b"WAVE"))),
    ("w64", "sound", ((0, _W64),)),
    ("aiff", "sound", ((0, b"FORM"), (8, b"AIFF"))),
    ("aiff", "sound", ((0, b"FORM"), (8, b"AIFC"))),
    ("caf", "sound", ((0, b"caff\x00\x01"),)),
    ("au", "sound", ((0, b".snd"),)),
    ("au", "sound", ((0, b"dns."),)),
    ("flac", "sound", ((0, b"fLaC"),)),
    ("ogg", "sound", ((0, b"OggS\x00"),)),
    ("sphere", "sound", ((0, b"NIST_1A\n"),)),
    ("mp4", "av", ((4, b"ftyp"),)),
    ("mp4", "av", ((4, b"moov"),)),
    ("mp4", "av", ((4, b"wide"),)),
    ("mp4", "av", ((4, b"mdat"),)),
    ("matroska", "av", ((0, b"\x1a\x45\xdf\xa3"),)),
    ("amr", "av", ((0, b"#!AMR"),)),
    ("asf", "av", ((0, _ASF),)),
    ("avi", "av", ((0, b"RIFF"), (8, b"AVI "))),
    ("flv", "av", ((0, b"FLV\x01"),)),
    ("wavpack", "av", ((0, b"wvpk"),)),
    ("ape", "av", ((0, b"MAC "),)),
    ("tta", "av", ((0, b"TTA1"),)),
)

_ID3_HEADER = 10
_PADDING = 4096  # zeros that some tools leave between a tag, or nothing, and the first MPEG frame; or part of a frame
SEARCHED = _PADDING + 8192  # bytes in which MPEG frames must begin
_LAYER_1 = 384  # samples a frame
CHAIN = 4  # frames in a row that are no coincidence


def recognise(source: Bytes) -> Container:
    """The container of a file. Raises `RefusedError` for an empty file and for one that is on no list."""
    if source.size == 0:
        raise RefusedError("empty")
    offset = id3_bytes(source)
    head = source.at(offset, 64)
    for name, engine, marks in SIGNATURES:
        if all(head[at : at + len(mark)] == mark for at, mark in marks):
            return Container(name, engine, offset)
    if found := _mpeg(source.at(offset, SEARCHED)):
        return found
    raise RefusedError("not-audio")


def id3_bytes(source: Bytes) -> int:
    """How many bytes of ID3v2 tags stand in front (ID3v2.4, section 3.1). At most the whole file."""
    at = 0
    for _ in range(8):  # tag editors leave more than one, never many
        head = source.at(at, _ID3_HEADER)
        if len(head) < _ID3_HEADER or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            break
        size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        footer = _ID3_HEADER if head[5] & 0x10 else 0
        at += _ID3_HEADER + size + footer
    return min(at, source.size)


def _mpeg(head: bytes) -> Container | None:
    """MPEG audio has no magic."""
    adts = head.lstrip(b"\x00")  # ISO/IEC 13818-7, 6.2
    if len(adts) > 7 and adts[0] == 0xFF and adts[1] & 0xF6 == 0xF0:
        length = (adts[3] & 3) << 11 | adts[4] << 3 | adts[5] >> 5
        second = adts[length : length + 2]
        if length > 7 and (len(second) < 2 or (second[0] == 0xFF and second[1] & 0xF6 == 0xF0)):
            return Container("aac", "av")
    return None if first_frame(head) is None else Container("mp3", "sound")


def first_frame(head: bytes) -> int | None:
    """Where MPEG audio frames begin: behind zeros, if two follow each other or there is but one, or else behind part
    of a frame, as in what was cut from a stream, if more do. None where they do not begin."""
    at = len(head) - len(head.lstrip(b"\x00"))
    wanted = 2
    while 0 <= at <= _PADDING:
        here, kind = at, head[at + 1 : at + 2]  # version and layer, which no frame of a stream changes
        for _ in range(wanted):
            frame = mpeg_frame(head[here : here + 4])
            if frame is None or head[here + 1 : here + 2] != kind:
                break
            if wanted == CHAIN and frame.samples == _LAYER_1:  # whose short frames any 0xFF would do for
                break
            here += frame.bytes
            if wanted == 2 and len(head) < here + 4:
                return at
        else:
            return at
        at, wanted = head.find(b"\xff", at + 1), CHAIN
    return None


@dataclass(frozen=True, slots=True)
class MpegFrame:
    bytes: int
    samples: int
    rate: int
    side_info: int  # where, after the header, a Xing tag stands


# kbit/s by layer, for MPEG 1 and for MPEG 2 and 2.5 (ISO/IEC 11172-3, 13818-3).
_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def mpeg_frame(head: bytes) -> MpegFrame | None:
    """The MPEG audio frame whose header these bytes are, or None (free format is not supported)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate_index == 3:
        return None
    low = version != 3
    kbits, rate = _KBITS[2 if low else 1, layer][bitrate], _MPEG_RATES[version][rate_index]
    mono = head[3] >> 6 == 3
    if layer == 1:
        return MpegFrame((12_000 * kbits // rate + padding) * 4, _LAYER_1, rate, 0)
    samples = 576 if low and layer == 3 else 1152
    side_info = (9 if mono else 17) if low else (17 if mono else 32)
    return MpegFrame(samples // 8 * 1000 * kbits // rate + padding, samples, rate, side_info)
