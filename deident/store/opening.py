"""The store at a place, whatever kind of place it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from deident.errors import StoreError
from deident.keys import Key
from deident.store.disk import Spool
from deident.store.store import Store, new_spool
from deident.uris import is_uri

if TYPE_CHECKING:
    from deident.store.remote import Release, RemoteSpool, RemoteStore


def open_store(
    place: str | os.PathLike[str],
    *,
    key: Key | None = None,
    create: bool = True,
    spread: Release | None = None,
) -> Store | RemoteStore:
    """The store in a folder, or at a URI. spread : see `RemoteStore`. Raises as `Store` and `RemoteStore` do."""
    if isinstance(place, str) and is_uri(place):
        from deident.store.remote import RemoteStore

        return RemoteStore(place, key=key, create=create, spread=spread)
    return Store(place, key=key, create=create)


def open_spool(staging: str) -> Spool | RemoteSpool:
    """A new spool for a worker. staging : of the store, `str(store.staging)`."""
    if is_uri(staging):
        from deident.store.remote import RemoteSpool

        return RemoteSpool(staging)
    return new_spool(Path(staging))


def folder_of(place: str | os.PathLike[str]) -> Path:
    """The path of a store in a folder. Raises `StoreError` for a URI: what reads snippets one by one as files does
    not work on one."""
    if is_uri(str(place)):
        raise StoreError("this works on a store in a folder, not at a URI: copy the store to a folder first")
    return Path(place)
