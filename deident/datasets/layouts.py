"""Corpora by the layout of their folders: LibriSpeech, VCTK, Common Voice, Kaldi, and folders of speakers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deident.containers import SUFFIXES
from deident.datasets import kaldi
from deident.datasets.entries import Entry, chosen, gather
from deident.datasets.text_files import errors_at, read_kaldi, read_table, read_text
from deident.errors import SettingError
from deident.recording import Labels, Recording
from deident.segmentation.turns import WHOLE, Turn
from deident.uris import STORE_MARKS

COMMON_VOICE_TABLE = "validated.tsv"
FIRST_MICROPHONE, SECOND_MICROPHONE = "_mic1", "_mic2"
SEXES = {
    "f": "F", "female": "F", "female_feminine": "F", "m": "M", "male": "M", "male_masculine": "M",
}  # fmt: skip
COMMON_VOICE = (
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender",
    "accents", "accent", "variant", "locale", "segment",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class CorpusFile:
    """A file of a corpus, with one utterance.

    Attributes
    ----------
    name : str
        Its path below the corpus.
    path : Path
    speaker, recording : str
    sex : str
        "F", "M", or "" where it is not known.
    text : str
        "" where it is not known.
    labels : dict of str to str
        What else is known.
    """

    name: str
    path: Path
    speaker: str
    recording: str
    sex: str = ""
    text: str = ""
    labels: Labels = field(default_factory=dict)

    def __repr__(self) -> str:
        return "CorpusFile(hidden)"


def read(
    place: str | os.PathLike[str], carry: Sequence[str] = (), base: str | Path | None = None
) -> list[Recording]:
    """Read a corpus by the layout of its folder; see `deident.datasets.Reader`.

    place : of Common Voice, also a table such as train.tsv, beside its clips.   carry : "gender", and columns of
    Common Voice. Files with a text are turns.
    """
    folder = Path(place)
    if folder.suffix == ".tsv" and (folder.parent / "clips").is_dir():
        return gather(_entry(file, carry) for file in _common_voice(folder.parent, folder.name))
    if not folder.is_dir():
        raise SettingError("expected the folder of a corpus, or a table of Common Voice beside its clips")
    if (folder / "wav.scp").exists():
        return kaldi.read(folder, carry, base)
    files = list(corpus_files(folder))
    if not _has(folder, COMMON_VOICE_TABLE):  # whose table leaves clips out
        _check_all_read(folder, files)
    return gather(_entry(file, carry) for file in files)


def _check_all_read(folder: Path, files: Sequence[CorpusFile]) -> None:
    """Raise `SettingError` for sound files of a folder that are not where or named as its layout has them."""
    found = {file.path for file in files}
    second = {path.stem.replace(FIRST_MICROPHONE, SECOND_MICROPHONE) for path in found} - {
        p.stem for p in found
    }
    left = [path for path in _sounds(folder) if path not in found and path.stem not in second]
    if left:
        raise SettingError(
            f"{len(left)} sound files of the corpus do not lie where its layout has them, or have other names: name"
            " them by themselves, or take them out"
        )


def _entry(file: CorpusFile, carry: Sequence[str]) -> Entry:
    labels = chosen({**file.labels, "gender": file.sex.lower()}, carry)
    turn = Turn(WHOLE, file.speaker or None, file.text or None, labels=labels)
    return Entry("the corpus", "", os.fspath(file.path), turn)


def corpus_files(place: Path) -> Iterable[CorpusFile]:
    """Read the files of a LibriSpeech, VCTK or Common Voice folder, or of a folder of speakers, through links.

    Parameters
    ----------
    place : Path

    Returns
    -------
    iterable of CorpusFile
        Sorted; empty where the folder has none of these layouts.
    """
    reader = next((read for mark, read in LAYOUTS if _has(place, mark)), speaker_folders)
    return reader(place)


def _has(place: Path, mark: str) -> bool:
    """Tell whether a folder has a file of a pattern."""
    if mark.startswith("**/"):  # which `glob` seeks through no links
        return any(file.match(mark[3:]) for file in _files(place))
    return any(place.glob(mark))


def recording_of(path: str) -> str:
    """Drop the number at the end of a file's name: snippets of one recording are numbered."""
    return re.sub(r"[_-]?\d+$", "", Path(path).with_suffix("").as_posix())


def speaker_folders(place: Path) -> Iterable[CorpusFile]:
    """Read speaker/utterance.*, at any depth below the speaker."""
    for speaker in sorted(child for child in place.iterdir() if child.is_dir() and not _is_closed(child)):
        for path in _sounds(speaker):
            name = path.relative_to(place).as_posix()
            yield CorpusFile(name, path, speaker.name, recording_of(name))


def _sounds(folder: Path) -> list[Path]:
    """List the visible sound files of a folder."""
    found = (path for path in _files(folder) if path.suffix.lower()[1:] in SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def _files(folder: Path) -> Iterator[Path]:
    """Walk through a folder, and through links to folders, once through each."""
    entered: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _is_closed(Path(place, name)))
        yield from (Path(place, name) for name in files)


def _is_closed(folder: Path) -> bool:
    """Tell whether a folder is hidden, or a store, whose snippets have been disguised already."""
    return folder.name.startswith(".") or any((folder / mark).exists() for mark in STORE_MARKS)


def _sexes(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Read the sexes of speakers. Raises `SettingError` for a speaker with two."""
    sexes: dict[str, str] = {}
    for speaker, sex in rows:
        known = SEXES.get(sex.strip().lower(), "")
        if sexes.setdefault(speaker.strip(), known) != known:
            raise SettingError("a speaker of the corpus is listed twice, with another sex")
    return sexes


def _librispeech(place: Path) -> Iterable[CorpusFile]:
    """Read speaker/section/speaker-section-number.flac with *.trans.txt beside and SPEAKERS.TXT above."""
    above = (folder / "SPEAKERS.TXT" for folder in (place, *place.parents[:3]))
    table = next((path for path in above if path.exists()), None)
    rows = [line.split("|") for line in read_text(table).split("\n") if line[:1] != ";"] if table else []
    sexes = _sexes((row[0], row[1]) for row in rows if len(row) > 2)
    sounds = _sounds(place)
    beside: dict[Path, list[str]] = {}  # the names of the sound in each folder
    for path in sounds:
        beside.setdefault(path.parent, []).append(path.stem)
    texts: dict[Path, str] = {}  # by the path without its ending, for subsets may share names
    for file in _files(place):
        if file.name.endswith(".trans.txt"):
            own = read_kaldi(file)
            with errors_at("a transcript of the corpus"):
                kaldi.check_texts(own, beside.get(file.parent, ()))
                if any(texts.setdefault(file.parent / name, text) != text for name, text in own.items()):
                    raise SettingError("an utterance has another text in a second transcript beside it")
    for path in sounds:
        speaker, *rest = path.stem.split("-")
        if len(rest) == 2:
            name = path.relative_to(place).as_posix()
            text = texts.get(path.with_suffix(""), "").lower()
            yield CorpusFile(name, path, speaker, f"{speaker}-{rest[0]}", sexes.get(speaker, ""), text)


def _vctk(place: Path) -> Iterable[CorpusFile]:
    """Read wav48*/speaker/speaker_number*, txt/speaker/speaker_number.txt and speaker-info.txt. One microphone."""
    info = place / "speaker-info.txt"
    rows = [line.split() for line in read_text(info).split("\n")] if info.exists() else []
    sexes = _sexes(("p" + row[0].lstrip("p"), row[2]) for row in rows if len(row) > 2)
    for path in sorted(p for sound in place.glob("wav48*") for p in _sounds(sound)):
        speaker, stem = path.parent.name, re.sub(r"_mic\d$", "", path.stem)
        if path.stem.endswith(SECOND_MICROPHONE):
            continue
        text = place / "txt" / speaker / f"{stem}.txt"
        words = read_text(text).strip() if text.exists() else ""
        name = path.relative_to(place).as_posix()
        yield CorpusFile(name, path, speaker, stem, sexes.get(speaker, ""), words)


def _common_voice(place: Path, table: str = COMMON_VOICE_TABLE) -> Iterable[CorpusFile]:
    """Read clips/*.mp3, and their texts and speakers in a table."""
    for row in read_table(place / table, ("client_id", "path", "sentence"), COMMON_VOICE):
        values = row.values
        with errors_at(row.place):
            name = values["path"]
            if not name or "/" in name or name in ("..", "."):
                raise SettingError("expected in path the name of a file in clips")
            sex = SEXES.get(values.get("gender", "").lower(), "")
            path = place / "clips" / name
            yield CorpusFile(
                f"clips/{name}", path, values["client_id"], name, sex, values["sentence"], dict(values)
            )


LAYOUTS: tuple[tuple[str, Callable[[Path], Iterable[CorpusFile]]], ...] = (
    (COMMON_VOICE_TABLE, _common_voice),
    ("speaker-info.txt", _vctk),
    ("wav48*", _vctk),
    ("**/*.trans.txt", _librispeech),
)
