"""ID3 version 2.2, 2.3 and 2.4, wherever such a tag is. id3.org (1998, 1999, 2000)."""

from __future__ import annotations

from deident.containers.finding import Bytes, Notes
from deident.containers.source import number
from deident.containers.tags import ID3, id3_size, synchsafe
from deident.scanners.reader import Packet, is_zero

UNSYNC_BYTES = 1 << 18  # of a tag written with unsynchronisation are taken apart; a larger one is noted whole

# The names of the most common frames; version 2.2 has three letters.
FRAMES = {
    "TIT1": "grouping", "TIT2": "title", "TIT3": "subtitle", "TT1": "grouping", "TT2": "title",
    "TT3": "subtitle", "TPE1": "artist", "TPE2": "band", "TPE3": "conductor", "TPE4": "remixer",
    "TP1": "artist", "TP2": "band", "TALB": "album", "TAL": "album", "TCOM": "composer", "TCM": "composer",
    "TCON": "genre", "TCO": "genre", "TCOP": "copyright", "TCR": "copyright", "TDRC": "time of recording",
    "TYER": "year", "TYE": "year", "TDAT": "date", "TDA": "date", "TIME": "time", "TIM": "time",
    "TDEN": "time of encoding", "TDTG": "time of tagging", "TDRL": "time of release",
    "TDOR": "time of first release", "TRDA": "recording dates", "TORY": "year", "TENC": "encoded by",
    "TEN": "encoded by", "TSSE": "encoder's settings", "TSS": "encoder's settings", "TEXT": "lyricist",
    "TXT": "lyricist", "TOWN": "owner", "TRSN": "station", "TRSO": "station's owner", "TOFN": "file name",
    "TOF": "file name", "TLAN": "language", "TSRC": "recording code", "TRC": "recording code",
    "TRCK": "track", "TRK": "track", "TLEN": "length", "TBPM": "tempo", "TKEY": "key", "TMOO": "mood",
    "TXXX": "text by name", "TXX": "text by name", "WXXX": "link by name", "WXX": "link by name",
    "COMM": "comment", "COM": "comment", "USLT": "lyrics", "ULT": "lyrics", "SYLT": "timed lyrics",
    "SLT": "timed lyrics", "APIC": "picture", "PIC": "picture", "GEOB": "file inside the file",
    "GEO": "file inside", "PRIV": "data of a program", "UFID": "identifier", "UFI": "identifier",
    "MCDI": "identifier of a disc", "MCI": "identifier of a disc", "PCNT": "play counter",
    "CNT": "play counter", "POPM": "rating, with an address", "POP": "rating, with an address",
    "OWNE": "ownership", "COMR": "offer", "USER": "terms of use", "ENCR": "encryption", "GRID": "group",
    "SIGN": "signature", "LINK": "link to another file", "LNK": "link to another file",
    "IPLS": "people involved", "IPL": "people involved", "TIPL": "people involved", "TMCL": "musicians",
    "ETCO": "event times", "ETC": "event times", "CHAP": "chapter", "CTOC": "table of chapters",
    "RVAD": "volume", "RVA2": "volume", "EQUA": "equaliser", "EQU2": "equaliser", "RVRB": "reverberation",
    "SEEK": "another tag's place", "ASPI": "seek points", "MLLT": "seek table", "SYTC": "tempo",
    "POSS": "position", "RBUF": "buffer size", "AENC": "encryption", "CRA": "encryption", "PCST": "podcast",
    "WFED": "podcast", "TGID": "podcast",
}  # fmt: skip


def scan_id3(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note every frame of the ID3v2 tag at `start`, and what else lies before `stop`."""
    head = source.at(start, ID3)
    size = id3_size(head)
    if not size:
        notes.add("id3v2.broken", source, start, stop, "a chunk for an ID3 tag that holds something else")
        return
    version, flags = head[3], head[5]
    notes.add("id3v2", source, start, min(stop, start + ID3), "an ID3v2 tag")
    notes.add("id3v2.trailing", source, start + size, stop, "bytes after the tag")
    end = min(stop, start + ID3 + synchsafe(head, 6))
    body = start + ID3
    if flags & 0x80 and version < 4:
        if end - body > UNSYNC_BYTES:
            notes.add("id3v2.frames", source, body, end, "frames that were not taken apart")
            return
        source = _resynchronised(source, body, end)
        body, end = 0, source.size
    if version not in (2, 3, 4):
        notes.add("id3v2.unknown", source, body, end, "a tag of unknown version")
        return
    if flags & 0x40 and version >= 3:
        extended = source.at(body, 4)
        length = synchsafe(extended, 0) if version == 4 else number(extended, 0, 4) + 4
        after = min(end, body + max(4, length))
        notes.add("id3v2.extended", source, body, after, "an extended header")
        body = after
    _frames(source, body, end, version, notes)


def _resynchronised(source: Bytes, start: int, stop: int) -> Packet:
    """Leave out the zeros that were put after 0xFF."""
    parts, packet = source.at(start, stop - start).split(b"\xff\x00"), Packet(source)
    for part in parts[:-1]:
        packet.add(start, len(part) + 1)
        start += len(part) + 2
    packet.add(start, len(parts[-1]))
    return packet


def _frames(source: Bytes, start: int, stop: int, version: int, notes: Notes) -> None:
    """Note the frames of an ID3v2 tag."""
    letters = 3 if version == 2 else 4
    header = 6 if version == 2 else 10
    while stop - start >= header:
        head = source.at(start, header)
        name = head[:letters].decode("latin-1").rstrip()
        if not (name.isascii() and name.isalnum() and name.upper() == name):
            break
        end = start + header + _frame_size(source, head, start, stop, version)
        if end > stop:
            break
        kind = f"id3v2.{name.lower()}" if name in FRAMES else "id3v2.unknown"
        plain = {"T": "text of another kind", "W": "link"}.get(name[0], "a frame of unknown kind")
        notes.add(kind, source, start, end, FRAMES.get(name, plain))
        start = end
    if not is_zero(source, start, stop):
        notes.add("id3v2.padding", source, start, stop, "padding that is not zero")


def _frame_size(source: Bytes, head: bytes, start: int, stop: int, version: int) -> int:
    """Return the size of a frame's body by its version."""
    if version == 2:
        return number(head, 3, 3)
    plain = number(head, 4, 4)
    if version == 3:
        return plain
    safe = synchsafe(head, 4)
    # A well-known writer put plain sizes into version 2.4: believe whichever leads to a frame or to the end.
    after_safe, after_plain = start + 10 + safe, start + 10 + plain
    if (
        safe != plain
        and not _starts_frame(source, after_safe, stop)
        and _starts_frame(source, after_plain, stop)
    ):
        return plain
    return safe


def _starts_frame(source: Bytes, place: int, stop: int) -> bool:
    """Tell whether a frame, padding or the end of the tag is at a position."""
    name = source.at(place, 4)
    return place == stop or (place < stop and (name == bytes(4) or (name.isalnum() and name.isupper())))
