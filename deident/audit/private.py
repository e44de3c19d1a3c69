"""The private part of a store in a folder: only files that a store has, for their owner alone."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable

Report = Callable[[str, str], None]

MARKER, FORMAT = "store", "format.json"
HISTORY = "reviews"
# Files by name, with the bytes that they begin with; None for an empty one.
_FILES: dict[str, bytes | None] = {
    MARKER: b"deident store ",
    FORMAT: b"{",
    "lock": None,
    "key": b"",
    "ledger.sqlite": b"SQLite format 3\0",
    "ledger.sqlite-wal": b"",
    "ledger.sqlite-shm": b"",
    "ledger.sqlite-journal": b"",
    HISTORY: b"deident ",
}
_FOLDERS = {
    "staging": re.compile(""),
    "log": re.compile(r"head-\d|[\d-]+"),
    "lease": re.compile(r"[0-9a-f]{32}"),
}
_SET_ASIDE = re.compile(r"(?:reviews\.|log-)[0-9a-f]{8}\.unfinished|reviews\.part")
_LEFT = re.compile(r"[0-9a-f]{32,64}\.(?:spool|part|wav\.part|flac\.part)|(?:manifest|key)\.part")


def audit_private(
    folder: int, owner: int, report: Report, attributes: Callable[[int, str, str], None]
) -> None:
    """Look at every file in an open private folder. report : gets (code, message) for each that breaks a promise.
    attributes : looks at those of an open file, see `StoreAudit.attributes`.
    """
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        info = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode) and entry.name in _FOLDERS:
            _audit_folder(folder, entry.name, info, owner, report)
            continue
        _audit_modes(info, owner, report)
        if stat.S_ISREG(info.st_mode) and entry.name in _FILES:
            _audit_file(folder, entry.name, _FILES[entry.name], report, attributes)
        elif not (stat.S_ISREG(info.st_mode) and _SET_ASIDE.fullmatch(entry.name)):
            report("private", "a stray file, folder or link is in the private folder; its name is not shown")


def _audit_folder(private: int, name: str, info: os.stat_result, owner: int, report: Report) -> None:
    _audit_modes(info, owner, report)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=private)
    try:
        for entry in os.scandir(folder):
            inside = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
            _audit_modes(inside, owner, report)
            is_file = stat.S_ISREG(inside.st_mode)
            if is_file and name == "staging" and _LEFT.fullmatch(entry.name):
                report("unfinished", "a stopped run left a file: run again, or open the store, to finish it")
            elif not (is_file and name != "staging" and _FOLDERS[name].fullmatch(entry.name)):
                report(
                    "private", "a stray file, folder or link is in the private folder; its name is not shown"
                )
    finally:
        os.close(folder)


def _audit_modes(info: os.stat_result, owner: int, report: Report) -> None:
    expected = 0o700 if stat.S_ISDIR(info.st_mode) else 0o600
    if not stat.S_ISLNK(info.st_mode) and stat.S_IMODE(info.st_mode) != expected:
        report(
            "mode",
            f"everything in the private folder must be for its owner alone; something has no mode {expected:04o}",
        )
    if info.st_uid != owner:
        report("owner", "something in the private folder belongs to another user than the store")


def _audit_file(
    folder: int, name: str, start: bytes | None, report: Report, attributes: Callable[[int, str, str], None]
) -> None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        report("unreadable", f"a file in the private folder cannot be read: {error.strerror}")
        return
    try:
        attributes(descriptor, "a file in the private folder", "")
        found = os.read(descriptor, len(start or b"x"))
        if found != (start or b"") and start != b"":
            report("private", "a file in the private folder holds something else than its name says")
    finally:
        os.close(descriptor)
