"""Parquet that Hugging Face's `datasets` opens with an Audio column.

https://huggingface.co/docs/datasets/audio_dataset
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from deident.datasets.items import Item
from deident.datasets.package import package
from deident.errors import require
from deident.segmentation.turns import TIMED

SHARD = 2_000  # snippets
WORD = {"start": "float64", "stop": "float64", "text": "string"}
ROWS = 100  # of a row group, which a reader holds in memory as a whole


def write(items: Iterable[Item], out: Path, shard: int = SHARD) -> int:
    """Write data-00000.parquet and on, sorted by id.

    Parameters
    ----------
    items, out
        As of `deident.datasets.Exporter`.
    shard : int, default 2000
        Snippets in a file. Its columns are audio (bytes and path), id, seconds, and text, words and phones (start,
        stop and text), speaker and labels where any snippet has them.

    Returns
    -------
    int
        The number of snippets.

    Raises
    ------
    ExtraMissingError
        If pyarrow is not installed.
    """
    require("interop", "Parquet", "pyarrow")
    import pyarrow
    import pyarrow.parquet

    found = sorted(items, key=lambda item: item.id)
    schema = _schema(pyarrow, found)
    with package(out) as folder:
        for first in range(0, len(found), shard):
            name = f"data-{first // shard:05}.parquet"
            with pyarrow.parquet.ParquetWriter(folder.path(name), schema) as writer:
                for at in range(first, min(first + shard, len(found)), ROWS):
                    rows = [_row(item, schema.names) for item in found[at : min(at + ROWS, first + shard)]]
                    writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            folder.finish(name)
    return len(found)


def _schema(pyarrow: Any, items: Sequence[Item]) -> Any:
    """Make the schema of the columns that the items have, with the features of Hugging Face's `datasets`."""
    columns = {"id": "string", "seconds": "float64"}
    columns |= {
        name: "string" for name in ("text", "speaker") if any(getattr(i, name) is not None for i in items)
    }
    for name in sorted({name for item in items for name in item.labels} - {*columns, "audio", *TIMED}):
        columns[name] = _type([item.labels[name] for item in items if name in item.labels])
    audio = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    fields = [("audio", audio), *((name, pyarrow.type_for_alias(kind)) for name, kind in columns.items())]
    features: dict[str, Any] = {
        "audio": {"sampling_rate": items[0].rate if items else None, "_type": "Audio"},
        **{name: {"dtype": kind, "_type": "Value"} for name, kind in columns.items()},
    }
    for column in TIMED:
        if any(getattr(item, column) for item in items):
            word = {name: pyarrow.type_for_alias(kind) for name, kind in WORD.items()}
            fields.append((column, pyarrow.list_(pyarrow.struct(list(word.items())))))
            features[column] = [{name: {"dtype": kind, "_type": "Value"} for name, kind in WORD.items()}]
    return pyarrow.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _type(values: Sequence[object]) -> str:
    """Choose the type of a column: that of all its values, else text."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    return "float64" if kinds and kinds <= {int, float} else "string"


def _row(item: Item, names: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {
        **item.labels,
        "audio": {"bytes": item.read(), "path": item.file},
        "id": item.id,
        "seconds": item.seconds,
        "text": item.text,
        "speaker": item.speaker,
        **{name: [dict(zip(WORD, word, strict=True)) for word in getattr(item, name)] for name in TIMED},
    }
    return {name: row.get(name) for name in names}
