"""TextGrids, the alignments of Praat and of most forced aligners: a reader of both text forms, and an exporter.

https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from deident.datasets.items import Item, one_line
from deident.datasets.package import escaped, package
from deident.datasets.text_files import NUMBER, Row, errors_at, read_text
from deident.errors import SettingError

SUFFIX = ".textgrid"
ROUNDING = 1e-3  # seconds
# Names of tiers by the option that they are for: those of the Montreal Forced Aligner, WebMAUS and their like.
TIERS = {
    "turns": ("text", "utterance", "utterances"),
    "words": ("words", "word", "ort-mau"),
    "phones": ("phones", "phone", "mau"),
}
# Only what stands free counts; the rest of the long form is for readers.
_TOKEN = re.compile(
    rf'(?:"(?P<text>(?:[^"]|"")*)"|(?P<flag><exists>|<absent>)|(?P<number>{NUMBER})|![^\n]*)(?!\S)'
    r'|(?P<stray>\S*"\S*)|\S+',
    re.ASCII,
)
_PLACE = "the TextGrid"
Timed = Sequence[tuple[float, float, str]]


def read_textgrids(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Read the labelled intervals of a TextGrid, or of all in a folder and below it.

    Parameters
    ----------
    path : str or path-like
        A text file in the long or short form, UTF-8 or UTF-16; or a folder.

    Yields
    ------
    Row
        With recording, start, stop, text and tier. The recording is the stem of the file, and in a folder where
        several have that stem, the path in the folder without its ending.

    Raises
    ------
    SettingError
        If a file is not understood, or the folder holds none.
    """
    folder = Path(path)
    if not folder.is_dir():
        yield from _intervals(folder, folder.stem)
        return
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() == SUFFIX and file.is_file())
    if not files:
        raise SettingError("expected TextGrids in the folder; there is none")
    stems = Counter(file.stem for file in files)
    for file in files:
        name = file.stem if stems[file.stem] == 1 else file.relative_to(folder).with_suffix("").as_posix()
        yield from _intervals(file, name)


def rows_of_tier(rows: list[Row], wanted: str) -> list[Row]:
    """Select the rows of the tiers that hold what is wanted, a name of `TIERS` or anything else: those of such a name,
    or those of the only tier if its name says nothing. Raises `SettingError` when there is none.
    """
    tiers = {row.values["tier"] for row in rows}
    kinds = {tier: _kind(tier) for tier in tiers}
    chosen = {tier for tier in tiers if kinds[tier] == wanted}
    if not chosen and len(tiers) == 1 and (not any(kinds.values()) or wanted not in TIERS):
        chosen = tiers
    if tiers and not chosen:
        names = " or ".join(TIERS.get(wanted, ()))
        raise SettingError(
            f"expected {f'an interval tier named {names}, or ' if names else ''}a single interval tier; got"
            f" {len(tiers)} of other names"
        )
    return [row for row in rows if row.values["tier"] in chosen]


def _kind(tier: str) -> str:
    """Return what a tier holds, by its name; in files of several speakers, theirs stand in front: "anna - words"."""
    name = tier.rpartition(" - ")[2].strip().lower()
    return next((kind for kind, names in TIERS.items() if name in names), "")


class _Tokens:
    """The texts, numbers and flags of a file, taken one by one."""

    def __init__(self, text: str) -> None:
        self._found = (match for match in _TOKEN.finditer(text) if match.lastgroup)

    def take(self, kind: str) -> str:
        """Return the next one. Raises `SettingError` unless it is of this kind; "end" is that of the file."""
        found = next(self._found, None)
        if (found.lastgroup if found else "end") != kind:
            raise SettingError("expected a TextGrid as Praat writes it, in its long or short text form")
        return found[kind] if found else ""

    def text(self) -> str:
        return self.take("text").replace('""', '"')

    def count(self) -> int:
        number = self.take("number")
        if not number.isdecimal():
            raise SettingError("expected a number of tiers or intervals")
        return int(number)


def _intervals(path: Path, recording: str) -> Iterator[Row]:
    text = read_text(path, utf_16=True)
    tokens = _Tokens(text)
    with errors_at(_PLACE):
        if not tokens.text().startswith("ooTextFile") or tokens.text() != "TextGrid":
            raise SettingError("expected a TextGrid that Praat saved as a text file or a short text file")
        if float(tokens.take("number")) != 0.0:
            raise SettingError("expected a TextGrid whose time begins at 0, as that of its recording does")
        tokens.take("number")
        tiers = tokens.count() if tokens.take("flag") == "<exists>" else 0
    for tier in range(1, tiers + 1):
        yield from _tier(tokens, f"{_PLACE}, tier {tier}", recording)
    with errors_at(f"{_PLACE}, behind its tiers"):
        tokens.take("end")


def _tier(tokens: _Tokens, place: str, recording: str) -> Iterator[Row]:
    with errors_at(place):
        kind, name = tokens.text(), tokens.text()
        if kind not in ("IntervalTier", "TextTier"):
            raise SettingError("expected a tier of intervals or points")
        at, end = float(tokens.take("number")), float(tokens.take("number"))
        count = tokens.count()
    for number in range(1, count + 1):
        where = f"{place}, interval {number}"
        with errors_at(where):
            start = tokens.take("number")
            stop = tokens.take("number") if kind == "IntervalTier" else start
            text = tokens.text().strip()
            if kind == "IntervalTier":
                at = _joined(at, float(start), float(stop), end)
        if text and kind == "IntervalTier":
            yield Row(
                where, {"recording": recording, "start": start, "stop": stop, "text": text, "tier": name}
            )


def _joined(at: float, start: float, stop: float, end: float) -> float:
    """Check that an interval goes on where its tier has come to, and return where it stops."""
    if start >= stop:
        raise SettingError("expected a start before its stop")
    if abs(start - at) > ROUNDING or stop > end + ROUNDING:
        raise SettingError("expected intervals that fill their tier, each from the end of the one before")
    return stop


def write(items: Iterable[Item], out: Path) -> int:
    """Write the sound of each snippet, and its TextGrid beside it under the same name, as Praat and aligners take them.

    Parameters
    ----------
    items, out
        As of `deident.datasets.Exporter`. Tiers are text, words and phones, as far as they are known; words that
        overlap lie on several tiers of one name. A snippet without any has no TextGrid.

    Returns
    -------
    int
        The number of snippets.
    """
    found = sorted(items, key=lambda item: item.id)
    with package(out) as folder:
        for item in found:
            folder.put(item.file, item.read())
            if tiers := list(_tiers_of(item)):
                folder.put(f"{escaped(item.id)}.TextGrid", _written(item.seconds, tiers).encode())
    return len(found)


def _tiers_of(item: Item) -> Iterator[tuple[str, Timed]]:
    if item.text is not None:
        yield "text", [(0.0, item.seconds, item.text)]
    for name, timed in (("words", item.words), ("phones", item.phones)):
        layers: list[list[tuple[float, float, str]]] = []
        for one in sorted(timed):
            free = next((layer for layer in layers if layer[-1][1] <= one[0]), None)
            if free is None:
                layers.append([one])
            else:
                free.append(one)
        yield from ((name, layer) for layer in layers)


def _written(seconds: float, tiers: Sequence[tuple[str, Timed]]) -> str:
    """Write a TextGrid in the long form. Intervals cover all of its time, so what no label covers is an empty one."""
    end = max([seconds, *(stop for _, timed in tiers for _, stop, _ in timed)])
    whole = [f"xmin = {0:.5f}", f"xmax = {end:.5f}"]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *whole, "tiers? <exists>"]
    lines += [f"size = {len(tiers)}", "item []:"]
    for number, (name, timed) in enumerate(tiers, 1):
        intervals = list(_without_gaps(timed, end))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += [f"        {line}" for line in (*whole, f"intervals: size = {len(intervals)}")]
        for place, (start, stop, text) in enumerate(intervals, 1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start:.5f}"]
            quoted = one_line(text).replace('"', '""')
            lines += [f"            xmax = {stop:.5f}", f'            text = "{quoted}"']
    return "".join(f"{line}\n" for line in lines)


def _without_gaps(timed: Timed, end: float) -> Iterator[tuple[float, float, str]]:
    at = 0.0
    for start, stop, text in timed:
        if start > at:
            yield at, start, ""
        yield start, stop, text
        at = stop
    if at < end:
        yield at, end, ""
