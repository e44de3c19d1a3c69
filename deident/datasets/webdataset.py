"""WebDataset shards: tar files in which what belongs to a sample has one stem.

https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from deident.datasets.items import Item
from deident.datasets.package import escaped, package

SHARD = 5_000  # snippets; about a gigabyte


def write(items: Iterable[Item], out: Path, shard: int = SHARD) -> int:
    """Write shard-000000.tar and on, sorted by id, with owner and times 0 throughout.

    Parameters
    ----------
    items, out
        As of `deident.datasets.Exporter`.
    shard : int, default 5000
        Snippets in a file: each as .wav or .flac, with its text as .txt and the rest as .json.

    Returns
    -------
    int
        The number of snippets.
    """
    found = sorted(items, key=lambda item: item.id)
    with package(out) as folder:
        for first in range(0, len(found), shard):
            name = f"shard-{first // shard:06}.tar"
            with tarfile.open(folder.path(name), "w", format=tarfile.USTAR_FORMAT) as archive:
                for item in found[first : first + shard]:
                    for suffix, data in _parts(item):
                        info = tarfile.TarInfo(f"{escaped(item.id)}.{suffix}")
                        info.size, info.mode = len(data), 0o600
                        archive.addfile(info, io.BytesIO(data))
            folder.finish(name)
    return len(found)


def _parts(item: Item) -> Iterable[tuple[str, bytes]]:
    """Yield suffix and content of the files of a sample."""
    facts: dict[str, object] = {**item.labels, "seconds": item.seconds, "sample_rate": item.rate}
    if item.speaker is not None:
        facts["speaker"] = item.speaker
    facts |= {"words": item.words} if item.words else {}
    facts |= {"phones": item.phones} if item.phones else {}
    yield item.suffix, item.read()
    yield "json", json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()
    if item.text is not None:
        yield "txt", item.text.encode()
