"""Everything in a recording besides its sound, found without decoding it.

`deident.containers` names the module of each container; tags before or behind any container have `tails`. Sizes
in a file are claims, never trusted; reads are counted; a file is read where it is needed, not whole.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from typing import BinaryIO

from deident.containers import recognise
from deident.containers.finding import Bytes, Finding, Notes, ScanStop
from deident.errors import RecordingError
from deident.scanners.reader import Reader
from deident.scanners.tails import scan_end, scan_front

__all__ = ["Finding", "Scanner", "scan"]

Scanner = Callable[[Bytes, int, int, Notes], None]  # a recording, from where to where it is scanned


def scan(source: str | os.PathLike[str] | bytes | BinaryIO) -> list[Finding]:
    """List what a recording holds besides sound.

    Parameters
    ----------
    source : path, bytes or seekable binary file
        A file's position is left as it was.

    Returns
    -------
    list of Finding
        In the order of their positions in the file. A container that is not known is a finding, and so is
        what was left unscanned because there was too much of it.

    Raises
    ------
    RecordingError
        Only for what cannot be read: no file, a folder, a pipe, a failing disk.

    Examples
    --------
    >>> import deident
    >>> [finding.kind for finding in deident.scan(b"RIFF\\0\\0\\0\\0WAVE" + b"note\\x02\\0\\0\\0hi")]
    ['riff.note']
    """
    with _opened(source) as file:
        return sorted(_findings(Reader(file)), key=lambda finding: finding.where)


def _findings(reader: Reader) -> list[Finding]:
    """Scan tags at both ends, then the container between them."""
    notes = Notes(reader.size)
    if not reader.size:
        return [Finding("container", 0, 0, "an empty file")]
    try:
        stop = scan_end(reader, 0, reader.size, notes)
        start = scan_front(reader, 0, stop, notes)
        container = recognise(reader, start, stop)
        if container and container.scanner:
            scanner: Scanner = resolve_name(container.scanner)
            scanner(reader, start, stop, notes)
        else:
            what = "a container that is not looked into" if container else "a container that is not known"
            notes.add("container", reader, start, stop, what)
    except ScanStop as end:
        notes.findings.append(Finding("unscanned", 0, reader.size, f"not scanned to the end: {end.reason}"))
    return notes.findings


@contextlib.contextmanager
def _opened(source: str | os.PathLike[str] | bytes | BinaryIO) -> Iterator[BinaryIO]:
    """Open whatever was given; a file object is put back to its position."""
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
    """Open a regular file. Opening a pipe must not wait for its writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not a name"
        raise RecordingError(f"the recording cannot be opened: {reason}", "unreadable") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RecordingError("expected a regular file; got a folder, a pipe or a device", "unreadable")
    return descriptor
