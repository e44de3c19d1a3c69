"""The store: where released snippets lie, exactly once each, and nothing else."""

from deident.store.disk import Disk, Spool
from deident.store.linkage import Link, Linkage, day_text, today
from deident.store.local import FolderStore, is_store, new_spool
from deident.store.opening import folder_of, open_spool, open_store
from deident.store.proof import audit_linkage
from deident.store.rows import Entry, Labels, Released, Staged
from deident.store.sealed import Sealed
from deident.store.store import MANIFEST, Store

__all__ = [
    "MANIFEST",
    "Disk",
    "Entry",
    "FolderStore",
    "Labels",
    "Link",
    "Linkage",
    "Released",
    "Sealed",
    "Spool",
    "Staged",
    "Store",
    "audit_linkage",
    "day_text",
    "folder_of",
    "is_store",
    "new_spool",
    "open_spool",
    "open_store",
    "today",
]
