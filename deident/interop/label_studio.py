"""Tasks for Label Studio, as the review programme writes them, with what was carried along."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deident.interop.items import Item
from deident.interop.package import package
from deident.review import label_studio


def write(items: Iterable[Item], out: Path) -> int:
    """tasks.json, sorted by id, and the sound beside it."""
    found = sorted(items, key=lambda item: item.id)
    facts = []
    for item in found:
        known: dict[str, object] = {**item.labels, "seconds": item.seconds}
        known |= {"text": item.text} if item.text is not None else {}
        known |= {"speaker": item.speaker} if item.speaker is not None else {}
        facts.append(known)
    with package(out) as folder:
        for item in found:
            folder.put(f"{item.id}.{item.suffix}", item.read())
        folder.put("tasks.json", label_studio([f"{item.id}.{item.suffix}" for item in found], facts).encode())
    return len(found)
