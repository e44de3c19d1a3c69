"""Files at URIs (s3://, gs://, memory://), by fsspec.

No error names a location: messages of the packages underneath are replaced by the type of their error.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from deident.errors import DeidentError, ExtraMissingError, SettingError, StoreError, require

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PATH_OF_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")
PRIVATE = ".private"  # folder of a store for everything that is not released
FORMAT = f"{PRIVATE}/format.json"  # marks a store at a URI
MARKER = f"{PRIVATE}/store"  # marks a store in a folder
LEDGER = "ledger.sqlite"  # in the private folder of a store on disk
STORE_MARKS = (FORMAT, MARKER, f"{PRIVATE}/{LEDGER}")  # the last, alone, of older ones
PART = ".part"
# What fsspec needs besides itself, where its own message does not say it in one word.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "sftp": "paramiko",
    "ssh": "paramiko",
}
_READ_BLOCK = 8 << 20
# Names that file systems give to a value that changes with the bytes, the most reliable first.
_VERSIONS = (
    "ETag",
    "etag",
    "generation",
    "md5",
    "mtime",
    "LastModified",
    "last_modified",
    "updated",
    "created",
)


def is_uri(path: object) -> bool:
    """Tell whether a path is text that begins with a scheme, such as "s3://"."""
    return isinstance(path, str) and bool(_URI.match(path))


def is_path_of_uri(path: object) -> bool:
    """Tell whether a path object was made of a URI, and has lost a slash of it."""
    return isinstance(path, os.PathLike) and bool(_PATH_OF_URI.match(os.fsdecode(path)))


def local_path(path: str | os.PathLike[str]) -> str:
    """Turn a file:// URI into its path; return other URIs and paths unchanged."""
    text = os.fspath(path)
    if text.startswith("file://"):
        return unquote(urlsplit(text).path)
    return text


def is_in_store(place: str | os.PathLike[str]) -> bool:
    """Tell whether a place lies in a store in a folder, where nothing but the store may write."""
    path = local_path(place)
    return not is_uri(path) and any(
        (folder / mark).exists() for folder in Path(path).resolve().parents for mark in STORE_MARKS
    )


def check_outside_stores(what: str, place: str | os.PathLike[str]) -> None:
    """Raise `SettingError` for a place to write that lies in a store."""
    if is_in_store(place):
        raise SettingError(
            f"{what} must lie outside of stores, which hold released snippets and nothing else"
        )


def location(path: str) -> str:
    """Return a URI unchanged, and any other path as an absolute one."""
    path = local_path(path)
    return path if is_uri(path) else os.path.abspath(path)


@dataclass(frozen=True, repr=False)
class UriFile:
    """A file at a URI.

    Attributes
    ----------
    uri : str
    size : int
        Bytes.
    version : str
        A value that changes with the bytes, "" where the file system has none.
    """

    uri: str
    size: int
    version: str


def find_files(uri: str) -> list[UriFile]:
    """List the file at a URI, or the files below a folder.

    Parameters
    ----------
    uri : str

    Returns
    -------
    list of UriFile
        Sorted by URI, without links; empty when there is neither a file nor a folder.

    Raises
    ------
    StoreError
        When listing fails.
    """
    fs, root = _file_system(uri)
    with plain_errors("looking for recordings"):
        if fs.isfile(root):
            return [_found(uri, fs.info(root))]
        below = fs.find(root, detail=True)
    head, chain, tail = uri.partition("::")
    above = head if head.endswith("://") else head.rstrip("/") + "/"  # "zip://::..." is all of an archive
    return [
        _found(f"{above}{name[len(root) :].lstrip('/')}{chain}{tail}", info)
        for name, info in sorted(below.items())
        if info["type"] == "file" and not info.get("islink")
    ]


def find_file(uri: str) -> UriFile | None:
    """Return the file at a URI, or None when there is none or it cannot be examined."""
    try:
        fs, root = _file_system(uri)
        return _found(uri, fs.info(root))
    except DeidentError:
        raise
    except Exception:
        return None


def _found(uri: str, info: Mapping[str, Any]) -> UriFile:
    version = next((str(info[name]) for name in _VERSIONS if info.get(name)), "")
    return UriFile(uri, int(info.get("size") or 0), version)


@contextlib.contextmanager
def open_uri(uri: str) -> Iterator[BinaryIO]:
    """Open the file at a URI for reading from start to end.

    Raises
    ------
    FileNotFoundError
        When there is none. The error does not contain the URI.
    OSError
        For any other failure, likewise.
    """
    try:
        fs, path = _file_system(uri)
        file = fs.open(path, "rb", block_size=_READ_BLOCK)
    except DeidentError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError from None
    except Exception:
        raise OSError from None
    with file:
        yield file


@contextlib.contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turn any error of a file system into a `StoreError` that contains no location."""
    try:
        yield
    except DeidentError:
        raise
    except FileNotFoundError:
        raise StoreError(f"{doing} failed: there is no such file or bucket") from None
    except Exception as error:
        raise StoreError(f"{doing} failed: {type(error).__name__}") from None


def _file_system(uri: str) -> tuple[Any, str]:
    """Open the file system of a URI; say which package is missing."""
    require("dask", "reading and writing at URIs", "fsspec")
    import fsspec

    scheme = uri.partition("://")[0].lower()
    try:
        # Others write there too: a listing of a minute ago may be wrong.
        fs, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        told = f"pip install {package}" if package else str(error)[:200]
        raise ExtraMissingError(f"{scheme}:// needs another package: {told}") from None
    except ValueError:
        raise SettingError(f"expected a URI of a scheme that fsspec knows; got {scheme[:20]}://") from None
    except Exception as error:
        raise StoreError(f"{scheme}:// cannot be used: {type(error).__name__}") from None
    return fs, str(path)


class UriFolder:
    """Named bytes below a URI, to be read.

    Parameters
    ----------
    uri : str
        A scheme, and a bucket or folder behind it.

    Raises
    ------
    SettingError
        When the URI has no location, or an unknown scheme.
    """

    def __init__(self, uri: str) -> None:
        if not uri.partition("://")[2].strip("/"):
            raise SettingError("expected a bucket or folder behind the scheme of the URI; there is none")
        self.uri = uri.rstrip("/")
        self._fs, root = _file_system(self.uri)
        self._root = root.rstrip("/")

    def names(self, folder: str = "") -> list[str]:
        """List the names of everything directly in a folder."""
        with plain_errors("listing the store"):
            try:
                found = self._fs.ls(self._at(folder).rstrip("/"), detail=False)
            except FileNotFoundError:
                return []
        return [name for path in found if (name := path.rstrip("/").rpartition("/")[2])]

    def sizes(self) -> dict[str, int]:
        """Map the names of everything directly below the URI to sizes in bytes, 0 for folders."""
        with plain_errors("listing the store"):
            found = self._fs.ls(self._root, detail=True)
        return {info["name"].rstrip("/").rpartition("/")[2]: int(info.get("size") or 0) for info in found}

    def has(self, name: str) -> bool:
        """Tell whether there are bytes under a name."""
        with plain_errors("reading the store"):
            return bool(self._fs.exists(self._at(name)))

    def get(self, name: str) -> bytes | None:
        """Read the bytes under a name, None when there are none."""
        with plain_errors("reading from the store"):
            try:
                return bytes(self._fs.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def get_all(self, names: Sequence[str]) -> list[bytes]:
        """Read the bytes under several names."""
        return self.get_ranges([(name, None, None) for name in names])

    def get_ranges(self, ranges: Sequence[tuple[str, int | None, int | None]]) -> list[bytes]:
        """Read byte ranges (name, start, stop), several at a time where the file system can."""
        with plain_errors("reading from the store"):
            names, starts, stops = zip(*ranges, strict=True) if ranges else ((), (), ())
            found = self._fs.cat_ranges(
                [self._at(name) for name in names], list(starts), list(stops), on_error="raise"
            )
        return [bytes(data) for data in found]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"
