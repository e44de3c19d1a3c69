"""Places beyond the local file system, by fsspec: whatever has a URI with a scheme (s3://, gs://, memory://).

No error here tells a place: what the packages underneath say is replaced by the type of what they raised."""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from deident.errors import DeidentError, ExtraMissingError, SettingError, StoreError

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
PRIVATE = ".private"  # what is not released, in a store
FORMAT = f"{PRIVATE}/format.json"  # what only a store at a URI has
LEDGER = "ledger.sqlite"  # in the private part of a store in a folder
STORE_MARKS = (FORMAT, f"{PRIVATE}/{LEDGER}")
PART = ".part"
_COPY_BLOCK = 1 << 20
_READ_BLOCK = 8 << 20
# What changes when the bytes do, by the names that file systems give it, the surest first.
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
    return isinstance(path, str) and bool(_URI.match(path))


def local_path(path: str | os.PathLike[str]) -> str:
    """A recording's place as everything here spells it: of file:// the path, other URIs as they are."""
    text = os.fspath(path)
    if text.startswith("file://"):
        return unquote(urlsplit(text).path)
    return text


def location(path: str) -> str:
    """The full name of a place: a URI, or an absolute path."""
    path = local_path(path)
    return path if is_uri(path) else os.path.abspath(path)


@dataclass(frozen=True, repr=False)
class Found:
    """A file at a URI. size : bytes.   version : what changes when its bytes do, "" where nothing tells."""

    uri: str
    size: int
    version: str


def find(uri: str) -> list[Found]:
    """The file at a URI, or the files below a folder, sorted; links are passed over. Empty for neither."""
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


def look(uri: str) -> Found | None:
    """The file at a URI, if there is one and it can be looked at."""
    try:
        fs, root = _file_system(uri)
        return _found(uri, fs.info(root))
    except DeidentError:
        raise
    except Exception:
        return None


def _found(uri: str, info: Mapping[str, Any]) -> Found:
    version = next((str(info[name]) for name in _VERSIONS if info.get(name)), "")
    return Found(uri, int(info.get("size") or 0), version)


@contextlib.contextmanager
def opened(uri: str) -> Iterator[BinaryIO]:
    """The file at a URI, read front to back. Raises `FileNotFoundError`, and `OSError` for all else, both without
    the place."""
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
    """Turn whatever a file system raises into a `StoreError` that names no place."""
    try:
        yield
    except DeidentError:
        raise
    except FileNotFoundError:
        raise StoreError(f"{doing} failed: there is no such place") from None
    except Exception as error:
        raise StoreError(f"{doing} failed: {type(error).__name__}") from None


def _file_system(uri: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise ExtraMissingError.of("dask", "a place with a URI") from None
    scheme = uri.partition("://")[0].lower()
    try:
        # Others write there too: what was listed a minute ago is not what is there.
        fs, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ImportError:
        known = fsspec.registry.known_implementations.get(scheme, {})
        raise ExtraMissingError(
            f"{scheme}:// needs another package: {known.get('err', 'see fsspec')}"
        ) from None
    except ValueError:
        raise SettingError(f"expected a URI of a scheme that fsspec knows; got {scheme[:20]}://") from None
    except Exception as error:
        raise StoreError(f"{scheme}:// cannot be used: {type(error).__name__}") from None
    return fs, str(path)


class Folder:
    """Named bytes below a URI, as object stores have them: put whole, replaced whole, never renamed."""

    def __init__(self, uri: str) -> None:
        if not uri.partition("://")[2].strip("/"):
            raise SettingError("expected a place behind the scheme of the URI; there is none")
        self.uri = uri.rstrip("/")
        self._fs, root = _file_system(self.uri)
        self._root = root.rstrip("/")
        protocols = self._fs.protocol
        self._is_local = "file" in ((protocols,) if isinstance(protocols, str) else protocols)

    def prepare(self, *folders: str) -> None:
        """Where folders are real, make them, for their owner only."""
        if self._is_local:
            with plain_errors("making a folder of the store"):
                os.makedirs(os.path.dirname(self._root), exist_ok=True)
                for folder in ("", *folders):
                    path = self._at(folder).rstrip("/")
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(path, 0o700)
                    os.chmod(path, 0o700)

    def names(self, folder: str = "") -> list[str]:
        """Of everything directly in a folder."""
        with plain_errors("listing the store"):
            try:
                found = self._fs.ls(self._at(folder).rstrip("/"), detail=False)
            except FileNotFoundError:
                return []
        return [name for path in found if (name := path.rstrip("/").rpartition("/")[2])]

    def sizes(self) -> dict[str, int]:
        """Of everything directly in this folder, in bytes; 0 for folders."""
        with plain_errors("listing the store"):
            found = self._fs.ls(self._root, detail=True)
        return {info["name"].rstrip("/").rpartition("/")[2]: int(info.get("size") or 0) for info in found}

    def has(self, name: str) -> bool:
        with plain_errors("looking into the store"):
            return bool(self._fs.exists(self._at(name)))

    def get(self, name: str) -> bytes | None:
        with plain_errors("reading from the store"):
            try:
                return bytes(self._fs.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def get_all(self, names: Sequence[str]) -> list[bytes]:
        return self.get_ranges([(name, None, None) for name in names])

    def get_ranges(self, ranges: Sequence[tuple[str, int | None, int | None]]) -> list[bytes]:
        """The bytes of (name, start, stop), several at a time where the file system can do that."""
        with plain_errors("reading from the store"):
            names, starts, stops = zip(*ranges, strict=True) if ranges else ((), (), ())
            found = self._fs.cat_ranges(
                [self._at(name) for name in names], list(starts), list(stops), on_error="raise"
            )
        return [bytes(data) for data in found]

    def put(self, files: Mapping[str, bytes]) -> None:
        """Each whole or not at all; on a real file system with mode 0600 and the time 0."""
        with plain_errors("writing to the store"):
            if not self._is_local:
                self._fs.pipe({self._at(name): data for name, data in files.items()})
                return
            for name, data in files.items():
                self._put_local(name, io.BytesIO(data))

    def put_file(self, name: str, path: str) -> None:
        """The bytes of a local file."""
        with plain_errors("reading what is to be put"):
            file = open(path, "rb")  # noqa: SIM115
        with file:
            self.put_open_file(name, file)

    def put_open_file(self, name: str, file: IO[bytes]) -> None:
        """The bytes that an open file has left."""
        with plain_errors("writing to the store"):
            if self._is_local:
                self._put_local(name, file)
                return
            with self._fs.open(self._at(name), "wb") as there:
                shutil.copyfileobj(file, there, _COPY_BLOCK)

    def _put_local(self, name: str, file: IO[bytes]) -> None:
        beside = self._at(f"{PRIVATE}/{secrets.token_hex(16)}{PART}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(beside, flags, 0o600), "wb") as there:
            shutil.copyfileobj(file, there, _COPY_BLOCK)
            there.flush()
            os.utime(there.fileno(), ns=(0, 0))
            os.fsync(there.fileno())
        os.replace(beside, self._at(name))

    def remove_together(self, names: Sequence[str]) -> None:
        """In no order, many in one request where there is one for that."""
        if self._is_local:
            self.remove(names)
            return
        with plain_errors("removing from the store"):
            try:
                self._fs.rm([self._at(name) for name in names])
                return
            except FileNotFoundError:
                pass  # an earlier run removed some
        self.remove(names)

    def remove(self, names: Sequence[str]) -> None:
        """Those that are there, one after another."""
        with plain_errors("removing from the store"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"
