"""The store at a place, whatever kind of place it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from deident.errors import StoreError
from deident.keys import Key
from deident.store.disk import Spool
from deident.store.local import FolderStore, new_spool
from deident.store.store import Store
from deident.uris import is_uri

if TYPE_CHECKING:
    from deident.store.bucket import BucketSpool, Release


def open_store(
    place: str | os.PathLike[str],
    *,
    key: Key | None = None,
    create: bool = True,
    spread: Release | None = None,
) -> Store:
    """Open the store in a folder or at a URI.

    Parameters
    ----------
    place : path-like
        A folder, or a URI of a scheme that fsspec knows.
    key : Key, optional
        Seals what the store remembers of sources; without one it keeps a key of its own.
    create : bool
        Make the store where there is none.
    spread : Release, optional
        Releases the snippets of a store at a URI; see `deident.store.bucket.BucketStore`.

    Returns
    -------
    Store
        A context manager: leave it to give the store back.

    Raises
    ------
    StoreError
        When the place cannot be used, or another run is at work in it.
    KeyMaterialError
        For a wrong or missing key.
    """
    if isinstance(place, str) and is_uri(place):
        from deident.store.bucket import BucketStore

        return BucketStore(place, key=key, create=create, spread=spread)
    return FolderStore(place, key=key, create=create)


def open_spool(staging: str) -> Spool | BucketSpool:
    """Make a new spool for a worker. staging : of the store, `str(store.staging)`."""
    if is_uri(staging):
        from deident.store.bucket import BucketSpool

        return BucketSpool(staging)
    return new_spool(Path(staging))


def folder_of(place: str | os.PathLike[str]) -> Path:
    """Return the path of a store in a folder. Raises `StoreError` for a URI, for those who read snippets as files."""
    if is_uri(str(place)):
        raise StoreError("this works on a store in a folder, not at a URI: copy the store to a folder first")
    return Path(place)
