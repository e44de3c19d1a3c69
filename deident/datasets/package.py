"""A folder of files that is there whole or not at all, with neutral times and modes."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deident.errors import StoreError
from deident.store import Disk
from deident.store.disk import plain_errors

LONGEST = 90  # bytes of a name: with an ending, what a tar header holds
_OF_WINDOWS = re.compile(
    r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE
)  # devices there, with any ending


def is_safe(name: str) -> bool:
    """Tell a name that stays in its folder: letters, digits, dots, dashes and underscores, no dot at either end, and
    no device of Windows.
    """
    is_plain = re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{0,%d}[A-Za-z0-9_-]" % (LONGEST + 9), name)  # noqa: UP031  # braces
    return bool(is_plain) and not _OF_WINDOWS.match(name)


def escaped(name: str) -> str:
    """Make a safe name for a file of any name.

    Parameters
    ----------
    name : str
        A speaker or id, as a manifest has it.

    Returns
    -------
    str
        The name where it is safe, else its safe characters and a digest of the whole.

    Examples
    --------
    >>> from deident.datasets.package import escaped
    >>> escaped("anna-1"), escaped("../anna")
    ('anna-1', '_._anna-ec02c72411b3')
    """
    if is_safe(name) and len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    unsafe = r"[^A-Za-z0-9_-]" if _OF_WINDOWS.match(name) else r"^[.]|[^A-Za-z0-9._-]"
    return f"{re.sub(unsafe, '_', name)[: LONGEST - 13]}-{digest}"


class Package:
    """A folder being written, whose files have mode 0600 and time 0, like those of a store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk = Disk()

    def put(self, name: str, data: bytes) -> None:
        """Write a new file, in a folder below if the name has a slash."""
        path = self.path(name)
        if path.parent != self._folder:
            self._disk.make_folder(path.parent)
        self._disk.close(self._disk.written(path, [data]))

    def put_lines(self, name: str, lines: list[str]) -> None:
        """Write a new file of lines."""
        self.put(name, "".join(f"{line}\n" for line in lines).encode())

    def path(self, name: str) -> Path:
        """Return the path for a file that another library writes; `finish` it then."""
        if not all(is_safe(part) for part in name.split("/")):
            raise StoreError(
                "expected names of letters, digits, dots, dashes and underscores, without a dot in front; see `escaped`"
            )
        return self._folder / name

    def finish(self, name: str) -> None:
        """Set mode and time of a file that another library wrote."""
        with plain_errors("finishing a file"):
            os.chmod(self.path(name), 0o600)
            os.utime(self.path(name), ns=(0, 0))


@contextmanager
def package(out: Path) -> Iterator[Package]:
    """Make a folder at `out`: write it beside, and rename it when all is there.

    Parameters
    ----------
    out : Path
        Not there yet, or an empty folder.

    Yields
    ------
    Package

    Raises
    ------
    StoreError
        If something is at that place.
    """
    with plain_errors("making the data set's folder"):
        if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
            raise StoreError("there is something at the data set's place: expected a new or empty folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_name(f".{out.name}.{secrets.token_hex(8)}.part")
        Disk().make_folder(beside)
    try:
        yield Package(beside)
        with plain_errors("putting the data set in its place"):
            os.rename(beside, out)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
