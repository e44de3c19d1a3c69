"""Proof that a linkage and a store agree: what the one names the other holds, and the reverse."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from deident.audit import Problem
from deident.errors import StoreError
from deident.keys import Key
from deident.store.linkage import Linkage
from deident.store.opening import open_store
from deident.uris import is_uri, local_path


def audit_linkage(store: str | os.PathLike[str], linkage: str | os.PathLike[str], key: Key) -> list[Problem]:
    """The broken promises of a linkage: a private regular file outside the store, whose names are those of the
    store's snippets, each once. Raises `KeyMaterialError` for a wrong key, `StoreError` for a missing or damaged
    file and for a store that a run is at work in."""
    problems = []
    path = Path(linkage)
    try:
        info = path.lstat()
    except OSError:
        raise StoreError(
            "there is no linkage at that place: give the file that `run --linkage` wrote"
        ) from None
    if not stat.S_ISREG(info.st_mode) or stat.S_IMODE(info.st_mode) != 0o600 or info.st_nlink != 1:
        problems.append(Problem("linkage", "the linkage must be a regular file with mode 0600 and one link"))
    if is_inside(path, store):
        problems.append(
            Problem("linkage", "the linkage lies in the store: whoever gets the one has the other")
        )
    links = Linkage(path, key)
    with open_store(store, key=key, create=False) as opened:
        known = [name for link in links.links() if link.store == opened.id for name in link.names]
        held = set(opened.names())
    named = set(known)
    if len(known) != len(named):
        problems.append(
            Problem("linkage", f"{len(known) - len(named)} snippets are linked to more than one source")
        )
    problems += [Problem("linkage", "is linked to no source", name) for name in sorted(held - named)]
    problems += [
        Problem("linkage", "is in the linkage but not in the store", name) for name in sorted(named - held)
    ]
    return problems


def is_inside(path: str | os.PathLike[str], store: str | os.PathLike[str]) -> bool:
    """Tell whether a file would lie in a store, there or not."""
    folder = local_path(store)
    return not is_uri(folder) and Path(path).resolve().is_relative_to(Path(folder).resolve())
