"""Proof that what is released is as promised: of one snippet's bytes, and of a whole store.

It has its own parsers and shares no code with what writes the snippets.
"""

from __future__ import annotations

from deident.audit.place import audit_store
from deident.audit.promise import AUDIT_VERSION, AuditError, Inspected
from deident.audit.snippet import inspect
from deident.audit.store import AuditReport, Problem

__all__ = ["AUDIT_VERSION", "AuditError", "AuditReport", "Inspected", "Problem", "audit_store", "inspect"]
