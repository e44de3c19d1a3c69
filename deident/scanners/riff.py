"""RIFF, RIFX, RF64, BW64 and Sony Wave64. EBU Tech 3285, 3306; RFC 2361; Microsoft & IBM (1991)."""

from __future__ import annotations

from deident.containers.chunks import RIFF, RIFX, UNKNOWN_SIZE, W64, Chunk, ChunkFormat
from deident.containers.finding import Bytes, Notes
from deident.containers.headers import EXTENSIBLE, long_sizes, wave_format
from deident.containers.source import number
from deident.scanners.chunks import add_chunk, add_claim, add_filler, add_rest, add_second, walk
from deident.scanners.flac import scan_flac
from deident.scanners.id3 import scan_id3
from deident.scanners.mp3 import scan_mp3
from deident.scanners.ogg import scan_ogg
from deident.scanners.tails import scan_end, scan_front

CHUNKS = {
    b"bext": "Broadcast Wave: description, originator, date, time, coding history",
    b"iXML": "iXML: project, scene, take, notes, tracks", b"axml": "XML of the audio definition model",
    b"bxml": "compressed XML of the audio definition model",
    b"sxml": "XML of the audio definition model, in time",
    b"chna": "track identities of the audio definition model", b"_PMX": "XMP: creator, tool, dates, history",
    b"XMP ": "XMP: creator, tool, dates, history", b"aXML": "XML", b"cue ": "cue points", b"plst": "playlist",
    b"smpl": "sampler settings and loops", b"inst": "instrument settings", b"acid": "loop settings",
    b"strc": "loop settings", b"PEAK": "peaks, with the time of writing",
    b"levl": "peak envelope, with a date", b"umid": "material identifier",
    b"cart": "cart: title, artist, dates, codes, notes", b"link": "link to other files",
    b"DISP": "display title or picture", b"note": "note", b"labl": "label", b"ltxt": "text of a region",
    b"file": "file inside the file", b"CSET": "character set and country", b"mext": "MPEG extension",
    b"qlty": "quality report: operators and events", b"MD5 ": "checksum",
    b"afsp": "text of the writing program", b"LGWV": "Logic's settings", b"minf": "Pro Tools' settings",
    b"elm1": "Pro Tools' settings", b"regn": "Pro Tools' region: names and times",
    b"ovwf": "waveform overview", b"wavl": "list of sound and silence", b"slnt": "silence",
    b"ResU": "Logic's settings", b"guan": "Guano: place, time and device in text",
    b"SAUR": "SoundField's settings",
}  # fmt: skip
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
_BLOCKS = (0x11, 0x31, 2)  # their formats say the samples of a block
_PLAIN, _MPEG = 1, (0x50, 0x55)
# What may follow the 16 bytes of a `fmt ` chunk, by format: IMA and Microsoft ADPCM, extensible, MPEG.
_FORMAT_BYTES = {0x11: 20, 0x31: 20, 2: 50, EXTENSIBLE: 40, 0x50: 40, 0x55: 30}
# The fixed part of WAVEFORMATEXTENSIBLE's identifiers, and the other family of them in use
_SUBTYPE, _AMBISONIC = bytes.fromhex("000000001000800000aa00389b71"), bytes.fromhex("000021070da4a01a")
_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_SINGLE = {b"fmt ", b"data", b"fact", b"ds64"}


def scan_riff(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a RIFF, RIFX, RF64 or BW64 file holds besides sound."""
    form = RIFX if source.at(start, 4) == b"RIFX" else RIFF
    claimed, sizes = number(source.at(start, 8), 4, 4, form.order), long_sizes(source, start)
    end = start + 8 + (sizes.get(b"RIFF", claimed) if claimed == UNKNOWN_SIZE else claimed)
    # Streams that could not go back leave 0 or 0xFFFFFFFF; and a size inside the header is no size.
    end = stop if claimed == 0 or end < start + 12 else min(end, stop)
    _Wave(source, notes, form).scan(start + 12, end, sizes)
    notes.add("riff.trailing", source, end, stop, "bytes after the end")


class _Wave:
    """The chunks of one WAVE form."""

    def __init__(self, source: Bytes, notes: Notes, form: ChunkFormat) -> None:
        self.source, self.notes, self.form = source, notes, form
        self.tag, self.seen = 0, set[bytes]()
        self.block = 0, 0  # bytes and samples of one, where its format says them
        self.samples = 0
        self.sound: Chunk | None = None

    def scan(self, start: int, stop: int, sizes: dict[bytes, int]) -> None:
        for chunk in walk(self.source, start, stop, self.form, "riff", self.notes, sizes):
            first = chunk.name not in self.seen
            self.seen.add(chunk.name)
            if chunk.name in _SINGLE and not first:
                add_second(self.notes, self.source, chunk, "riff")
            elif chunk.name == b"fmt ":
                self.format_chunk(chunk)
            elif chunk.name == b"data":
                add_claim(self.notes, self.source, chunk, "riff")
                self.data(chunk.body, chunk.stop)
                self.sound = chunk
            elif chunk.name == b"fact":
                self.samples = number(self.source.at(chunk.body, 4), 0, 4, self.form.order)
                add_rest(self.notes, self.source, chunk, "riff.fact", 4)
            elif chunk.name == b"ds64":
                add_rest(self.notes, self.source, chunk, "riff.ds64", 28)
            elif chunk.name == b"LIST":
                self.lists(chunk)
            elif chunk.name in FILLERS:
                add_filler(self.notes, self.source, chunk, "riff")
            elif chunk.name in (b"id3 ", b"ID3 "):
                scan_id3(self.source, chunk.body, chunk.stop, self.notes)
            else:
                add_chunk(self.notes, self.source, chunk, "riff", CHUNKS)
        size, samples = self.block
        if self.sound and self.sound.is_whole and samples and 0 < self.samples < UNKNOWN_SIZE:
            end = self.sound.body + -(-self.samples // samples) * size
            what = "bytes after the samples that are announced"
            self.notes.add("riff.behind", self.source, end, self.sound.stop, what)

    def data(self, start: int, stop: int) -> None:
        """Look for tags of a container inside the container."""
        if self.tag in _MPEG:
            stop = scan_end(self.source, start, stop, self.notes)
            start = scan_front(self.source, start, stop, self.notes)
            scan_mp3(self.source, start, stop, self.notes)
        elif inner := {b"OggS": scan_ogg, b"fLaC": scan_flac}.get(self.source.at(start, 4)):
            inner(self.source, start, stop, self.notes)

    def format_chunk(self, chunk: Chunk) -> None:
        """Note fields of `fmt ` that decoding does not need."""
        head, size = self.source.at(chunk.body, 40), chunk.stop - chunk.body
        found = wave_format(head, self.form.order)
        self.tag = found.tag
        if found.written_tag in _BLOCKS:
            self.block = found.align, number(head, 18, 2, self.form.order)
        is_extensible = found.written_tag == EXTENSIBLE
        if is_extensible and size >= 40 and head[26:40] != _SUBTYPE and head[28:36] != _AMBISONIC:
            self.notes.add(
                "riff.fmt", self.source, chunk.body + 24, chunk.body + 40, "an unknown format identifier"
            )
        known = _FORMAT_BYTES.get(found.written_tag, 18)
        if found.tag == _PLAIN and size == 18 and number(head, 16, 2, self.form.order):
            known = 16
        add_rest(self.notes, self.source, chunk, "riff.fmt", known)

    def lists(self, chunk: Chunk) -> None:
        """Note each entry of a LIST chunk."""
        kind = self.source.at(chunk.body, 4)
        if kind not in _LISTS:
            self.notes.add("riff.list", self.source, chunk.start, chunk.stop, "a list of unknown kind")
            return
        empty = True
        for item in walk(self.source, chunk.body + 4, chunk.stop, self.form, "riff", self.notes):
            empty = False
            name = INFO.get(item.name) if kind == b"INFO" else CHUNKS.get(item.name)
            what = f"{kind.decode()}: {name or 'an entry of unknown kind'}"
            self.notes.add(_LISTS[kind], self.source, item.start, item.stop, what)
        if empty:
            self.notes.add(_LISTS[kind], self.source, chunk.start, chunk.stop, "a list without entries")


def scan_w64(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a Sony Wave64 file holds besides sound."""
    head = source.at(start, 40)
    if head[24:] != b"wave" + _GUID_TAIL:
        notes.add("container", source, start, stop, "a Wave64 file of another form: not looked into")
        return
    end = start + number(head, 16, 8, "little")
    end = stop if end < start + 40 else min(end, stop)
    wave = _Wave(source, notes, W64)
    for chunk in walk(source, start + 40, end, W64, "w64", notes):
        chunk = chunk._replace(name=chunk.name[:4] if chunk.name[4:] == _GUID_TAIL else chunk.name)
        if chunk.name == b"fmt ":
            wave.format_chunk(chunk)
        elif chunk.name == b"data":
            add_claim(notes, source, chunk, "w64")
        elif chunk.name == b"fact":
            add_rest(notes, source, chunk, "w64.fact", 8)
        else:
            add_chunk(notes, source, chunk, "w64", CHUNKS)
    notes.add("w64.trailing", source, end, stop, "bytes after the end")
