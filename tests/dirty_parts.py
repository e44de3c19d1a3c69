"""The parts that dirty files are made of: tags and containers, written out byte by byte.

Nothing here comes from the library: what it finds is not to be made by what finds it."""

from __future__ import annotations

import hashlib
import io
import struct
from typing import NamedTuple

import numpy as np
import soundfile

RATE = 16_000
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


class Dirty(NamedTuple):
    """kind : unique.   extension : without a dot.   decodable : soundfile reads its sound."""

    kind: str
    extension: str
    data: bytes
    canaries: tuple[str, ...]
    decodable: bool


def canary(kind: str) -> str:
    """27 characters that occur nowhere else."""
    return f"Canary{hashlib.sha256(kind.encode()).hexdigest()[:21]}"


def sound(samples: np.ndarray, format_: str, subtype: str = "PCM_16") -> bytes:
    """The samples in a container, as libsndfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=format_, subtype=subtype)
    return file.getvalue()


# RIFF, AIFF, CAF, W64


def chunk(name: bytes, body: bytes, order: str = "<", pad: bytes = b"\0") -> bytes:
    return name + struct.pack(order + "I", len(body)) + body + pad * (len(body) % 2)


def wave(samples: np.ndarray, before: bytes = b"", after: bytes = b"", **options: bytes) -> bytes:
    """A WAV with chunks before and after its sound.

    options : `fmt`, more bytes of the format; `order`, b">" for RIFX."""
    order = options.get("order", b"<").decode()
    form = struct.pack(order + "HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16) + options.get("fmt", b"")
    data = chunk(b"data", samples.astype(order + "i2").tobytes(), order)
    body = b"WAVE" + chunk(b"fmt ", form, order) + before + data + after
    return (b"RIFX" if order == ">" else b"RIFF") + struct.pack(order + "I", len(body)) + body


def longer(data: bytes, name: bytes, more: bytes, order: str = "<", wide: bool = False) -> bytes:
    """The same form with some more bytes in its chunk of this name. wide : sizes of 8 bytes, as in CAF."""
    kind, start = (f"{order}Q", 8) if wide else (f"{order}I", 12)
    at = data.index(name, start) + 4
    (size,) = struct.unpack_from(kind, data, at)
    stop = at + struct.calcsize(kind) + size
    longer = bytearray(data[:stop] + more + data[stop + (size % 2 if not wide else 0) :])
    struct.pack_into(kind, longer, at, size + len(more))
    if not wide:
        struct.pack_into(kind, longer, 4, len(longer) - 8)
    return bytes(longer)


def long_wave(samples: np.ndarray, mark: bytes, after: bytes) -> bytes:
    """RF64 or BW64: the sizes are in a chunk of their own."""
    data = samples.astype("<i2").tobytes()
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
    rest = form + b"data" + b"\xff" * 4 + data + after
    sizes = struct.pack("<QQQI", 4 + 36 + len(rest), len(data), samples.size, 0)
    return mark + b"\xff" * 4 + b"WAVE" + chunk(b"ds64", sizes) + rest


def wave64(samples: np.ndarray, more: list[tuple[bytes, bytes]]) -> bytes:
    """Sony Wave64: names are GUIDs, sizes count their headers, everything starts at a multiple of eight."""

    def part(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<Q", 24 + len(body)) + body + bytes(-len(body) % 8)

    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    body = part(b"fmt " + W64_TAIL, form) + b"".join(part(name, data) for name, data in more)
    body += part(b"data" + W64_TAIL, samples.astype("<i2").tobytes())
    riff = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
    return riff + struct.pack("<Q", 40 + len(body)) + b"wave" + W64_TAIL + body


def aiff(
    samples: np.ndarray, more: bytes = b"", before: bytes = b"", compression: bytes = b"", behind: bytes = b""
) -> bytes:
    """AIFF, or AIFF-C with a name of its compression. before : bytes that the sound's offset skips. behind : bytes
    of the sound's chunk behind the announced samples."""
    common = struct.pack(">hIh", 1, samples.size, 16) + bytes.fromhex("400cfa00000000000000")
    version = b""
    if compression:
        name = bytes([len(compression)]) + compression
        common += b"NONE" + name + bytes(len(name) % 2)
        version = chunk(b"FVER", bytes.fromhex("a2805140"), ">")
    data = struct.pack(">II", len(before), 0) + before + samples.astype(">i2").tobytes() + behind
    body = (b"AIFC" if compression else b"AIFF") + version + chunk(b"COMM", common, ">")
    body += more + chunk(b"SSND", data, ">")
    return b"FORM" + struct.pack(">I", len(body)) + body


def caf(samples: np.ndarray, before: list[tuple[bytes, bytes]], after: bytes = b"", edits: int = 0) -> bytes:
    def part(name: bytes, body: bytes) -> bytes:
        return name + struct.pack(">q", len(body)) + body

    form = struct.pack(">d4sIIIII", RATE, b"lpcm", 0, 2, 1, 1, 16)
    body = part(b"desc", form) + b"".join(part(name, data) for name, data in before)
    return (
        b"caff\0\1\0\0"
        + body
        + part(b"data", struct.pack(">I", edits) + samples.astype(">i2").tobytes())
        + after
    )


def au(samples: np.ndarray, annotation: bytes = b"") -> bytes:
    data = samples.astype(">i2").tobytes()
    return b".snd" + struct.pack(">IIIII", 24 + len(annotation), len(data), 3, RATE, 1) + annotation + data


def sphere(samples: np.ndarray, speaker: str) -> bytes:
    fields = {"speaker_id": speaker, "sample_coding": "pcm", "sample_byte_format": "01"}
    numbers = {"channel_count": 1, "sample_count": samples.size, "sample_rate": RATE, "sample_n_bytes": 2,
               "sample_sig_bits": 16}  # fmt: skip
    lines = [f"{name} -s{len(text)} {text}" for name, text in fields.items()]
    lines += [f"{name} -i {value}" for name, value in numbers.items()]
    head = "NIST_1A\n   1024\n" + "\n".join([*lines, "end_head", ""])
    return head.encode().ljust(1024, b" ") + samples.astype("<i2").tobytes()


# Tags of any container


def synchsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(name: bytes, body: bytes, version: int = 3) -> bytes:
    if version == 2:
        return name + len(body).to_bytes(3, "big") + body
    size = synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
    return name + size + b"\0\0" + body


def id3(frames: bytes, version: int = 3, padding: bytes = bytes(16), flags: int = 0) -> bytes:
    body = frames + padding
    if flags & 0x80:
        body = body.replace(b"\xff", b"\xff\0")
    head = bytes([version, 0, flags]) + synchsafe(len(body))
    return b"ID3" + head + body + (b"3DI" + head if flags & 0x10 else b"")


def id3v1(text: str) -> bytes:
    return b"TAG" + text.encode()[:30].ljust(30, b"\0") + bytes(94) + b"\xff"


def id3v1_more(text: str) -> bytes:
    return b"TAG+" + text.encode()[:60].ljust(60, b"\0") + bytes(163)


def ape(items: dict[str, bytes], version: int = 2000, header: bool = True) -> bytes:
    body = b"".join(struct.pack("<II", len(v), 0) + k.encode() + b"\0" + v for k, v in items.items())
    flags = 1 << 31 if header else 0
    ends = [
        b"APETAGEX" + struct.pack("<IIII", version, len(body) + 32, len(items), flags | side) + bytes(8)
        for side in ((1 << 29) if header else 0, 0)
    ]
    return (ends[0] if header else b"") + body + ends[1]


def lyrics(fields: dict[str, str]) -> bytes:
    """Lyrics3 version 2."""
    body = "LYRICSBEGIN" + "".join(f"{name}{len(text):05d}{text}" for name, text in fields.items())
    return f"{body}{len(body):06d}LYRICS200".encode()


# FLAC


def comments(vendor: str, lines: list[bytes], framing: bytes = b"") -> bytes:
    block = struct.pack("<I", len(vendor)) + vendor.encode() + struct.pack("<I", len(lines))
    return block + b"".join(struct.pack("<I", len(line)) + line for line in lines) + framing


def picture(text: str, image: bytes) -> bytes:
    words = text.encode()
    head = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">I", len(words)) + words
    return head + struct.pack(">IIIII", 1, 1, 24, 0, len(image)) + image


def flac_parts(samples: np.ndarray) -> tuple[bytes, bytes]:
    """The STREAMINFO and the frames of a FLAC of these samples."""
    data, place, last = sound(samples, "FLAC"), 4, False
    while not last:
        last = bool(data[place] & 0x80)
        place += 4 + int.from_bytes(data[place + 1 : place + 4], "big")
    return data[8:42], data[place:]


def flac(samples: np.ndarray, blocks: list[tuple[int, bytes]], info: bytes = b"") -> bytes:
    """A FLAC with these blocks, as (kind, body), behind its STREAMINFO."""
    info_block, frames = flac_parts(samples)
    parts = [(0, info_block + info), *blocks]
    heads = [
        bytes([kind | (0x80 if number == len(parts) - 1 else 0)]) + len(body).to_bytes(3, "big") + body
        for number, (kind, body) in enumerate(parts)
    ]
    return b"fLaC" + b"".join(heads) + frames


def cuesheet(number: str, code: str) -> bytes:
    head = number.encode()[:128].ljust(128, b"\0") + struct.pack(">QB", 0, 0) + bytes(258) + b"\2"
    track = (
        struct.pack(">QB", 0, 1)
        + code.encode()[:12].ljust(12, b"\0")
        + bytes(14)
        + b"\1"
        + bytes(8)
        + b"\1\0\0\0"
    )
    return head + track + struct.pack(">QB", 800, 170) + bytes(12) + bytes(14) + b"\0"


# Ogg


def ogg_crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x104C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def page(packets: list[bytes], serial: int, number: int, flags: int = 0, granule: int = 0) -> bytes:
    """One Ogg page that holds whole packets."""
    laces = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    head = b"OggS\0" + struct.pack("<BqIII", flags, granule, serial, number, 0) + bytes([len(laces)]) + laces
    body = b"".join(packets)
    return head[:22] + struct.pack("<I", ogg_crc(head + body)) + head[26:] + body


def ogg_pages(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """The pages of an Ogg file, as (header, table, body)."""
    pages, place = [], 0
    while place < len(data):
        table = data[place + 27 : place + 27 + data[place + 26]]
        body = place + 27 + len(table)
        pages.append((data[place : place + 27], table, data[body : body + sum(table)]))
        place = body + sum(table)
    return pages


def ogg(samples: np.ndarray, subtype: str, header: bytes, between: bytes = b"", extra: bytes = b"") -> bytes:
    """Vorbis or Opus with another comment header.

    between : bytes after the headers' pages.   extra : pages of another stream, behind the first page."""
    pages = ogg_pages(sound(samples, "OGG", subtype))
    serial = struct.unpack("<I", pages[0][0][14:18])[0]
    packets, packet, used = [], b"", 0
    for _, table, body in pages[1:]:  # the header packets end a page
        place = 0
        for lace in table:
            packet, place = packet + body[place : place + lace], place + lace
            if lace < 255:
                packets.append(packet)
                packet = b""
        used += 1
        if len(packets) >= (2 if subtype == "VORBIS" else 1):
            break
    heads = [header, *packets[1:]]
    data = page([pages[0][2]], serial, 0, 2) + extra
    for number, part in enumerate(heads, 1):
        data += page([part], serial, number)
    data += between
    for number, (head, table, body) in enumerate(pages[1 + used :], len(heads) + 1):
        whole = head[:18] + struct.pack("<II", number, 0) + head[26:] + table + body
        data += whole[:22] + struct.pack("<I", ogg_crc(whole)) + whole[26:]
    return data


def ogg_flac(samples: np.ndarray, blocks: list[tuple[int, bytes]]) -> bytes:
    """FLAC in Ogg; the samples fit into one frame."""
    info, frames = flac_parts(samples[:4096])
    first = b"\x7fFLAC\1\0" + struct.pack(">H", len(blocks)) + b"fLaC\0\0\0\x22" + info
    pages = [page([first], 7, 0, 2)]
    for number, (kind, body) in enumerate(blocks, 1):
        last = 0x80 if number == len(blocks) else 0
        pages.append(page([bytes([kind | last]) + len(body).to_bytes(3, "big") + body], 7, number))
    end = len(pages)
    return b"".join(pages) + page([frames], 7, end, 4, min(4096, samples.size))


# MP4, Matroska


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def mp4(
    more: bytes = b"", inside: bytes = b"", times: int = 0, name: bytes = b"", description: bytes = b"",
    tables: bytes = b"", sound_bytes: bytes = bytes(64), brands: bytes = b"M4A ", header: bytes = bytes(24),
) -> bytes:  # fmt: skip
    """An MP4 of silence that no decoder here reads; its boxes are as they should be."""
    movie = box(b"mvhd", struct.pack(">IIIII", 0, times, times, RATE, 1024) + bytes(80))
    handler = box(b"hdlr", bytes(8) + b"soun" + bytes(12) + name + b"\0")
    sound = box(b"smhd", bytes(8))
    entry = box(b"stsd", bytes(4) + struct.pack(">I", 1) + description) if description else b""
    table = box(b"stbl", entry + tables) if entry or tables else b""
    media = box(b"mdia", box(b"mdhd", header) + handler + box(b"minf", sound + table))
    track = box(b"trak", box(b"tkhd", bytes(84)) + media)
    return (
        box(b"ftyp", b"M4A \0\0\0\0" + brands)
        + box(b"mdat", sound_bytes)
        + box(b"moov", movie + track + inside)
        + more
    )


SOUND_AT = 28  # where the sound of `mp4` begins


def sample_tables(size: int, tail: bytes = b"") -> bytes:
    """Tables of one chunk of one sample of so many bytes at the beginning of the sound."""
    return b"".join(
        (
            box(b"stts", struct.pack(">IIII", 0, 1, 1, 1024)),
            box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1)),
            box(b"stsz", struct.pack(">IIII", 0, 0, 1, size)),
            box(b"stco", struct.pack(">III", 0, 1, SOUND_AT) + tail),
        )
    )


def fragment(size: int) -> bytes:
    """A fragment with one sample of so many bytes at the beginning of the box of sound that follows it."""
    header = box(b"tfhd", struct.pack(">II", 0x20000, 1))
    length = 8 + 16 + 8 + len(header) + 8 + 16
    run = box(b"trun", struct.pack(">IIiI", 0x201, 1, length + 8, size))
    return box(b"moof", box(b"mfhd", bytes(8)) + box(b"traf", header + run))


def descriptor(tag: int, body: bytes) -> bytes:
    return bytes([tag, 0x80, 0x80, 0x80, len(body)]) + body


def setup(inside: bytes = b"", after: bytes = b"") -> bytes:
    """The bytes that set up a decoder of AAC."""
    decoder = descriptor(4, bytes.fromhex("4015000000") + bytes(8) + descriptor(5, b"\x14\x08") + inside)
    return box(b"esds", bytes(4) + descriptor(3, bytes(3) + decoder + descriptor(6, b"\2")) + after)


def sound_description(boxes: bytes, version: int = 0) -> bytes:
    """A sample description of AAC with these boxes."""
    fields = bytes(6) + struct.pack(">HHHIHHHHI", 1, version, 0, 0, 1, 16, 0, 0, RATE << 16)
    return box(b"mp4a", fields + bytes({0: 0, 1: 16, 2: 36}[version]) + boxes)


def element(name: str, body: bytes) -> bytes:
    return bytes.fromhex(name) + (len(body) | 1 << 56).to_bytes(8, "big") + body


def matroska(
    info: bytes = b"", track: bytes = b"", more: bytes = b"", head: bytes = b"", codec: bytes = b"A_OPUS"
) -> bytes:
    """A WebM without a decodable block; its elements are as they should be."""
    head = element("1a45dfa3", element("4282", b"webm") + head)
    entry = element("d7", b"\1") + element("83", b"\2") + element("86", codec) + track
    body = element("1549a966", element("2ad7b1", b"\x0f\x42\x40") + info)
    body += element("1654ae6b", element("ae", entry)) + more
    return head + element("18538067", body + element("1f43b675", element("e7", b"\0")))
