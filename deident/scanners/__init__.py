"""Everything in a recording besides its sound, found without decoding it.

Each container has its module; tags that sit before or behind any container have `tails`. Sizes in a file are
claims, never trusted; loops are counted; a file is read where it is needed, not whole."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

from deident.errors import RecordingError
from deident.scanners.aiff import scan_aiff
from deident.scanners.caf import scan_caf
from deident.scanners.finding import Bytes, Finding, Notes, ScanStop
from deident.scanners.flac import scan_flac
from deident.scanners.headers import scan_au, scan_sphere
from deident.scanners.matroska import scan_matroska
from deident.scanners.mp3 import first_frame, scan_mp3
from deident.scanners.mp4 import FIRST, scan_mp4
from deident.scanners.ogg import scan_ogg
from deident.scanners.reader import Reader
from deident.scanners.riff import scan_riff, scan_w64
from deident.scanners.tails import scan_end, scan_front

__all__ = ["SCANNERS", "Finding", "Scanner", "scan"]

Scanner = Callable[[Bytes, int, int, Notes], None]

# By the first bytes of a recording. MPEG frames and MP4 boxes have no such mark: `scanner_of` knows them.
SCANNERS: dict[bytes, Scanner] = {
    b"RIFF": scan_riff,
    b"RIFX": scan_riff,
    b"RF64": scan_riff,
    b"BW64": scan_riff,
    b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00": scan_w64,
    b"FORM": scan_aiff,
    b"caff": scan_caf,
    b".snd": scan_au,
    b"dns.": scan_au,
    b"NIST_1A": scan_sphere,
    b"fLaC": scan_flac,
    b"OggS": scan_ogg,
    b"\x1a\x45\xdf\xa3": scan_matroska,
}


def scan(source: str | os.PathLike[str] | bytes | BinaryIO) -> list[Finding]:
    """List what a recording holds besides sound.

    source : a path, the bytes of a recording, or a seekable binary file, whose position is left as it was.
    Returns findings in the order of their places in the file. A container that is not known is a finding,
    and so is what was left unscanned because there was too much of it.
    Raises `RecordingError` only for what cannot be read: no file, a folder, a pipe, a failing disk."""
    with _opened(source) as file:
        return sorted(_findings(Reader(file)), key=lambda finding: finding.where)


def _findings(reader: Reader) -> list[Finding]:
    notes = Notes(reader.size)
    if not reader.size:
        return [Finding("container", 0, 0, "an empty file")]
    try:
        stop = scan_end(reader, 0, reader.size, notes)
        start = scan_front(reader, 0, stop, notes)
        scanner = scanner_of(reader, start, stop)
        if scanner is not None:
            scanner(reader, start, stop, notes)
        else:
            notes.add("container", reader, start, stop, "a container that is not known: not looked into")
    except ScanStop as end:
        notes.findings.append(Finding("unscanned", 0, reader.size, f"not scanned to the end: {end.reason}"))
    return notes.findings


def scanner_of(source: Bytes, start: int, stop: int) -> Scanner | None:
    """The scanner for what begins at `start`, or None."""
    head = source.read(start, min(16, stop - start))
    for magic, scanner in SCANNERS.items():
        if head.startswith(magic):
            return scanner
    if head[4:8] in FIRST:
        return scan_mp4
    return scan_mp3 if first_frame(source, start, stop) is not None else None


@contextlib.contextmanager
def _opened(source: str | os.PathLike[str] | bytes | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        with open(_descriptor(source), "rb", buffering=0) as file:
            yield file
    else:
        try:
            position = source.tell()
        except (OSError, ValueError, AttributeError):
            raise RecordingError("expected a path, bytes or a seekable binary file", "unreadable") from None
        try:
            yield source
        finally:
            source.seek(position)


def _descriptor(path: str | os.PathLike[str]) -> int:
    """Of a regular file. Opening a pipe must not wait for its writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not a name"
        raise RecordingError(f"the recording cannot be opened: {reason}", "unreadable") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RecordingError("expected a regular file; got a folder, a pipe or a device", "unreadable")
    return descriptor
