"""Readers of text files: tables, RTTM, CTM, Kaldi's files and JSON. Every line is understood, or an error names it."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from deident.errors import SettingError

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NUMBER = re.compile(NUMBER, re.ASCII)
TO_THE_END = object()  # a stop of -1 in Kaldi's segments
_BLANK = " \t\r\n"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ALIASES = {
    f"{word}{unit}": name
    for name, words in (("start", ("start", "begin")), ("stop", ("stop", "end")))
    for word in words
    for unit in ("", "_time", "_seconds", "_sec", "_s", "time")
}
# Of words that stand for a time in the headers and keys of other tools. A column that is taken for nothing
# although it bounds a row would release the whole recording.
_TIME = re.compile(
    r"(start|begin|onset|offset|stop|finish|durat)\w*|beg|end|ends|endtime|dur|[tx](min|max)|t[01]|from|to"
    r"|len|length|pos|position|seconds",
    re.ASCII,
)
_IN_OR_OUT = re.compile(
    r"((tc|time|timecode|cue|clip)[\W_]*)?(in|out)([\W_]*(point|ms|msec|s|sec|time))?", re.ASCII
)
# Of values that may be times, in other forms than those that are read: 1,5 and 1.5s and 00:01.500.
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:[.,]\d+)?) ?(?:s|sec|ms)?", re.ASCII)


class Row(NamedTuple):
    """A row of a file.

    Attributes
    ----------
    place : str
        The kind of the file and the number of the row in it, for errors.
    values : dict
        By the name of the column, in lower case; of times by `ALIASES`.
    """

    place: str
    values: Mapping[str, Any]


@contextmanager
def errors_at(place: str) -> Iterator[None]:
    """Name the kind of a file and a line in it in the `SettingError`s raised within."""
    try:
        yield
    except SettingError as error:
        raise SettingError(f"{place}: {error}") from None


def read_text(path: str | os.PathLike[str], *, utf_16: bool = False) -> str:
    """Read a file of UTF-8 text, with or without a byte order mark, gzipped or not.

    utf_16 : with a byte order mark, that is read too.

    Raises
    ------
    SettingError
        If it cannot be read, or is in another encoding.
    """
    try:
        data = Path(path).read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        text = data.decode("utf-16" if utf_16 and data[:2] in UTF_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise SettingError("the file is not UTF-8 text") from None
    except (OSError, EOFError, ValueError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise SettingError(
            f"the file cannot be read: {getattr(error, 'strerror', None) or 'not whole'}"
        ) from None
    if "\0" in text:
        raise SettingError("the file is not UTF-8 text: it holds zero bytes")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def seconds_of(value: Any) -> float:
    """Read a time in seconds, as a number or as text with a decimal point. Raises `SettingError`."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip(_BLANK)):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise SettingError("expected times from 0 on, in seconds with a decimal point")
    return float(value)


def lines_of(
    path: str | os.PathLike[str], kind: str, comments: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Read the lines of a file that are not blank, each with its place for errors."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        text = line.strip(_BLANK)
        if text and not (comments and text.startswith(comments)):
            yield f"{kind}, line {number}", text


def read_table(
    path: str | os.PathLike[str], needed: Iterable[str], known: Iterable[str], labels: Sequence[str] = ()
) -> list[Row]:
    """Read the rows of a CSV or TSV with a header.

    Parameters
    ----------
    path : str or path-like
        A file whose name ends in .tsv, or whose header has a tab, is tab-separated with one row a line, and quotes
        only if some field shows it; any other is comma-separated, with quotes as RFC 4180 has them.
    needed, known : iterable of str
        Columns that must be there, and all that have a meaning, by `column_name`.
    labels : sequence of str, optional
        Further columns to read.

    Returns
    -------
    list of Row

    Raises
    ------
    SettingError
        If a column is missing, repeated, or named like a time without being known; if a row has more or fewer
        fields than the header, or its quotes are not closed.
    """
    text = read_text(path)
    return rows_of(text, needed, known, labels, tab=Path(path).suffix.lower() == ".tsv")


def rows_of(
    text: str, needed: Iterable[str], known: Iterable[str], labels: Sequence[str] = (), *, tab: bool = False
) -> list[Row]:
    """Read the rows of the text of a table, as `read_table` does. tab : it is a TSV, whatever its header says."""
    start = re.match(r"(?:[ \t]*\n)*", text).end()  # type: ignore[union-attr]  # the pattern matches nothing too
    first = text[:start].count("\n") + 1
    tab = tab or "\t" in text[start:].partition("\n")[0]
    rows = list(_tsv(text[start:], first) if tab else _csv(text[start:], first))
    if not rows:
        raise SettingError("the table is empty: expected a header")
    wanted = [column_name(name) for name in labels]
    header = [column_name(name) for name in rows[0][1]]
    header = [name if name in wanted else ALIASES.get(name, name) for name in header]
    with errors_at(f"the table, line {rows[0][0]}"):
        _check_header(header, set(needed), wanted)
        known = {*known, *wanted}
        check_names([a if a in known else b for a, b in zip(header, rows[0][1], strict=True)], known)
    found = []
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise SettingError(
                f"the table, line {line}: expected {len(header)} fields as in the header; got {len(cells)}: a text with"
                f" {'a tab' if tab else 'a comma'} in it {'has no place in a TSV' if tab else 'stands in quotes'}"
            )
        values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        found.append(Row(f"the table, line {line}", values))
    _check_pairs(header, found, known)
    return found


def _check_header(header: list[str], needed: set[str], wanted: list[str]) -> None:
    for number, name in enumerate(wanted, 1):
        if name not in header:
            raise SettingError(f"the header lacks the column of label {number}")
    missing = sorted(needed - set(header))
    if missing:
        hint = ": separate columns with commas or tabs" if len(header) == 1 else ""
        raise SettingError(f"the header lacks the column {', '.join(missing)}{hint}")
    if len(set(filter(None, header))) < len(list(filter(None, header))):
        raise SettingError("a column is named twice")


def column_name(name: str) -> str:
    """Give a name in one form: in lower case, without invisible characters, and without spaces of any kind around."""
    seen = (char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return "".join(seen).strip().lower()


def with_columns(row: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Name what is known in an object of JSON as in a table, times by `ALIASES`. Raises `SettingError` when something
    is there twice.
    """
    own = [ALIASES.get(column_name(name), column_name(name)) for name in row]
    found = dict(
        zip((a if a in known else b for a, b in zip(own, row, strict=True)), row.values(), strict=True)
    )
    if len(found) < len(row):
        raise SettingError("a time or name is there twice, under two names")
    return found


def check_names(names: Sequence[str], known: Iterable[str]) -> None:
    """Raise `SettingError` for a name that is not known and stands for a time: ignored, it would bound nothing."""
    for number, name in enumerate(names, 1):
        words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
        is_time = any(_TIME.fullmatch(word) for word in re.split(r"[\W_]+", words.lower()))
        if name not in known and (is_time or _IN_OR_OUT.fullmatch(words.strip().lower())):
            times = [time for time in ("start", "stop", "offset", "duration") if time in known]
            raise SettingError(
                f"field {number} is named like a time, and is none that is known"
                f" ({', '.join(times) or 'there is none'}): rename it, leave it out, or name it in --carry"
            )


def _check_pairs(header: list[str], rows: list[Row], known: set[str]) -> None:
    """Refuse two unknown columns that look like starts and stops in a table that has none."""
    if not rows or {"start", "stop"} & set(header):
        return
    unknown = [name for name in header if name not in known]
    numbers = [name for name in unknown if all(_clock(row.values[name]) is not None for row in rows)]
    for a, b in pairwise(numbers):
        values = [(_clock(row.values[a]) or 0.0, _clock(row.values[b]) or 0.0) for row in rows]
        is_count = all(row.values[name].isdecimal() for row in rows for name in (a, b))
        if all(0 <= x < y for x, y in values) and not is_count:
            raise SettingError(
                f"columns {header.index(a) + 1} and {header.index(b) + 1} of the table look like starts and stops: name"
                " them start and stop, leave them out, or name them in --carry"
            )


def _clock(value: str) -> float | None:
    """Read what may be a time in any usual form; None where it cannot be one."""
    found = _CLOCK.fullmatch(value.strip())
    if not found:
        return float(value) if _NUMBER.fullmatch(value) else None
    hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def _csv(text: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Read rows with the lines they begin at. A quote that is never closed would hide the rows up to the next one."""
    lines = text.split("\n")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    at, width = 0, 0  # lines read before this row; fields of the header
    try:
        for cells in reader:
            width = width or len(cells)
            if any(part.count(",") >= max(width - 1, 1) for part in lines[at + 1 : reader.line_num]):
                raise csv.Error
            if cells and (len(cells) > 1 or cells[0].strip(_BLANK)):
                yield at + line, cells
            at = reader.line_num
    except csv.Error:
        raise SettingError(
            f"the table, line {at + line}: the row cannot be read: a field that begins with a quote ends"
            " with one, quotes inside it are doubled, and no row stands inside it"
        ) from None


def _tsv(text: str, line: int) -> Iterator[tuple[int, list[str]]]:
    rows = [
        (number, row.split("\t")) for number, row in enumerate(text.split("\n"), line) if row.strip(" \r")
    ]
    if not any(_is_quoted(cell) for _, cells in rows for cell in cells) and not _has_quoted_header(rows):
        yield from rows
        return
    for number, cells in rows:
        for cell in cells:
            if cell.startswith('"') and not re.fullmatch(r'"(?:[^"]|"")*"', cell):
                raise SettingError(
                    f"the table, line {number}: the row cannot be read: other fields are quoted, and this"
                    " one begins with a quote and does not end with one"
                )
        yield number, [_unquoted(cell) for cell in cells]


def _is_quoted(cell: str) -> bool:
    """Tell a quoted field from one that is a quotation: only a field that holds a quote needs quoting."""
    return bool(re.fullmatch(r'"(?:[^"]|"")*""(?:[^"]|"")*"', cell))


def _has_quoted_header(rows: list[tuple[int, list[str]]]) -> bool:
    return bool(rows) and all(re.fullmatch(r'"[^"]*"', cell) for cell in rows[0][1])


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def read_rttm(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Read the SPEAKER lines of NIST's RTTM: SPEAKER recording channel start duration <NA> <NA> speaker <NA> <NA>.

    Names of recordings may hold spaces, for start and duration are known by the two <NA> behind them.
    """
    line = re.compile(
        rf"SPEAKER[ \t]+(?P<recording>.+?)[ \t]+(?P<channel>\S+)[ \t]+(?P<start>{NUMBER})[ \t]+(?P<duration>{NUMBER})"
        rf"[ \t]+<NA>[ \t]+<NA>[ \t]+(?P<speaker>\S+)(?:[ \t]+(?:<NA>|{NUMBER})){{0,2}}",
        re.ASCII,
    )
    for place, text in lines_of(path, "the RTTM", (";;", "#")):
        if text.startswith("SPKR-INFO"):
            continue
        found = line.fullmatch(text)
        if not found:
            raise SettingError(
                f"{place}: expected SPEAKER recording channel start duration <NA> <NA> speaker (times in seconds, at"
                " least eight fields)"
            )
        speaker = found["speaker"]
        yield Row(place, {**found.groupdict(), "speaker": None if speaker == "<NA>" else speaker})


def read_ctm(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Read NIST's CTM: recording channel start duration word, and confidence, type and speaker if they are there.

    Names may hold spaces, unless the fields could then be read in two ways.
    """
    more = r"(?:[ \t]+(?:lex|frag|fp|un-lex|for-lex|non-lex|misc|noscore)(?:[ \t]+\S+)?)?"
    fields = (
        rf"[ \t]+(?P<channel>\d{{1,2}}|[A-Z]|<NA>)[ \t]+(?P<start>{NUMBER})[ \t]+(?P<duration>{NUMBER})"
        rf"[ \t]+(?P<text>[^ \t]+)(?:[ \t]+(?:NA|<NA>|0(?:\.\d*)?|1(?:\.0*)?|\.\d+){more})?"
    )
    shortest, longest = (re.compile(rf"(?P<recording>{name}){fields}", re.ASCII) for name in (".+?", ".+"))
    for place, text in lines_of(path, "the CTM", (";;", "#")):
        found, other = shortest.fullmatch(text), longest.fullmatch(text)
        if not found or not other or found.groupdict() != other.groupdict():
            raise SettingError(
                f"{place}: expected recording channel start duration word (times in seconds, at least five fields)"
            )
        yield Row(place, found.groupdict())


def read_kaldi_segments(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Read Kaldi's segments: utterance recording start stop, and on all lines of a recording or none a channel."""
    widths: dict[str, int] = {}
    for place, text in lines_of(path, "Kaldi's segments"):
        fields = re.split(r"[ \t]+", text)
        is_right = len(fields) in (4, 5) and all(_NUMBER.fullmatch(time) for time in fields[2:4])
        if not is_right or not (len(fields) == 4 or re.fullmatch(r"\d{1,3}", fields[4], re.ASCII)):
            raise SettingError(
                f"{place}: expected utterance, recording, start and stop in seconds, and a channel if it has one"
            )
        if (width := widths.setdefault(fields[1], len(fields))) != len(fields):
            raise SettingError(f"{place}: expected {width} fields as on the line before of this recording")
        values = dict(zip(("id", "recording", "start", "stop", "channel"), fields, strict=False))
        yield Row(place, {**values, **({"stop": TO_THE_END} if float(fields[3]) == -1 else {})})


def read_kaldi(path: Path, *, single: bool = False) -> dict[str, str]:
    """Read a file of a Kaldi folder: a name, white space, the rest. Empty when the file is not there.

    single : the rest is one word.
    """
    found: dict[str, str] = {}
    if not path.exists():
        return found
    for place, text in lines_of(path, f"the Kaldi folder's {path.name}"):
        name, *rest = re.split(r"[ \t]+", text, maxsplit=1)
        if name in found:
            raise SettingError(f"{place}: this name is there twice")
        if single and (not rest or len(rest[0].split()) != 1):
            raise SettingError(f"{place}: expected two words")
        found[name] = "".join(rest)
    return found


def read_json(path: str | os.PathLike[str]) -> list[Any]:
    """Read the values of a JSON file: one, or several in a row or by lines. Raises `SettingError` for anything else."""
    text, decoder = read_text(path), json.JSONDecoder(object_pairs_hook=_unrepeated)
    values, at = [], 0
    try:
        while at < len(text) and (at := re.compile(r"[\s]*").match(text, at).end()) < len(text):  # type: ignore[union-attr]
            value, at = decoder.raw_decode(text, at)
            values.append(value)
    except (json.JSONDecodeError, RecursionError):
        raise SettingError(f"the JSON, line {text.count(chr(10), 0, at) + 1}: this is not JSON") from None
    return values


def read_json_lines(path: str | os.PathLike[str], kind: str) -> Iterator[Row]:
    """Read the objects in a file of JSON lines, gzipped or not. Raises `SettingError` for anything else."""
    for place, line in lines_of(path, kind):
        with errors_at(place):
            try:
                value = json.loads(line, object_pairs_hook=_unrepeated)
            except (json.JSONDecodeError, RecursionError):
                raise SettingError("this is not JSON: expected an object on every line") from None
            if not isinstance(value, dict):
                raise SettingError("expected a JSON object on every line")
        yield Row(place, value)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON, and refuse repeated names, of which all but the last would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SettingError("an object of the JSON has a name twice")
    return found
