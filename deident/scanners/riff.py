"""RIFF, RIFX, RF64, BW64 and Sony Wave64. EBU Tech 3285, 3306; RFC 2361; Microsoft & IBM (1991)."""

from __future__ import annotations

from deident.scanners.chunks import Chunk, Layout, add_claim, add_filler, walk
from deident.scanners.finding import Bytes, Notes
from deident.scanners.flac import scan_flac
from deident.scanners.id3 import scan_id3
from deident.scanners.mp3 import scan_mp3
from deident.scanners.ogg import scan_ogg
from deident.scanners.reader import number
from deident.scanners.tails import scan_end, scan_front

CHUNKS = {
    b"bext": "Broadcast Wave: description, originator, date, time, coding history",
    b"iXML": "iXML: project, scene, take, notes, tracks",
    b"axml": "XML of the audio definition model",
    b"bxml": "compressed XML of the audio definition model",
    b"sxml": "XML of the audio definition model, in time",
    b"chna": "track identities of the audio definition model",
    b"_PMX": "XMP: creator, tool, dates, history",
    b"XMP ": "XMP: creator, tool, dates, history",
    b"aXML": "XML",
    b"cue ": "cue points",
    b"plst": "playlist",
    b"smpl": "sampler settings and loops",
    b"inst": "instrument settings",
    b"acid": "loop settings",
    b"strc": "loop settings",
    b"PEAK": "peaks, with the time of writing",
    b"levl": "peak envelope, with a date",
    b"umid": "material identifier",
    b"cart": "cart: title, artist, dates, codes, notes",
    b"link": "link to other files",
    b"DISP": "display title or picture",
    b"note": "note",
    b"labl": "label",
    b"ltxt": "text of a region",
    b"file": "file inside the file",
    b"CSET": "character set and country",
    b"mext": "MPEG extension",
    b"qlty": "quality report: operators and events",
    b"MD5 ": "checksum",
    b"afsp": "text of the writing program",
    b"LGWV": "Logic's settings",
    b"minf": "Pro Tools' settings",
    b"elm1": "Pro Tools' settings",
    b"regn": "Pro Tools' region: names and times",
    b"ovwf": "waveform overview",
    b"wavl": "list of sound and silence",
    b"slnt": "silence",
    b"ResU": "Logic's settings",
    b"guan": "Guano: place, time and device in text",
    b"SAUR": "SoundField's settings",
}
FILLERS = (b"JUNK", b"junk", b"PAD ", b"FLLR", b"fllr", b"Fake", b"filr", b"PAD\0")
INFO = {
    b"IARL": "archive", b"IART": "artist", b"ICMS": "commissioner", b"ICMT": "comment", b"ICOP": "copyright",
    b"ICRD": "date", b"ICRP": "cropping", b"IDIM": "dimensions", b"IDPI": "resolution", b"IENG": "engineer",
    b"IGNR": "genre", b"IKEY": "keywords", b"ILGT": "lightness", b"IMED": "medium", b"INAM": "title",
    b"IPLT": "palette", b"IPRD": "album", b"ISBJ": "subject", b"ISFT": "software", b"ISHP": "sharpness",
    b"ISRC": "source", b"ISRF": "source form", b"ITCH": "technician", b"IPRT": "part", b"ITRK": "track",
    b"IPRO": "producer", b"ILNG": "language", b"IRTD": "rating", b"ISMP": "time code",
    b"IDIT": "time of digitising", b"IBSU": "address", b"ILOC": "place", b"IMUS": "musicians",
    b"IWRI": "writer", b"IURL": "link", b"TURL": "link", b"TCOD": "time code", b"TAPE": "tape",
    b"DTIM": "time", b"IAS1": "language",
}  # fmt: skip
_LISTS = {b"INFO": "riff.info", b"adtl": "riff.adtl"}
_INNER = {b"OggS": scan_ogg, b"fLaC": scan_flac}  # by the first bytes of a data chunk
_PLAIN, _EXTENSIBLE, _MPEG = 1, 0xFFFE, (0x50, 0x55)
# What may follow the 16 bytes of a `fmt ` chunk, by format: IMA and Microsoft ADPCM, extensible, MPEG.
_FORMAT_BYTES = {0x11: 20, 0x31: 20, 2: 50, _EXTENSIBLE: 40, 0x50: 40, 0x55: 30}
_SUBTYPE = bytes.fromhex(
    "000000001000800000aa00389b71"
)  # the fixed part of WAVEFORMATEXTENSIBLE's identifiers
_AMBISONIC = bytes.fromhex("000021070da4a01a")  # the other family of them in use
_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64 = Layout("w64", name_bytes=16, size_bytes=8, align=8, counts_header=True)


def scan_riff(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a RIFF, RIFX, RF64 or BW64 file holds besides sound."""
    head = source.read(start, 12)
    order = "big" if head[:4] == b"RIFX" else "little"
    if head[8:12] != b"WAVE":
        notes.add("container", source, start, stop, "a RIFF file of another form than WAVE: not looked into")
        return
    claimed, sizes = number(head, 4, 4, order), _sizes(source, start, stop)
    end = start + 8 + (sizes.get(b"RIFF", claimed) if claimed == 0xFFFFFFFF else claimed)
    # Streams that could not go back leave 0 or 0xFFFFFFFF; and a size inside the header is no size.
    end = stop if claimed == 0 or end < start + 12 else min(end, stop)
    _Wave(source, notes, order).scan(start + 12, end, sizes)
    notes.add("riff.trailing", source, end, stop, "bytes after the end")


def _sizes(source: Bytes, start: int, stop: int) -> dict[bytes, int]:
    """The 64-bit sizes in a `ds64` chunk, by the names of what they are for."""
    data = source.read(start + 12, 36)
    if data[:4] != b"ds64":
        return {}
    return {b"RIFF": number(data, 8, 8, "little"), b"data": number(data, 16, 8, "little")}


class _Wave:
    """The chunks of one WAVE form."""

    def __init__(self, source: Bytes, notes: Notes, order: str) -> None:
        self.source, self.notes = source, notes
        self.layout = Layout("riff", order=order)
        self.format, self.seen = 0, set[bytes]()

    def scan(self, start: int, stop: int, sizes: dict[bytes, int]) -> None:
        for chunk in walk(self.source, start, stop, self.layout, self.notes, sizes):
            first = chunk.name not in self.seen
            self.seen.add(chunk.name)
            if chunk.name == b"fmt " and first:
                self.format_chunk(chunk)
            elif chunk.name == b"data" and first:
                add_claim(self.notes, self.source, chunk, "riff")
                if self.format in _MPEG:
                    stop = scan_end(self.source, chunk.body, chunk.stop, self.notes)
                    start = scan_front(self.source, chunk.body, stop, self.notes)
                    scan_mp3(self.source, start, stop, self.notes)
                elif inner := _INNER.get(self.source.read(chunk.body, 4)):
                    inner(self.source, chunk.body, chunk.stop, self.notes)
            elif chunk.name == b"fact" and first:
                self.rest("riff.fact", chunk, 4)
            elif chunk.name == b"ds64" and first:
                self.rest("riff.ds64", chunk, 28)
            elif chunk.name == b"LIST":
                self.lists(chunk)
            elif chunk.name in FILLERS:
                add_filler(self.notes, self.source, chunk, "riff")
            elif chunk.name in (b"id3 ", b"ID3 "):
                scan_id3(self.source, chunk.body, chunk.stop, self.notes)
            else:
                self.other(chunk)

    def other(self, chunk: Chunk) -> None:
        what = CHUNKS.get(chunk.name)
        kind = f"riff.{chunk.name.decode('latin-1').strip().lower()}" if what else "riff.unknown"
        if chunk.name in (b"fmt ", b"data", b"fact", b"ds64"):
            kind, what = "riff.second", "a second chunk where one is meant to be"
        self.notes.add(kind, self.source, chunk.start, chunk.stop, what or "a chunk of unknown kind")

    def rest(self, kind: str, chunk: Chunk, known: int) -> None:
        self.notes.add(kind, self.source, chunk.body + known, chunk.stop, "bytes after the fields of a chunk")

    def format_chunk(self, chunk: Chunk) -> None:
        head = self.source.read(chunk.body, 40)
        self.format = number(head, 0, 2, self.layout.order)
        size = chunk.stop - chunk.body
        known = _FORMAT_BYTES.get(self.format, 18)
        if (
            self.format == _EXTENSIBLE
            and size >= 40
            and head[26:40] != _SUBTYPE
            and head[28:36] != _AMBISONIC
        ):
            self.notes.add(
                "riff.fmt", self.source, chunk.body + 24, chunk.body + 40, "an unknown format identifier"
            )
        if self.format == _EXTENSIBLE:
            self.format = number(head, 24, 2, self.layout.order)
        if self.format == _PLAIN and size == 18 and number(head, 16, 2, self.layout.order):
            known = 16
        if size > known:
            self.rest("riff.fmt", chunk, known)

    def lists(self, chunk: Chunk) -> None:
        kind = self.source.read(chunk.body, 4)
        if kind not in _LISTS:
            self.notes.add("riff.list", self.source, chunk.start, chunk.stop, "a list of unknown kind")
            return
        empty = True
        for item in walk(self.source, chunk.body + 4, chunk.stop, self.layout, self.notes):
            empty = False
            name = INFO.get(item.name) if kind == b"INFO" else CHUNKS.get(item.name)
            what = f"{kind.decode()}: {name or 'an entry of unknown kind'}"
            self.notes.add(_LISTS[kind], self.source, item.start, item.stop, what)
        if empty:
            self.notes.add(_LISTS[kind], self.source, chunk.start, chunk.stop, "a list without entries")


def scan_w64(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a Sony Wave64 file holds besides sound."""
    head = source.read(start, 40)
    if head[24:] != b"wave" + _GUID_TAIL:
        notes.add("container", source, start, stop, "a Wave64 file of another form: not looked into")
        return
    end = start + number(head, 16, 8, "little")
    end = stop if end < start + 40 else min(end, stop)
    wave = _Wave(source, notes, "little")
    wave.layout = _W64
    for chunk in walk(source, start + 40, end, _W64, notes):
        short = chunk.name[:4]
        known = chunk.name[4:] == _GUID_TAIL
        if known and short == b"fmt ":
            wave.format_chunk(chunk)
        elif known and short == b"data":
            add_claim(notes, source, chunk, "w64")
        elif known and short == b"fact":
            wave.rest("w64.fact", chunk, 8)
        else:
            what = CHUNKS.get(short) if known else None
            kind = f"w64.{short.decode('latin-1').strip().lower()}" if what else "w64.unknown"
            notes.add(kind, source, chunk.start, chunk.stop, what or "a chunk of another kind")
    notes.add("w64.trailing", source, end, stop, "bytes after the end")
