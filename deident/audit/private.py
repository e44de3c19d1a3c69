"""The private part of a store on disk: only files that a store has, of their form, for their owner alone."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable

Report = Callable[[str, str], None]
Look = Callable[[int, str, str], None]

MARKER, FORMAT = "store", "format.json"
HISTORY = "reviews"
_LOOKED_AT = 256  # bytes of a file; short ones must be whole in it
# Files by name, with the form of their first bytes. The numbers are those that SQLite's own files begin with.
_KEY = rb"[0-9a-f]{64}\n"
_SEALED = rb"deident \w+ \d+\n.*"
_OF_A_FOLDER = {
    MARKER: rb"deident store \d+\n",
    "lock": rb"",
    "key": _KEY,
    "ledger.sqlite": rb"SQLite format 3\0.*",
    "ledger.sqlite-wal": rb"|\x37\x7f\x06[\x82\x83].*",
    "ledger.sqlite-shm": rb"|(?:\x18\xe2\x2d\0|\0\x2d\xe2\x18|\0{4}).*",
    "ledger.sqlite-journal": rb"\0*|\xd9\xd5\x05\xf9\x20\xa1\x63\xd7.*",
    HISTORY: _SEALED,
    "reviews.part": rb"|" + _SEALED,
}
_OF_A_URI = {FORMAT: rb'\{"version": "\d+", "key": "[0-9a-f]+", "id": "[0-9a-f]{32}"\}', "key": _KEY}
_SET_ASIDE = re.compile(r"(?:reviews\.|log-)[0-9a-f]{8}\.unfinished")
_LEFT = re.compile(r"[0-9a-f]{32,64}\.(?:spool|part|wav\.part|flac\.part)|(?:manifest|key)\.part")
_BLOCK = re.compile(r"\d{8}-\d{12}")
_HEAD, _HEAD_BYTES = re.compile(r"head-\d"), 76
_LEASE, _TIME = re.compile(r"[0-9a-f]{32}"), rb"|\d+\.\d+"
_LONGEST_BLOCK = 64 << 20
_STRAY = "a stray file, folder or link is in the private folder; its name is not shown"
_OTHER = "a file in the private folder holds something else than its name says"


def audit_private(folder: int, owner: int, report: Report, attributes: Look) -> None:
    """Look at every file in an open private folder. report : gets (code, message) for each that breaks a promise.
    attributes : looks at those of an open file or folder, see `StoreAudit.attributes`.
    """
    attributes(folder, "the private folder", "")
    entries = sorted(os.listdir(folder))
    is_at_uri = FORMAT in entries
    files = _OF_A_URI if is_at_uri else _OF_A_FOLDER
    for name in entries:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        _audit_modes(info, owner, report)
        if stat.S_ISDIR(info.st_mode) and (name == "staging" or (is_at_uri and name in ("log", "lease"))):
            _audit_folder(folder, name, owner, report, attributes)
        elif stat.S_ISREG(info.st_mode) and (name in files or _SET_ASIDE.fullmatch(name)):
            start = _start_of(folder, name, report, attributes)
            is_right = re.fullmatch(files[name], start, re.S) if name in files else _is_block(start, info)
            if not is_right:
                report("private", _OTHER)
        else:
            report("private", _STRAY)


def _audit_folder(private: int, name: str, owner: int, report: Report, attributes: Look) -> None:
    """Report what does not belong in a folder of the private folder."""
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=private)
    try:
        attributes(folder, "a folder in the private folder", "")
        for entry in os.listdir(folder):
            info = os.stat(entry, dir_fd=folder, follow_symlinks=False)
            _audit_modes(info, owner, report)
            if not stat.S_ISREG(info.st_mode):
                report("private", _STRAY)
            elif name == "staging" and _LEFT.fullmatch(entry):
                report("unfinished", "a stopped run left a file: run again, or open the store, to finish it")
            elif name == "staging" or not _is_known(
                name, entry, _start_of(folder, entry, report, attributes), info
            ):
                report("private", _STRAY)
    finally:
        os.close(folder)


def _is_known(folder: str, name: str, start: bytes, info: os.stat_result) -> bool:
    """Tell whether a store at a URI has such a file in its folder of leases or its log."""
    if folder == "lease":
        return bool(_LEASE.fullmatch(name) and re.fullmatch(_TIME, start))
    if _HEAD.fullmatch(name):
        return info.st_size <= _HEAD_BYTES
    return bool(_BLOCK.fullmatch(name)) and _is_block(start, info)


def _is_block(start: bytes, info: os.stat_result) -> bool:
    """Tell whether a file can be a block of a sealed log, whole or cut: its length in 4 bytes, and no more than it."""
    return info.st_size < 4 or info.st_size - 4 <= int.from_bytes(start[:4], "big") <= _LONGEST_BLOCK


def _audit_modes(info: os.stat_result, owner: int, report: Report) -> None:
    """Report an entry that others than the store's owner could read, or that another user owns."""
    expected = 0o700 if stat.S_ISDIR(info.st_mode) else 0o600
    if not stat.S_ISLNK(info.st_mode) and stat.S_IMODE(info.st_mode) != expected:
        report(
            "mode",
            f"everything in the private folder must be for its owner alone; something has no mode {expected:04o}",
        )
    if info.st_uid != owner:
        report("owner", "something in the private folder belongs to another user than the store")


def _start_of(folder: int, name: str, report: Report, attributes: Look) -> bytes:
    """Read the first bytes of a file; report one that cannot be read."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        report("unreadable", f"a file in the private folder cannot be read: {error.strerror}")
        return b""
    try:
        attributes(descriptor, "a file in the private folder", "")
        return os.read(descriptor, _LOOKED_AT)
    finally:
        os.close(descriptor)
