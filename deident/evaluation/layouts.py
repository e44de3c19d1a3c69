"""Corpora as they lie on disk: folders of speakers, tables, Kaldi, LibriSpeech and VCTK.

`read_corpus` picks the reader.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deident import codec
from deident.audio import RATE, Audio, Segment
from deident.datasets import kaldi
from deident.datasets.layouts import SEXES, corpus_files, recording_of
from deident.datasets.text_files import read_kaldi
from deident.errors import SettingError
from deident.evaluation.corpus import Corpus, Utterance

ROLES = {
    "": "", "train": "train", "dev_train": "train", "test_train": "train",
    "trial": "trial", "dev_trial": "trial", "test_trial": "trial", "test": "trial",
    "enrol": "enrol", "enroll": "enrol", "dev_enrol": "enrol", "test_enrol": "enrol",
}  # fmt: skip
AGES = frozenset({"adult", "child"})


@dataclass(frozen=True)
class File:
    """Reads one utterance from a file, or from a part of it in seconds; a stop of None is its end."""

    path: Path
    start: float = 0.0
    stop: float | None = None
    channel: int | None = None

    def __call__(self) -> Audio:
        audio = codec.read(self.path, channels="mix" if self.channel is None else self.channel)
        stop = len(audio) if self.stop is None else min(round(self.stop * RATE), len(audio))
        return audio[Segment(round(self.start * RATE), stop)]


def read_corpus(place: Path, only: str = "") -> Corpus:
    """The corpus in a folder, or listed in a .tsv or .csv table.

    Parameters
    ----------
    place : Path
        A table; a folder of speaker/utterance files; a Kaldi, LibriSpeech or VCTK folder.
    only : str, optional
        Keep utterances whose path (in the table or folder) starts with this.

    Returns
    -------
    Corpus

    Raises
    ------
    SettingError
        When nothing of the known layouts is there.
    """
    if not place.exists():
        raise SettingError("the originals are not there: expected a folder, or a .tsv or .csv table")
    if place.is_file():
        utterances = _table(place)
    else:
        utterances = _kaldi(place) if (place / "wav.scp").exists() else _files(place)
    kept = tuple(u for u in utterances if u.name.startswith(only))
    if not kept:
        raise SettingError(
            "no utterances found: expected speaker/utterance files, a table with columns path and speaker, "
            "a Kaldi data folder, or a LibriSpeech or VCTK folder"
        )
    return Corpus(only.strip("/") or (place.parent if place.is_file() else place).absolute().name, kept)


def _table(path: Path) -> Iterable[Utterance]:
    """Columns path and speaker; sex, group, transcript, role and recording where known. `oov` of 1 marks a
    transcript that no recogniser with a closed vocabulary can get right: not used for word error.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    if not rows or not {"path", "speaker"} <= rows[0].keys():
        raise SettingError(
            "expected a table with at least the columns path and speaker, tab or comma separated"
        )
    base = path.parent
    # A table within the folder that its paths begin with.
    if all(Path(row["path"]).parts[:1] == (base.name,) for row in rows) and not (base / base.name).exists():
        base = base.parent
    for row in rows:
        role = (row.get("role") or "").strip().lower()
        yield Utterance(
            name=row["path"],
            speaker=row["speaker"],
            load=File(base / row["path"]),
            sex=SEXES.get((row.get("sex") or "").strip().lower(), ""),
            transcript="" if row.get("oov") == "1" else (row.get("transcript") or ""),
            recording=row.get("recording") or recording_of(row["path"]),
            role=ROLES.get(role, ""),
            group=_group(row),
        )


def _group(row: Mapping[str, str | None]) -> str:
    """The column group, or a note that is an age group."""
    note = (row.get("note") or "").strip().lower()
    return (row.get("group") or "").strip().lower() or (note if note in AGES else "")


def _files(place: Path) -> Iterable[Utterance]:
    """LibriSpeech, VCTK, or speaker/utterance.*, as `deident run --corpus` reads them."""
    for file in corpus_files(place):
        yield Utterance(file.name, file.speaker, File(file.path), file.sex, file.text, file.recording)


def _kaldi(place: Path) -> Iterable[Utterance]:
    """A Kaldi data folder. Where VoicePrivacy's lists of enrolments and trials are (`enrolls`, `trials_f`,
    `trials_m` and the like), speakers in none of them are to train on.
    """
    folder = kaldi.read_folder(place)
    enrols = {name for path in place.glob("enrolls*") for name in read_kaldi(path)}
    lines = [line for path in place.glob("trials*") for line in path.read_text(encoding="utf-8").splitlines()]
    tried = {cells[1] for line in lines if len(cells := line.split()) > 1}
    listed = {u.speaker for u in folder.utterances if u.id in enrols or u.id in tried}
    for utterance in folder.utterances:
        name = utterance.id
        other = "train" if listed and utterance.speaker not in listed else ""
        yield Utterance(
            name,
            utterance.speaker,
            File(
                Path(folder.recordings[utterance.recording]),
                utterance.start,
                utterance.stop,
                utterance.channel,
            ),
            SEXES.get(utterance.gender, ""),
            utterance.text or "",
            recording_of(name) if utterance.recording == name else utterance.recording,
            "enrol" if name in enrols else "trial" if name in tried else other,
        )
