"""Table of containers, with what recognises, reads, scans and names each.

Adding one is a line of the table, and what that line names: a reader (FFmpeg's needs nothing but the demuxer's
name) and a scanner. The table lies below these, and names them as "module:name" for `pkgutil.resolve_name`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deident.containers import mpeg
from deident.containers.source import Source

Marks = tuple[tuple[int, bytes], ...]
FFMPEG = "deident.codec.avreader:AvReader"
_LAID_OUT = "deident.codec.readers:LaidOutReader"


@dataclass(frozen=True, slots=True)
class Container:
    """A file format.

    Parameters
    ----------
    name : str
        Short and unique.
    title : str
        As people call it.
    suffixes : str
        File suffixes without dots, separated by spaces: a folder's files with one of them are recordings.
    signatures : tuple of tuple of (int, bytes)
        Alternatives; each lists the bytes that must stand at offsets from the recording's first byte.
    recogniser : callable, optional
        `(source, start, stop) -> bool`, for a format without such bytes.
    reader : str
        "module:name" of a callable `(source, container) -> deident.codec.readers.Reader`.
    layout : str
        "module:name" of a callable `(source) -> deident.codec.layout.Layout`, for plain samples.
    libsndfile : str
        Formats that libsndfile may take it for; empty when FFmpeg's libraries alone read it.
    demuxer : str
        FFmpeg's name of it; empty when it is none of FFmpeg's.
    is_timed : bool
        It has time stamps, and its duration is written in it, not guessed from its size.
    head_bytes : int
        Bytes at its beginning that tell another recording glued to it, where its reader does not go on to that.
    scanner : str
        "module:name" of a `deident.scanners.Scanner`; empty when nobody looks into it.
    """

    name: str
    title: str
    suffixes: str
    signatures: tuple[Marks, ...] = ()
    recogniser: Callable[[Source, int, int], bool] | None = None
    reader: str = FFMPEG
    layout: str = ""
    libsndfile: str = ""
    demuxer: str = ""
    is_timed: bool = False
    head_bytes: int = 0
    scanner: str = ""

    @property
    def engine(self) -> str:
        """Library that decodes it: "sound" (ourselves and libsndfile) or "av"."""
        return "sound" if self.libsndfile else "av"

    def recognises(self, source: Source, start: int, stop: int) -> bool:
        """Tell whether the recording at `start` is one of these."""
        head = source.at(start, min(64, stop - start))
        if any(all(head[at : at + len(mark)] == mark for at, mark in marks) for marks in self.signatures):
            return True
        return self.recogniser is not None and self.recogniser(source, start, stop)


def _form(first: bytes, form: bytes) -> Marks:
    """Return the signature of a RIFF or IFF form."""
    return (0, first), (8, form)


_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_BOXES = (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip", b"styp", b"pnot", b"uuid")

_TABLE = (
    Container(
        "wav", "WAV", "wav wave bwf", (_form(b"RIFF", b"WAVE"), _form(b"RIFX", b"WAVE")),
        reader=_LAID_OUT, layout="deident.codec.layout:riff", libsndfile="WAV WAVEX", demuxer="wav",
        scanner="deident.scanners.riff:scan_riff",
    ),
    Container(
        "rf64", "RF64", "rf64 bw64", (_form(b"RF64", b"WAVE"), _form(b"BW64", b"WAVE")),
        reader=_LAID_OUT, layout="deident.codec.layout:riff", libsndfile="RF64", demuxer="wav",
        scanner="deident.scanners.riff:scan_riff",
    ),
    Container(
        "w64", "W64", "w64", (((0, _W64),),),
        reader=_LAID_OUT, layout="deident.codec.layout:w64", libsndfile="W64", demuxer="w64",
        scanner="deident.scanners.riff:scan_w64",
    ),
    Container(
        "aiff", "AIFF", "aif aiff aifc aiffc", (_form(b"FORM", b"AIFF"), _form(b"FORM", b"AIFC")),
        reader=_LAID_OUT, layout="deident.codec.layout:aiff", libsndfile="AIFF", demuxer="aiff",
        scanner="deident.scanners.aiff:scan_aiff",
    ),
    Container(
        "caf", "CAF", "caf", (((0, b"caff\x00\x01"),),),
        reader=_LAID_OUT, layout="deident.codec.layout:caf", libsndfile="CAF", demuxer="caf",
        scanner="deident.scanners.caf:scan_caf",
    ),
    Container(
        "au", "AU", "au snd", (((0, b".snd"),), ((0, b"dns."),), ((0, b".sd\0"),), ((0, b"\0ds."),)),
        reader=_LAID_OUT, layout="deident.codec.layout:au", libsndfile="AU", demuxer="au",
        scanner="deident.scanners.headers:scan_au",
    ),
    Container(
        "flac", "FLAC", "flac fla", (((0, b"fLaC"),),),
        reader="deident.codec.readers:FlacReader", libsndfile="FLAC", demuxer="flac", is_timed=True,
        scanner="deident.scanners.flac:scan_flac",
    ),
    Container(
        "ogg", "Ogg", "ogg oga opus spx ogx ogv", (((0, b"OggS\x00"),),),
        reader="deident.codec.readers:OggReader", libsndfile="OGG FLAC", demuxer="ogg", is_timed=True,
        scanner="deident.scanners.ogg:scan_ogg",
    ),
    Container(
        "sphere", "SPHERE", "sph nist", (((0, b"NIST_1A\n"),),),
        reader=_LAID_OUT, layout="deident.codec.layout:sphere", libsndfile="NIST", demuxer="nistsphere",
        scanner="deident.scanners.headers:scan_sphere",
    ),
    Container(
        "mp4", "MP4", "m4a mp4 m4b m4r m4v mov qt 3gp 3gpp 3g2 3gp2 f4a f4v", tuple(((4, box),) for box in _BOXES),
        demuxer="mov", is_timed=True, scanner="deident.scanners.mp4:scan_mp4",
    ),
    Container(
        "matroska", "WebM", "webm weba mka mkv", (((0, b"\x1a\x45\xdf\xa3"),),),
        demuxer="matroska", is_timed=True, scanner="deident.scanners.matroska:scan_matroska",
    ),
    Container("amr", "AMR", "amr awb", (((0, b"#!AMR"),),), demuxer="amr", head_bytes=5),
    Container("asf", "WMA", "wma asf wmv", (((0, _ASF),),), demuxer="asf", is_timed=True),
    Container("avi", "AVI", "avi", (_form(b"RIFF", b"AVI "),), demuxer="avi"),  # it has no time stamps
    Container("flv", "FLV", "flv", (((0, b"FLV\x01"),),), demuxer="flv", is_timed=True),
    Container("wavpack", "WavPack", "wv", (((0, b"wvpk"),),), demuxer="wv"),
    Container("ape", "APE", "ape", (((0, b"MAC "),),), demuxer="ape", head_bytes=16),
    Container("tta", "TTA", "tta", (((0, b"TTA1"),),), demuxer="tta", head_bytes=10),
    # Without magic bytes, and so behind all others:
    Container("aac", "AAC", "aac adts", recogniser=mpeg.is_adts, demuxer="aac"),
    Container(
        "mp3", "MP3", "mp3 mp2 mp1 mpga mpa mpeg", recogniser=mpeg.is_mpeg,
        reader="deident.codec.readers:Mp3Reader", libsndfile="MP3 MPEG",
        scanner="deident.scanners.mp3:scan_mp3",
    ),
)  # fmt: skip

CONTAINERS: dict[str, Container] = {container.name: container for container in _TABLE}
SUFFIXES = frozenset(suffix for container in _TABLE for suffix in container.suffixes.split())


def recognise(source: Source, start: int, stop: int) -> Container | None:
    """Find the container of a recording by its bytes.

    Parameters
    ----------
    source : Source
    start, stop : int
        Positions between which the recording lies: behind the tags in front (`tags.front_tags_end`).

    Returns
    -------
    Container or None
    """
    return next((each for each in CONTAINERS.values() if each.recognises(source, start, stop)), None)
