"""Erasures that are under way, in the memory of their store: what each is of, until its receipt is written.

A store remembers an erasure with the same commit that erases, so that neither is there without the other. What the
linkage must lose with it is remembered too, and is lost when the linkage is opened with the store again, after a stop.
It is sealed: copies in rounds are named in it, and it would tell what was erased together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deident.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from deident.store.store import Store

FACT = "erasures"
_NONCE_BYTES = 12  # AES-GCM's


@dataclass(frozen=True)
class Erasure:
    """An erasure that a store has committed.

    request : a keyed digest of what was asked for: a repeat of it goes on with this.   said : its receipt.
    is_due : a receipt was asked for.   links : digests of what the linkage must lose still.
    """

    request: str
    said: dict[str, Any]
    is_due: bool
    links: list[str] = field(default_factory=list)


def erasures(store: Store) -> list[Erasure]:
    """Return the erasures whose receipts are not written yet."""
    from cryptography.exceptions import InvalidTag

    text = store.recall(FACT)
    if not text:
        return []
    try:
        raw = bytes.fromhex(text)
        plain = _cipher(store).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], store.id.encode())
        return [Erasure(**row) for row in json.loads(plain)]
    except (InvalidTag, ValueError, TypeError):
        raise StoreError(
            "what the ledger remembers of erasures is damaged; nothing was changed: put the ledger's newest copy back"
        ) from None


def remember(store: Store, left: Iterable[Erasure]) -> None:
    """Remember these erasures instead of those that were there."""
    left = list(left)
    if left != erasures(store):
        store.remember(FACT, sealed(store, left))


def sealed(store: Store, left: Iterable[Erasure]) -> str:
    """Return erasures as the fact that holds them."""
    rows = [asdict(erasure) for erasure in left]
    if not rows:
        return ""
    nonce = os.urandom(_NONCE_BYTES)
    return (nonce + _cipher(store).encrypt(nonce, json.dumps(rows).encode(), store.id.encode())).hex()


def without_links(found: Iterable[Erasure]) -> list[Erasure]:
    """Return erasures once the linkage has lost what it must."""
    return [replace(erasure, links=[]) for erasure in found]


def _cipher(store: Store) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(store.key.derive("sealed", FACT))
