"""Kaldi data folders, and those of the VoicePrivacy challenges. No command in them is run.

https://kaldi-asr.org/doc/data_prep.html
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deident.datasets.entries import Entry, chosen, gather, located, segment_from, segment_of
from deident.datasets.items import Item, one_line
from deident.datasets.package import package
from deident.datasets.text_files import (
    TO_THE_END,
    Row,
    errors_at,
    read_kaldi,
    read_kaldi_segments,
)
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import Turn

FILE = "FILE"
PASSING = (  # commands of wav.scp that give the sound of a file as it is
    ("cat", FILE),
    ("flac", "-c", "-d", FILE),
    ("flac", "-c", "-d", "-s", FILE),
    ("sox", FILE, "-t", "wav", "-"),
)
FLAC_OPTIONS = {"--stdout": "-c", "--decode": "-d", "--silent": "-s", "--totally-silent": "-s"}
LISTS = ("trials", "enrolls")  # VoicePrivacy's; they name utterances and speakers


def read(
    place: str | os.PathLike[str], carry: Sequence[str] = (), base: str | Path | None = None
) -> list[Recording]:
    """Read the recordings of a data folder, with its utterances as turns; see `deident.datasets.Reader`.

    carry : "gender" for that of spk2gender.
    """
    folder = read_folder(Path(place), base)
    return gather(_entry(utterance, folder, carry) for utterance in folder.utterances)


def _entry(utterance: KaldiUtterance, folder: KaldiFolder, carry: Sequence[str]) -> Entry:
    start, stop = utterance.start, utterance.stop
    turn = Turn(
        segment_from(start) if stop is None else segment_of(start, stop),
        utterance.speaker,
        utterance.text or None,
        channel=utterance.channel,
        labels=chosen({"gender": utterance.gender}, carry),
        id=utterance.id,
    )
    return Entry("the Kaldi folder", utterance.recording, folder.recordings[utterance.recording], turn)


def write(items: Iterable[Item], out: Path, lists: dict[str, bytes] | None = None) -> int:
    """Write a data folder: wav.scp, utt2spk, spk2utt, utt2dur, and where known text, spk2gender, ctm and phones.ctm.

    Parameters
    ----------
    items, out
        As of `deident.datasets.Exporter`. Paths in wav.scp begin with `out` as it was given, as Kaldi's tools expect.
    lists : dict of str to bytes, optional
        Files to add as they are.

    Returns
    -------
    int
        The number of snippets, as utterances: sorted in C order, the sound in `wav`. Without speakers every
        utterance is a speaker of its own.
    """
    found = sorted(items, key=lambda item: item.id)
    speakers = {item.id: item.speaker or item.id for item in found}
    spoken: dict[str, list[str]] = {}
    for id, speaker in speakers.items():
        spoken.setdefault(speaker, []).append(id)
    genders = {
        speakers[item.id]: str(item.labels["gender"]).lower()[0]
        for item in found
        if str(item.labels.get("gender", "")).lower()[:1] in ("f", "m")
    }
    files = {
        "wav.scp": [f"{item.id} {out / 'wav' / item.file}" for item in found],
        "utt2spk": [f"{id} {speaker}" for id, speaker in speakers.items()],
        "spk2utt": [f"{speaker} {' '.join(ids)}" for speaker, ids in sorted(spoken.items())],
        "utt2dur": [f"{item.id} {item.seconds}" for item in found],
        "text": [f"{item.id} {one_line(item.text)}".rstrip() for item in found if item.text is not None],
        "spk2gender": [f"{speaker} {gender}" for speaker, gender in sorted(genders.items())],
        "ctm": [line for item in found for line in _ctm(item.id, item.words)],
        "phones.ctm": [line for item in found for line in _ctm(item.id, item.phones)],
    }
    with package(out) as folder:
        for item in found:
            folder.put(f"wav/{item.file}", item.read())
        for name, lines in files.items():
            if lines:
                folder.put_lines(name, lines)
        for name, data in (lists or {}).items():
            folder.put(name, data)
    return len(found)


def _ctm(id: str, words: Iterable[tuple[float, float, str]]) -> Iterator[str]:
    for start, stop, word in words:
        yield f"{id} 1 {start:.5f} {stop - start:.5f} {one_line(word)}"


def read_lists(place: str | os.PathLike[str]) -> dict[str, bytes]:
    """Read VoicePrivacy's lists of trials and enrolments from a folder, to write them beside kept ids."""
    return {path.name: path.read_bytes() for path in sorted(Path(place).iterdir()) if path.name in LISTS}


@dataclass(frozen=True, repr=False)
class KaldiUtterance:
    """An utterance of a Kaldi data folder.

    Attributes
    ----------
    id, recording, speaker, gender : str
        As the folder has them; a gender of "" where spk2gender does not say.
    start, stop : float
        Seconds in its recording; a stop of None is the recording's end.
    text : str or None
    channel : int or None
        Of its recording, from 0.
    """

    id: str
    recording: str
    start: float
    stop: float | None
    speaker: str
    text: str | None
    gender: str
    channel: int | None = None

    def __repr__(self) -> str:
        return "KaldiUtterance(hidden)"


@dataclass(frozen=True, repr=False)
class KaldiFolder:
    """A Kaldi data folder: its sound files by recording, and its utterances in the order of utt2spk."""

    place: Path
    recordings: dict[str, str]
    utterances: list[KaldiUtterance]

    def __repr__(self) -> str:
        return f"KaldiFolder({len(self.recordings)} recordings, {len(self.utterances)} utterances)"


def read_folder(place: Path, base: str | Path | None = None) -> KaldiFolder:
    """Read wav.scp and utt2spk, with segments, text and spk2gender where they are there.

    Parameters
    ----------
    place : Path
        The folder. Paths in wav.scp are relative to where the program runs, as Kaldi takes them, or else to the
        folder.
    base : str or Path, optional
        The folder or URI that paths in wav.scp are relative to instead.

    Returns
    -------
    KaldiFolder

    Raises
    ------
    SettingError
        If wav.scp holds commands other than those that only pass a file on, or a file is missing or not as Kaldi
        writes it.
    """
    sounds, speakers = read_kaldi(place / "wav.scp"), read_kaldi(place / "utt2spk", single=True)
    if not sounds or not all(sounds.values()) or not speakers:
        raise SettingError(
            "a Kaldi data folder has a wav.scp and a utt2spk with something in them, and on every line"
        )
    recordings = {name: located(_sound_of(value), base, Path(), place) for name, value in sounds.items()}
    return KaldiFolder(place, recordings, list(_utterances(place, recordings, speakers)))


def _sound_of(value: str) -> str:
    """Read the file that an entry of wav.scp names, also where a command passes it on as it is."""
    if "|" not in value:
        return value
    words = _words_of(value)
    for pattern in PASSING:
        if len(words) == len(pattern) and all(
            w == p for w, p in zip(words, pattern, strict=True) if p != FILE
        ):
            return words[pattern.index(FILE)]
    raise SettingError(
        "wav.scp holds commands (with a |), and they are never run: `cat FILE |`, `flac -c -d -s FILE |` and"
        " `sox FILE -t wav - |` are read as their files; of others write the sound files out first, and name them"
    )


def _words_of(value: str) -> list[str]:
    """Split a piped command of wav.scp into words; none unless it is a plain one without shell syntax."""
    command = value.removesuffix("|")
    if command == value or re.search(r"[|&;<>()$`\\*?\[\]{}!~#%=\n]", command):
        return []
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    if words[:1] == ["flac"]:  # its options come in any order
        options = [FLAC_OPTIONS.get(word, word) for word in words[1:] if word.startswith("-")]
        letters = {letter for option in options for letter in option[1:]}
        files = [word for word in words[1:] if not word.startswith("-")]
        if len(files) != 1 or not all(re.fullmatch("-[cds]+", option) for option in options):
            return []
        return ["flac", *(f"-{letter}" for letter in sorted(letters)), *files]
    return words if not any(word.startswith("-") for word in words[1:2]) else []


def _utterances(
    place: Path, recordings: dict[str, str], speakers: dict[str, str]
) -> Iterator[KaldiUtterance]:
    """Yield the utterances of a Kaldi data folder, checked against each other."""
    segments = {row.values["id"]: row.values for row in _segments(place)}
    texts, genders = read_kaldi(place / "text"), read_kaldi(place / "spk2gender", single=True)
    _check_speakers(place, speakers)
    with errors_at("the Kaldi folder's text"):
        check_texts(texts, speakers)
    for name, found in (("text", texts), ("segments", segments)):
        if not found.keys() <= speakers.keys():
            raise SettingError(f"the Kaldi folder's {name} has utterances that utt2spk does not have")
    for name, speaker in speakers.items():
        where: Mapping[str, Any] = (
            segments.get(name, {}) if segments else {"recording": name, "start": 0.0, "stop": TO_THE_END}
        )
        if not where:
            raise SettingError("an utterance of utt2spk is not in segments")
        if where["recording"] not in recordings:
            raise SettingError("an utterance is of a recording that wav.scp does not have")
        yield KaldiUtterance(
            name,
            str(where["recording"]),
            float(where["start"]),
            None if where["stop"] is TO_THE_END else float(where["stop"]),
            speaker,
            texts.get(name),
            genders.get(speaker, "").lower(),
            int(where["channel"]) if where.get("channel") else None,
        )


def _check_speakers(place: Path, speakers: Mapping[str, str]) -> None:
    """Raise `SettingError` where spk2utt, if it is there, gives an utterance to another speaker than utt2spk."""
    for speaker, ids in read_kaldi(place / "spk2utt").items():
        if any(speakers.get(id, speaker) != speaker for id in ids.split()):
            raise SettingError(
                "the Kaldi folder's utt2spk and spk2utt tell different speakers of an utterance"
            )


def check_texts(texts: Mapping[str, str], ids: Iterable[str]) -> None:
    """Raise `SettingError` where a text has its own id in it, or ends a word in that of an utterance without a text:
    the break before a line was lost.
    """
    lost = set(ids) - texts.keys()
    for name, text in texts.items():
        words = text.split()
        if name in words or (lost and any(word[at:] in lost for word in words for at in range(len(word)))):
            raise SettingError("an utterance's id is in a text: every utterance has a line of its own")


def _segments(place: Path) -> list[Row]:
    path = place / "segments"
    rows = list(read_kaldi_segments(path)) if path.exists() else []
    if len({row.values["id"] for row in rows}) < len(rows):
        raise SettingError("the Kaldi folder's segments have an utterance twice")
    return rows
