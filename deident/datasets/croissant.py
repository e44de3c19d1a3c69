"""Metadata of an export in Croissant, the format of MLCommons that data set searches read.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html, .../croissant-rai-spec.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deident import __version__
from deident.datasets.card import LIMITS
from deident.datasets.items import Item

NAME = "croissant.json"
SPECIFICATION = "http://mlcommons.org/croissant/1.0"
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in (
        "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
        "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references",
        "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
    )},
}  # fmt: skip
ENCODINGS = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".parquet": "application/x-parquet", ".tar": "application/x-tar",
    ".gz": "application/gzip", ".json": "application/json", ".md": "text/markdown",
}  # fmt: skip
_KINDS = {bool: "sc:Boolean", int: "sc:Integer", float: "sc:Float", str: "sc:Text"}


def metadata(items: Sequence[Item], folder: Path, summary: Mapping[str, Any] | None = None) -> str:
    """Describe the files of an export in a folder, as JSON-LD.

    items : of the export.   summary : of the run, as `deident run --json` prints it.
    """
    made = f"deident {__version__}" if summary is None else f"deident {summary['version']}"
    settings = (
        "" if summary is None else f", with the settings {json.dumps(summary['settings'], sort_keys=True)}"
    )
    files: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            files.setdefault(path.suffix, set()).add(path.name)
    known: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [SPECIFICATION, "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "de-identified-speech",
        "description": f"{len(items)} snippets of de-identified speech. {' '.join(LIMITS.split())}",
        "rai:dataPreprocessingProtocol": f"Cut into snippets and disguised by {made}{settings}.",
        "rai:personalSensitiveInformation": " ".join(LIMITS.split()),
        "distribution": [_files(suffix, names) for suffix, names in sorted(files.items())],
    }
    if ".parquet" in files:
        known["recordSet"] = [
            {"@type": "cr:RecordSet", "@id": "snippets", "name": "snippets", "field": list(_fields(items))}
        ]
    return json.dumps(known, indent=1, ensure_ascii=False) + "\n"


def _files(suffix: str, names: Iterable[str]) -> dict[str, Any]:
    name = f"files-{suffix.removeprefix('.') or 'plain'}"
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "encodingFormat": ENCODINGS.get(suffix, "text/plain"),
        "includes": f"*{suffix}" if suffix else sorted(names),
    }


def _fields(items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """Describe the columns of Parquet that are no lists."""
    columns: dict[str, str] = {"id": "sc:Text", "seconds": "sc:Float"}
    columns |= {
        n: "sc:Text" for n in ("text", "speaker") if any(getattr(item, n) is not None for item in items)
    }
    for name in sorted({name for item in items for name in item.labels} - columns.keys()):
        kinds = {type(item.labels[name]) for item in items if name in item.labels}
        columns[name] = _KINDS[kinds.pop()] if len(kinds) == 1 else "sc:Text"
    for name, kind in columns.items():
        yield _field(name, kind)
    yield _field("audio", "sc:AudioObject", transform={"jsonPath": "bytes"})


def _field(name: str, kind: str, **source: Any) -> dict[str, Any]:
    where = {"fileSet": {"@id": "files-parquet"}, "extract": {"column": name}, **source}
    return {"@type": "cr:Field", "@id": f"snippets/{name}", "name": name, "dataType": kind, "source": where}
