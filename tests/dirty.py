"""Recordings full of everything but sound: `dirty_files()`.

Each file holds one or more canaries: words that must never come out again. `forms(canary)` gives the ways in
which one may be written, so that a test can look for all of them in what came out."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from functools import cache

import numpy as np

from tests import dirty_parts as parts
from tests.dirty_boxes import matroska, mp4
from tests.dirty_parts import RATE, Dirty, canary, chunk, comments, frame, id3


def forms(word: str) -> tuple[bytes, ...]:
    """Ways in which a canary may be written: plain, UTF-16, base64 at any place, hexadecimal."""
    plain = word.encode()
    # Three places of a byte in base64's groups of three; the characters that neighbours change are cut off.
    sixties = [base64.b64encode(bytes(k) + plain)[-(-8 * k // 6) : -4] for k in range(3)]
    wide = [word.encode("utf-16-le"), word.encode("utf-16-be")]
    return (plain, *wide, *sixties, plain.hex().encode(), plain.hex().upper().encode())


def voice(seconds: float = 1.0) -> np.ndarray:
    """(samples,) int16: pulses through two resonances, near enough to a voice for a voice detector."""
    time_axis = np.arange(int(seconds * RATE)) / RATE
    pulses = np.sum(
        [np.cos(2 * np.pi * 120 * k * time_axis) / (1 + abs(k - 5)) for k in range(1, 30)], axis=0
    )
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time_axis)
    return (9000 * swell * pulses / np.abs(pulses).max()).astype(np.int16)


@cache
def _default_files() -> tuple[Dirty, ...]:
    return tuple(_all(voice()))


def dirty_files(samples: np.ndarray | None = None) -> tuple[Dirty, ...]:
    """Every kind of dirty file. samples : (samples,) int16 at 16 kHz, the sound in them."""
    return _default_files() if samples is None else tuple(_all(samples))


def _all(samples: np.ndarray) -> Iterator[Dirty]:
    for family in (
        _wave,
        _wave_relatives,
        _aiff,
        _caf,
        _headers,
        _flac,
        _ogg,
        _mp3,
        _anywhere,
        mp4,
        matroska,
    ):
        yield from family(samples)


def _wave(samples: np.ndarray) -> Iterator[Dirty]:
    def made(kind: str, after: bytes = b"", before: bytes = b"", fmt: bytes = b"", end: bytes = b"") -> Dirty:
        data = parts.wave(samples, before, after, fmt=fmt) + end
        decodable = kind != "peak"  # libsndfile wants as many peaks as channels, and no word
        return Dirty(f"wav-{kind}", "wav", data, (canary(f"wav-{kind}"),), decodable)

    def word(kind: str) -> bytes:
        return canary(f"wav-{kind}").encode()

    def info(*items: bytes) -> bytes:
        return chunk(b"LIST", b"INFO" + b"".join(items))

    for name in (b"IART", b"INAM", b"ICMT", b"ICRD", b"ISFT", b"IENG", b"ICOP", b"IZZZ"):
        kind = f"info-{name.decode().lower()}"
        yield made(kind, info(chunk(name, word(kind) + b"\0")))
    yield made("info-utf16", info(chunk(b"ICMT", canary("wav-info-utf16").encode("utf-16-le"))))
    yield made("info-base64", info(chunk(b"ICMT", b"x=" + base64.b64encode(word("info-base64") + b"..."))))
    yield made("info-hex", info(chunk(b"ICMT", word("info-hex").hex().encode())))
    yield made("info-first", before=info(chunk(b"IART", word("info-first"))))
    yield made("list-other", chunk(b"LIST", b"exif" + chunk(b"ecor", word("list-other"))))
    yield made("bext", before=chunk(b"bext", word("bext").ljust(602, b"\0")))
    history = bytes(602) + b"A=PCM,F=16000," + word("bext-history")
    yield made("bext-history", before=chunk(b"bext", history))
    for name in (b"iXML", b"axml", b"_PMX", b"cart", b"DISP", b"guan", b"umid", b"XYZ1", b"chna", b"note"):
        kind = f"chunk-{name.decode().lower()}"
        yield made(kind, chunk(name, b"<a>" + word(kind) + b"</a>"))
    yield made("peak", chunk(b"PEAK", struct.pack("<II", 1, 0) + word("peak")))
    labels = chunk(b"labl", bytes(4) + word("adtl-label") + b"\0")
    cue = chunk(b"cue ", struct.pack("<IIIIIII", 1, 1, 0, 0x61746164, 0, 0, 0))
    yield made("adtl-label", cue + chunk(b"LIST", b"adtl" + labels))
    region = chunk(b"ltxt", struct.pack("<III4s", 1, 10, 0, b"rgn ") + bytes(8) + word("adtl-region"))
    yield made("adtl-region", cue + chunk(b"LIST", b"adtl" + region))
    yield made("cue", chunk(b"cue ", struct.pack("<I", 1) + word("cue")))
    yield made("smpl", chunk(b"smpl", bytes(32) + struct.pack("<I", 28) + word("smpl") + b"\0"))
    yield made("inst", chunk(b"inst", word("inst")))
    yield made("junk", before=chunk(b"JUNK", word("junk")))
    yield made("id3v2.3", chunk(b"id3 ", id3(frame(b"TPE1", b"\0" + word("id3v2.3")))))
    yield made("id3v2.4", chunk(b"ID3 ", id3(frame(b"TXXX", b"\3a\0" + word("id3v2.4"), 4), 4)))
    yield made("second-data", chunk(b"data", word("second-data")))
    for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610"):
        kind = f"wav-behind-{subtype.lower()}"
        data = parts.longer(parts.sound(samples, "WAV", subtype), b"data", canary(kind).encode() + b".")
        yield Dirty(kind, "wav", data, (canary(kind),), True)
    yield made("fact", before=chunk(b"fact", bytes(4) + word("fact")))
    yield made("fmt", fmt=struct.pack("<H", 27) + word("fmt"))
    yield made("trailing", end=word("trailing"))
    yield made("fragment", after=word("fragment")[:3] + word("fragment"))


def _wave_relatives(samples: np.ndarray) -> Iterator[Dirty]:
    words = {
        kind: canary(kind).encode() for kind in ("rifx", "rf64", "bw64", "w64", "w64-unknown", "mp3-in-wav")
    }

    def made(kind: str, extension: str, data: bytes, decodable: bool = True) -> Dirty:
        return Dirty(kind, extension, data, (canary(kind),), decodable)

    artist = chunk(b"LIST", b"INFO" + chunk(b"IART", words["rifx"], ">"), ">")
    yield made("rifx", "wav", parts.wave(samples, b"", artist, order=b">"))
    yield made(
        "rf64", "wav", parts.long_wave(samples, b"RF64", chunk(b"bext", words["rf64"].ljust(602, b"\0")))
    )
    yield made("bw64", "wav", parts.long_wave(samples, b"BW64", chunk(b"axml", words["bw64"])), False)
    tail = parts.W64_TAIL
    yield made("w64", "w64", parts.wave64(samples, [(b"bext" + tail, words["w64"])]))
    yield made("w64-unknown", "w64", parts.wave64(samples, [(bytes(range(16)), words["w64-unknown"])]))
    mp3 = id3(frame(b"TPE1", b"\0" + words["mp3-in-wav"])) + parts.sound(samples, "MP3", "MPEG_LAYER_III")
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 4000, 1, 0, 12, 1, 2, 144, 1, 0)
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", mp3)
    yield made("mp3-in-wav", "wav", b"RIFF" + struct.pack("<I", len(body)) + body)


def _aiff(samples: np.ndarray) -> Iterator[Dirty]:
    def made(kind: str, data: bytes) -> Dirty:
        return Dirty(f"aiff-{kind}", "aiff", data, (canary(f"aiff-{kind}"),), True)

    kinds = ("comt", "mark", "id3", "offset", "name-of-codec", "trailing", "behind")
    words = {kind: canary(f"aiff-{kind}").encode() for kind in kinds}
    for name in (b"NAME", b"AUTH", b"(c) ", b"ANNO", b"APPL", b"MIDI", b"QQQQ"):
        kind = name.decode().strip().lower()
        text = canary(f"aiff-{kind}").encode()
        yield made(kind, parts.aiff(samples, chunk(name, (b"stoc" if name == b"APPL" else b"") + text, ">")))
    remark = struct.pack(">HIhH", 1, 3_000_000_000, 0, len(words["comt"])) + words["comt"] + b"\0"
    yield made("comt", parts.aiff(samples, chunk(b"COMT", remark, ">")))
    marker = struct.pack(">HhIB", 1, 1, 5, len(words["mark"])) + words["mark"]
    yield made("mark", parts.aiff(samples, chunk(b"MARK", marker, ">")))
    tag = id3(frame(b"TIT2", b"\0" + words["id3"]))
    yield made("id3", parts.aiff(samples, chunk(b"ID3 ", tag, ">")))
    yield made("offset", parts.aiff(samples, before=words["offset"] + b"."))
    yield made("name-of-codec", parts.aiff(samples, compression=words["name-of-codec"]))
    yield made("trailing", parts.aiff(samples) + words["trailing"])
    yield made("behind", parts.aiff(samples, behind=words["behind"] + b"."))
    for subtype in ("IMA_ADPCM", "GSM610", "DWVW_16"):
        kind = f"behind-{subtype.lower()}"
        sound, word = parts.sound(samples, "AIFF", subtype), canary(f"aiff-{kind}").encode() + b"."
        data = parts.longer(sound, b"SSND", word, ">")
        yield Dirty(f"aiff-{kind}", "aiff", data, (canary(f"aiff-{kind}"),), subtype != "DWVW_16")


def _caf(samples: np.ndarray) -> Iterator[Dirty]:
    def made(kind: str, data: bytes) -> Dirty:
        return Dirty(f"caf-{kind}", "caf", data, (canary(f"caf-{kind}"),), True)

    def word(kind: str) -> bytes:
        return canary(f"caf-{kind}").encode()

    described = struct.pack(">III", 0, 0, 1) + bytes(20)
    for name, head in (
        (b"info", struct.pack(">I", 1) + b"artist\0"), (b"strg", struct.pack(">I", 1)),
        (b"uuid", bytes(range(16))), (b"free", b""), (b"midi", b""), (b"umid", b""), (b"Zzzz", b""),
        (b"mark", bytes(8)),
    ):  # fmt: skip
        kind = name.decode().lower()
        body = head + canary(f"caf-{kind}").encode() + b"\0"
        yield made(kind, parts.caf(samples, [(name, body)]))
    yield made("trailing", parts.caf(samples, [], canary("caf-trailing").encode()))
    yield made("chan", parts.caf(samples, [(b"chan", struct.pack(">III", 6_553_601, 0, 0) + word("chan"))]))
    yield made("chan-described", parts.caf(samples, [(b"chan", described + word("chan-described"))]))
    yield made("pakt", parts.caf(samples, [(b"pakt", bytes(24) + word("pakt"))]))
    entries = struct.pack(">QQII", 27, 16_000, 0, 0) + word("pakt-entries")
    yield made("pakt-entries", parts.caf(samples, [(b"pakt", entries)]))
    packed = parts.sound(samples, "CAF", "ALAC_16")
    yield made("behind", parts.longer(packed, b"data", word("behind"), ">", wide=True))
    yield made("pakt-tail", parts.longer(packed, b"pakt", word("pakt-tail"), ">", wide=True))


def _headers(samples: np.ndarray) -> Iterator[Dirty]:
    def made(kind: str, extension: str, data: bytes) -> Dirty:
        return Dirty(kind, extension, data, (canary(kind),), True)

    yield made("au-annotation", "au", parts.au(samples, canary("au-annotation").encode() + b"\0" * 5))
    yield made("au-trailing", "au", parts.au(samples) + canary("au-trailing").encode())
    yield made("sphere", "sph", parts.sphere(samples, canary("sphere")))
    yield made("sphere-trailing", "sph", parts.sphere(samples, "1") + canary("sphere-trailing").encode())


_REFUSED = ("after-comments", "second-info")  # FLAC that libsndfile does not decode


def _flac(samples: np.ndarray) -> Iterator[Dirty]:
    def word(kind: str) -> bytes:
        return canary(f"flac-{kind}").encode()

    def made(
        kind: str, blocks: list[tuple[int, bytes]], *, info: bytes = b"", front: bytes = b"", end: bytes = b""
    ) -> Dirty:
        data = front + parts.flac(samples, blocks, info) + end
        return Dirty(f"flac-{kind}", "flac", data, (canary(f"flac-{kind}"),), kind not in _REFUSED)

    yield made("comment", [(4, comments("x", [b"ARTIST=" + word("comment")]))])
    yield made(
        "comment-utf16", [(4, comments("x", [b"TITLE=" + canary("flac-comment-utf16").encode("utf-16-be")]))]
    )
    yield made(
        "comment-base64",
        [(4, comments("x", [b"NOTE=" + base64.b64encode(b"ab" + word("comment-base64") + b"...")]))],
    )
    yield made("vendor", [(4, comments(canary("flac-vendor"), []))])
    yield made("after-comments", [(4, comments("x", [b"A=b"], word("after-comments")))])
    yield made("picture", [(6, parts.picture(canary("flac-picture"), b"\x89PNG"))])
    yield made("picture-data", [(6, parts.picture("cover", b"\x89PNG tEXt" + word("picture-data")))])
    yield made("application", [(2, b"riff" + word("application"))])
    yield made("cuesheet", [(5, parts.cuesheet(canary("flac-cuesheet"), "US-S1Z-99-00001"))])
    yield made(
        "seektable",
        [
            (
                3,
                word("seektable")[:18].ljust(18)
                + word("seektable")[18:].ljust(18)
                + word("seektable").ljust(36),
            )
        ],
    )
    yield made("padding", [(1, word("padding"))])
    yield made("unknown", [(77, word("unknown"))])
    yield made("second-info", [(0, word("second-info").ljust(34))])
    yield made("streaminfo", [], info=word("streaminfo"))
    yield made("trailing", [], end=word("trailing"))
    yield made("id3", [], front=id3(frame(b"TPE1", b"\0" + word("id3"))))


def _ogg(samples: np.ndarray) -> Iterator[Dirty]:
    def word(kind: str) -> bytes:
        return canary(f"ogg-{kind}").encode()

    def vorbis(
        kind: str, lines: list[bytes], *, vendor: str = "x", framing: bytes = b"\1", **more: bytes
    ) -> Dirty:
        header = b"\3vorbis" + comments(vendor, lines, framing)
        end = more.pop("end", b"")
        data = parts.ogg(samples, "VORBIS", header, **more) + end
        return Dirty(f"ogg-{kind}", "ogg", data, (canary(f"ogg-{kind}"),), True)

    def opus(kind: str, lines: list[bytes], *, vendor: str = "x", more: bytes = b"") -> Dirty:
        data = parts.ogg(samples, "OPUS", b"OpusTags" + comments(vendor, lines, more))
        return Dirty(f"ogg-{kind}", "opus", data, (canary(f"ogg-{kind}"),), True)

    yield vorbis("comment", [b"ARTIST=" + word("comment")])
    yield vorbis("vendor", [], vendor=canary("ogg-vendor"))
    cover = base64.b64encode(parts.picture(canary("ogg-picture"), b"\x89PNG"))
    yield vorbis("picture", [b"METADATA_BLOCK_PICTURE=" + cover])
    yield vorbis("after-comments", [], framing=b"\1" + word("after-comments"))
    yield vorbis("long-comment", [b"LYRICS=" + b"la " * 5000 + word("long-comment")])
    yield vorbis("trailing", [], end=word("trailing"))
    yield vorbis("gap", [], between=word("gap"))
    other = parts.page([b"fishead\0" + word("foreign")], 99, 0, 2) + parts.page([word("foreign")], 99, 1, 4)
    yield vorbis("foreign", [], extra=other)
    yield opus("opus-comment", [b"TITLE=" + word("opus-comment")])
    yield opus("opus-vendor", [], vendor=canary("ogg-opus-vendor"))
    yield opus("opus-padding", [], more=b"\1" + word("opus-padding"))
    for kind, block in (
        ("flac-comment", (4, comments("x", [b"ARTIST=" + word("flac-comment")]))),
        ("flac-picture", (6, parts.picture(canary("ogg-flac-picture"), b"\x89PNG"))),
    ):
        blocks = [(4, comments("x", [])), block] if block[0] != 4 else [block]
        yield Dirty(f"ogg-{kind}", "oga", parts.ogg_flac(samples, blocks), (canary(f"ogg-{kind}"),), False)
    speex = b"Speex   1.2".ljust(80, b"\0")
    header = comments("x", [b"AUTHOR=" + word("speex")])
    data = parts.page([speex], 5, 0, 2) + parts.page([header], 5, 1) + parts.page([bytes(40)], 5, 2, 4, 320)
    yield Dirty("ogg-speex", "spx", data, (canary("ogg-speex"),), False)


def _mp3(samples: np.ndarray) -> Iterator[Dirty]:
    clean = parts.sound(samples, "MP3", "MPEG_LAYER_III")

    def word(kind: str) -> bytes:
        return canary(f"mp3-{kind}").encode()

    def made(kind: str, front: bytes = b"", end: bytes = b"", body: bytes = clean) -> Dirty:
        decodable = kind not in (
            "id3v2.4-footer",
            "ape-front",
            "gap",
        )  # libsndfile looks for frames, and gives up
        return Dirty(f"mp3-{kind}", "mp3", front + body + end, (canary(f"mp3-{kind}"),), decodable)

    yield made("id3v2.2", id3(frame(b"TP1", b"\0" + word("id3v2.2"), 2), 2))
    for name, head in (
        (b"TPE1", b"\0"), (b"TXXX", b"\0key\0"), (b"WXXX", b"\0key\0"), (b"COMM", b"\0eng\0"),
        (b"USLT", b"\0eng\0"),
        (b"APIC", b"\0image/png\0\3cover\0"), (b"GEOB", b"\0text/plain\0a\0b\0"), (b"PRIV", b"owner\0"),
        (b"UFID", b"owner\0"),
        (b"CHAP", b"one\0" + bytes(16)), (b"SYLT", b"\0eng\2\1\0"), (b"ZZZ9", b""),
    ):  # fmt: skip
        kind = f"id3v2.3-{name.decode().lower()}"
        yield made(kind, id3(frame(name, head + word(kind))))
    wide = b"\1\xff\xfe" + canary("mp3-id3v2.3-utf16").encode("utf-16-le")
    yield made("id3v2.3-utf16", id3(frame(b"TPE1", wide)))
    packed = b"\1\xff\xfe" + canary("mp3-id3v2.3-unsync").encode("utf-16-le")
    yield made("id3v2.3-unsync", id3(frame(b"APIC", b"\xff\xff\xe0") + frame(b"TPE1", packed), flags=0x80))
    yield made("id3v2.4", id3(frame(b"TDRC", b"\3" + word("id3v2.4"), 4), 4))
    yield made(
        "id3v2.4-plain-size",
        id3(
            frame(b"TPE1", b"\3" + b"x" * 200 + word("id3v2.4-plain-size"), 3) + frame(b"TPE2", b"\3a", 3), 4
        ),
    )
    yield made("id3v2.4-footer", id3(frame(b"TPE1", b"\3" + word("id3v2.4-footer"), 4), 4, b"", 0x10))
    yield made("id3v2.4-at-end", end=id3(frame(b"TPE1", b"\3" + word("id3v2.4-at-end"), 4), 4, b"", 0x10))
    yield made(
        "id3v2-extended",
        id3(struct.pack(">IHI", 33, 0, 0) + word("id3v2-extended") + frame(b"TPE1", b"\0a"), flags=0x40),
    )
    yield made("id3v2-padding", id3(frame(b"TPE1", b"\0a"), padding=bytes(8) + word("id3v2-padding")))
    yield made("id3v2-twice", id3(frame(b"TPE1", b"\0a")) + id3(frame(b"TPE1", b"\0" + word("id3v2-twice"))))
    yield made("id3v1", end=parts.id3v1(canary("mp3-id3v1")))
    yield made("id3v1-more", end=parts.id3v1_more(canary("mp3-id3v1-more")) + parts.id3v1("a"))
    yield made("ape1", end=parts.ape({"Artist": word("ape1")}, 1000, header=False))
    yield made("ape2", end=parts.ape({"Artist": word("ape2"), "Other name": b"b"}))
    yield made("ape-front", parts.ape({"Comment": word("ape-front")}))
    yield made("lyrics1", end=b"LYRICSBEGIN" + word("lyrics1") + b"LYRICSEND" + parts.id3v1("a"))
    yield made("lyrics2", end=parts.lyrics({"IND": "00", "LYR": canary("mp3-lyrics2")}) + parts.id3v1("a"))
    many = parts.ape({"Artist": word("all-at-end")}) + parts.lyrics({"LYR": "la"}) + parts.id3v1("a")
    yield made("all-at-end", id3(frame(b"TPE1", b"\0a")), many)
    yield made("trailing", end=word("trailing"))
    yield made("gap", body=b"\0" * 40 + word("gap") + clean)
    start = clean.find(b"Xing") if b"Xing" in clean[:64] else clean.find(b"Info", 0, 64)
    if start > 0:
        name = b"LAME" + word("encoder")
        yield made("encoder", body=clean[: start + 116] + name + clean[start + 116 + len(name) :])


def _anywhere(samples: np.ndarray) -> Iterator[Dirty]:
    """Tags of MP3 around other containers."""
    clean = {
        "wav": parts.wave(samples),
        "flac": parts.flac(samples, []),
        "ogg": parts.sound(samples, "OGG", "VORBIS"),
    }
    for extension, data in clean.items():
        for kind, tag in (
            ("id3v1", parts.id3v1(canary(f"{extension}-with-id3v1"))),
            ("ape", parts.ape({"Artist": canary(f"{extension}-with-ape").encode()})),
            ("lyrics", parts.lyrics({"LYR": canary(f"{extension}-with-lyrics")})),
        ):
            name = f"{extension}-with-{kind}"
            yield Dirty(name, extension, data + tag, (canary(name),), True)
    for extension in ("wav", "ogg"):
        name = f"{extension}-with-id3v2"
        front = id3(frame(b"TPE1", b"\0" + canary(name).encode()))
        yield Dirty(name, extension, front + clean[extension], (canary(name),), extension == "wav")
