"""Tasks for Label Studio, as the review programme writes them, with the labels that were carried."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from deident.datasets.items import Item
from deident.datasets.package import package


def write(items: Iterable[Item], out: Path) -> int:
    """Write tasks.json, sorted by id, and the sound beside it, as `deident.datasets.Exporter`."""
    found = sorted(items, key=lambda item: item.id)
    facts = []
    for item in found:
        known: dict[str, object] = {**item.labels, "seconds": item.seconds}
        known |= {"text": item.text} if item.text is not None else {}
        known |= {"speaker": item.speaker} if item.speaker is not None else {}
        facts.append(known)
    with package(out) as folder:
        for item in found:
            folder.put(item.file, item.read())
        folder.put("tasks.json", tasks([item.file for item in found], facts).encode())
    return len(found)


def tasks(files: Sequence[str], facts: Sequence[dict[str, object]] = ()) -> str:
    """Make tasks for Label Studio's import; the files are to be served from local storage.

    Parameters
    ----------
    files : sequence of str
        Names of sound files, a task each.
    facts : sequence of dict, optional
        Further values that each task shows.

    Returns
    -------
    str
        A JSON list in the format of Label Studio.
    """
    known = facts or [{}] * len(files)
    rows = [
        {"data": {**fact, "audio": f"/data/local-files/?d={name}"}}
        for name, fact in zip(files, known, strict=True)
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def labelling_interface(qualities: Sequence[str], flags: Sequence[str]) -> str:
    """Make the labelling interface of a project: what is said, how clear it is, why it should not be there, a remark.

    Parameters
    ----------
    qualities, flags : sequence of str
        The choices.

    Returns
    -------
    str
        XML to paste into a project's settings. Its controls are called text, quality, flag and remark.
    """

    def choices(name: str, values: Sequence[str]) -> str:
        rows = "".join(f"    <Choice value={quoteattr(value)}/>\n" for value in values)
        return f'  <Choices name="{name}" toName="audio" choice="single">\n{rows}  </Choices>\n'

    def area(name: str, title: str) -> str:
        return f'  <TextArea name="{name}" toName="audio" placeholder="{title}" maxSubmissions="1" editable="true"/>\n'

    return (
        '<View>\n  <Audio name="audio" value="$audio"/>\n'
        + area("text", "what is said")
        + choices("quality", qualities)
        + '  <Header value="This should not be here"/>\n'
        + choices("flag", flags)
        + area("remark", "a remark")
        + "</View>\n"
    )
