"""Dirty MP4 and Matroska: boxes and elements with a canary in everything but the sound."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from tests import dirty_parts as parts
from tests.dirty_parts import Dirty, box, canary, comments, element


def mp4(_: np.ndarray) -> Iterator[Dirty]:
    def made(kind: str, data: bytes) -> Dirty:
        return Dirty(f"mp4-{kind}", "m4a", data, (canary(f"mp4-{kind}"),), False)

    def word(kind: str) -> bytes:
        return canary(f"mp4-{kind}").encode()

    value = box(b"data", struct.pack(">II", 1, 0) + word("ilst"))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = box(b"meta", bytes(4) + handler + box(b"ilst", box(b"\xa9ART", value)))
    yield made("ilst", parts.mp4(inside=box(b"udta", tags)))
    yield made(
        "udta", parts.mp4(inside=box(b"udta", box(b"\xa9xyz", struct.pack(">HH", 27, 0) + word("udta"))))
    )
    yield made(
        "uuid-xmp",
        parts.mp4(box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + word("uuid-xmp"))),
    )
    yield made("free", parts.mp4(box(b"free", word("free"))))
    yield made("handler", parts.mp4(name=word("handler")))
    yield made("keys", parts.mp4(inside=box(b"meta", handler + box(b"keys", bytes(8) + word("keys")))))
    yield made("unknown", parts.mp4(box(b"Qqqq", word("unknown"))))
    yield made("trailing", parts.mp4() + b"\0\0\0\1" + word("trailing"))
    setup, buyer = parts.setup(), box(b"frma", b"mp4a") + box(b"schi", box(b"name", word("pinf")))
    for kind, boxes, version in (
        ("pinf", setup + box(b"pinf", buyer), 0),
        ("pinf-version-1", box(b"pinf", box(b"name", word("pinf-version-1"))) + setup, 1),
        ("pinf-in-wave", box(b"wave", setup + box(b"pinf", box(b"name", word("pinf-in-wave")))), 2),
        ("description-tail", setup + word("description-tail"), 0),
        ("setup", parts.setup(inside=parts.descriptor(5, bytes(40) + word("setup"))), 0),
        ("setup-tail", parts.setup(after=word("setup-tail")), 0),
        ("descriptor", parts.setup(inside=parts.descriptor(0x14, word("descriptor"))), 0),
        ("flac", box(b"dfLa", bytes(4) + _flac_setup(word("flac"))), 0),
        ("opus", box(b"dOps", bytes(11) + word("opus")), 0),
        ("maker", box(b"damr", bytes(9) + word("maker")), 0),
    ):
        yield made(kind, parts.mp4(description=parts.sound_description(boxes, version)))
    yield made("table-tail", parts.mp4(tables=parts.sample_tables(64, word("table-tail"))))
    yield made("unheard", parts.mp4(tables=parts.sample_tables(32), sound_bytes=bytes(32) + word("unheard")))
    whole = parts.mp4() + parts.fragment(32)
    yield made("unheard-fragment", whole + box(b"mdat", bytes(32) + word("unheard-fragment")))
    yield made("brand", parts.mp4(brands=b"M4A " + word("brand").ljust(28)))
    yield made("header-tail", parts.mp4(header=bytes(24) + word("header-tail")))


def _flac_setup(word: bytes) -> bytes:
    """Metadata blocks of FLAC with a comment."""
    block = comments("x", [b"ARTIST=" + word])
    return b"\0\0\0\x22" + bytes(34) + struct.pack(">I", 0x84000000 | len(block)) + block


def matroska(_: np.ndarray) -> Iterator[Dirty]:
    def made(kind: str, data: bytes) -> Dirty:
        return Dirty(f"webm-{kind}", "webm", data, (canary(f"webm-{kind}"),), False)

    def word(kind: str) -> bytes:
        return canary(f"webm-{kind}").encode()

    yield made("title", parts.matroska(element("7ba9", word("title"))))
    yield made("writer", parts.matroska(element("5741", word("writer"))))
    yield made("track", parts.matroska(track=element("536e", word("track"))))
    simple = element("67c8", element("45a3", b"ARTIST") + element("4487", word("tags")))
    yield made("tags", parts.matroska(more=element("1254c367", element("7373", simple))))
    file = element("61a7", element("466e", b"a.txt") + element("465c", word("attachment")))
    yield made("attachment", parts.matroska(more=element("1941a469", file)))
    yield made("void", parts.matroska(more=element("ec", word("void"))))
    yield made("trailing", parts.matroska() + b"\0" + word("trailing"))
    yield made("head", parts.matroska(head=element("ec", word("head"))))
    yield made("form", parts.matroska(head=element("4282", word("form"))))
    yield made("codec", parts.matroska(codec=b"A_" + word("codec")))
    yield made("number", parts.matroska(track=element("56aa", bytes(8) + word("number"))))
    yield made(
        "place", parts.matroska(more=element("114d9b74", element("4dbb", element("ec", word("place")))))
    )
    for codec, setup in (
        ("flac", b"fLaC" + _flac_setup(word("flac"))), ("vorbis", b"\2\36\x40" + word("vorbis")),
        ("opus", b"OpusHead".ljust(19, b"\0") + word("opus")), ("aac", b"\x14\x08".ljust(64, b"\0") + word("aac")),
    ):  # fmt: skip
        yield made(codec, parts.matroska(codec=b"A_" + codec.upper().encode(), track=element("63a2", setup)))
    text = element("ae", element("d7", b"\2") + element("83", b"\x11") + element("86", b"S_TEXT/UTF8"))
    cluster = element("1f43b675", element("a3", b"\x82\0\0\0" + word("subtitle")))
    yield made("subtitle", parts.matroska(more=element("1654ae6b", text) + cluster))
