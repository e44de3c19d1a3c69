"""The audit of a store, whatever kind of place it lies in."""

from __future__ import annotations

import os

from deident.audit.remote import RemoteAudit
from deident.audit.store import AuditReport, StoreAudit
from deident.uris import is_uri, local_path

LONGEST_SECONDS = 600.0  # where no limit is given: nothing longer is called a snippet, or read into memory


def audit_store(
    path: str | os.PathLike[str], *, max_seconds: float | None = None, deep: bool = True
) -> AuditReport:
    """Prove a store: its files, their bytes, names, modes, times, links and attributes, and its manifest.

    Changes nothing, and raises nothing for anything that a store may hold: whatever cannot be read is a problem.

    Parameters
    ----------
    path : path-like
        A folder, or a URI, where there are only files, bytes, names and the manifest to prove.
    max_seconds : float, optional
        Every snippet must be shorter; without it, shorter than ten minutes.
    deep : bool
        Read every byte, prove each snippet and its checksum. Otherwise trust what the first bytes say.

    Returns
    -------
    AuditReport
    """
    longest = LONGEST_SECONDS if max_seconds is None else max_seconds
    place = local_path(path)
    if is_uri(place):
        return RemoteAudit(longest, deep).of_uri(place)
    return StoreAudit(longest, deep).of(place)
