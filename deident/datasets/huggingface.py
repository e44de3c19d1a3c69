"""Hugging Face datasets: Parquet that opens with an Audio column, and a function for `Dataset.map`.

https://huggingface.co/docs/datasets/audio_dataset"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deident.datasets.items import Item
from deident.datasets.package import package
from deident.errors import ExtraMissingError, SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.segmentation.turns import WHOLE, Turn

SHARD = 2_000  # snippets
ROWS = 100  # a row group: what a reader has in memory at a time


def write(items: Iterable[Item], out: Path, shard: int = SHARD) -> int:
    """data-00000.parquet and on, sorted by id: audio (bytes and path), id, seconds, and text, speaker and
    labels where any snippet has them. Raises `ExtraMissingError` without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExtraMissingError.of("interop", "Parquet") from None
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
    columns = {"id": "string", "seconds": "float64"}
    columns |= {
        name: "string" for name in ("text", "speaker") if any(getattr(i, name) is not None for i in items)
    }
    for name in sorted({name for item in items for name in item.labels} - {*columns, "audio"}):
        columns[name] = _type([item.labels[name] for item in items if name in item.labels])
    audio = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    fields = [("audio", audio), *((name, pyarrow.type_for_alias(kind)) for name, kind in columns.items())]
    features = {
        "audio": {"sampling_rate": items[0].rate if items else None, "_type": "Audio"},
        **{name: {"dtype": kind, "_type": "Value"} for name, kind in columns.items()},
    }
    return pyarrow.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _type(values: Sequence[object]) -> str:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    return "float64" if kinds and kinds <= {int, float} else "string"


def _row(item: Item, names: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {
        **item.labels,
        "audio": {"bytes": item.read(), "path": f"{item.id}.{item.suffix}"},
        "id": item.id,
        "seconds": item.seconds,
        "text": item.text,
        "speaker": item.speaker,
    }
    return {name: row.get(name) for name in names}


@dataclass(frozen=True)
class MapBatch:
    """For `dataset.map(MapBatch(), batched=True, remove_columns=dataset.column_names)`: rows of recordings to
    rows of snippets.

    The audio column becomes {"bytes", "path"}: cast it to `datasets.Audio()`. With "text" in the policy's
    carry, the column `text` goes with the snippets that hold all of it; with speakers to tell, the column
    `speaker` as a pseudonym. Other columns are left out: rows would say who belongs together by them.
    Raises `RecordingError` for a recording that cannot be used."""

    policy: Policy = field(default_factory=Policy)
    key: Key | None = None
    audio: str = "audio"

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        if self.audio not in batch:
            raise SettingError("expected a column with the audio; name it with audio=")
        nothing = [None] * len(batch[self.audio])
        columns = zip(
            batch[self.audio], batch.get("speaker", nothing), batch.get("text", nothing), strict=True
        )
        rows = [row for audio, speaker, text in columns for row in self._rows(audio, speaker, text)]
        rows.sort(key=lambda row: str(row[self.audio]["path"]))  # by names that tell nothing
        names = [self.audio, *(["text"] if "text" in self.policy.carry else [])]
        names += ["speaker"] if self.policy.tells_speakers else []
        return {name: [row[name] for row in rows] for name in names}

    def _rows(self, audio: Any, speaker: Any, text: str | None) -> Iterator[dict[str, Any]]:
        from deident.pipeline import deidentify

        who = None if speaker is None else str(speaker)
        turns = [Turn(WHOLE, text=text)] if text is not None else []
        for snippet in deidentify(_source(audio), self.policy, key=self.key, speaker=who, turns=turns):
            container = self.policy.container
            yield {
                self.audio: {"bytes": snippet.encode(container), "path": f"{snippet.name}.{container}"},
                "text": snippet.text,
                "speaker": self.key.pseudonym("speaker", who) if self.key and who is not None else None,
            }


def _source(value: Any) -> Any:
    """What `deidentify` reads, from an element of an Audio column, decoded or not."""
    if hasattr(value, "get_all_samples"):  # torchcodec's decoder
        samples = value.get_all_samples()
        return samples.data.numpy(), int(samples.sample_rate)
    if isinstance(value, Mapping) and value.get("array") is not None:
        return value["array"], int(value["sampling_rate"])
    if isinstance(value, Mapping) and value.get("bytes") is not None:
        return io.BytesIO(value["bytes"])
    if isinstance(value, Mapping) and value.get("path"):
        return value["path"]
    raise SettingError("expected the audio as datasets has it: array, bytes or path")
