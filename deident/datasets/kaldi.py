"""Kaldi data folders, and those of the VoicePrivacy challenges. Nothing that is named in them is run or opened.

https://kaldi-asr.org/doc/data_prep.html"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deident.datasets.items import Item, one_line
from deident.datasets.package import package
from deident.datasets.recordings import chosen, gather, segment_from, segment_of
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import Turn

LISTS = ("trials", "enrolls")  # VoicePrivacy's; they name utterances and speakers


def read(place: str | os.PathLike[str], carry: Sequence[str] = ()) -> list[Recording]:
    """Read the recordings of a data folder, with its utterances as turns; see `deident.datasets.Reader`.

    carry : "gender" for that of spk2gender."""
    folder = read_folder(Path(place))
    return gather(
        (
            utterance.recording,
            folder.recordings[utterance.recording],
            Turn(
                segment_from(utterance.start)
                if utterance.stop is None
                else segment_of(utterance.start, utterance.stop),
                utterance.speaker,
                utterance.text,
                channel=utterance.channel,
                labels=chosen({"gender": utterance.gender}, carry),
                id=utterance.id,
            ),
        )
        for utterance in folder.utterances
    )


def write(items: Iterable[Item], out: Path, lists: dict[str, bytes] | None = None) -> int:
    """Write a data folder: wav.scp, utt2spk, spk2utt, utt2dur, and text, spk2gender and ctm where they are known.

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
        utterance is a speaker of its own."""
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
        "wav.scp": [f"{item.id} {out / 'wav' / item.id}.{item.suffix}" for item in found],
        "utt2spk": [f"{id} {speaker}" for id, speaker in speakers.items()],
        "spk2utt": [f"{speaker} {' '.join(ids)}" for speaker, ids in sorted(spoken.items())],
        "utt2dur": [f"{item.id} {item.seconds}" for item in found],
        "text": [f"{item.id} {one_line(item.text)}".rstrip() for item in found if item.text is not None],
        "spk2gender": [f"{speaker} {gender}" for speaker, gender in sorted(genders.items())],
        "ctm": [
            f"{item.id} 1 {start:.3f} {stop - start:.3f} {one_line(word)}"
            for item in found
            for start, stop, word in item.words
        ],
    }
    with package(out) as folder:
        for item in found:
            folder.put(f"wav/{item.id}.{item.suffix}", item.read())
        for name, lines in files.items():
            if lines:
                folder.put_lines(name, lines)
        for name, data in (lists or {}).items():
            folder.put(name, data)
    return len(found)


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
        Of its recording, from 0."""

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


def read_folder(place: Path) -> KaldiFolder:
    """Read wav.scp and utt2spk, with segments, text and spk2gender where they are there.

    Parameters
    ----------
    place : Path
        The folder. Paths in wav.scp are relative to where the program runs, as Kaldi takes them, or else to the
        folder.

    Returns
    -------
    KaldiFolder

    Raises
    ------
    SettingError
        If wav.scp holds commands, or a file is missing or not as Kaldi writes it."""
    sounds = fields(place / "wav.scp")
    speakers = fields(place / "utt2spk")
    if any(value.endswith("|") or value.startswith("|") for value in sounds.values()):
        raise SettingError(
            "wav.scp holds commands (with a |), and they are never run: write the sound files out first, and"
            " name them in wav.scp"
        )
    if not sounds or not speakers:
        raise SettingError("a Kaldi data folder has a wav.scp and a utt2spk with something in them")
    recordings = {name: _located(place, value) for name, value in sounds.items()}
    return KaldiFolder(place, recordings, list(_utterances(place, recordings, speakers)))


def _utterances(
    place: Path, recordings: dict[str, str], speakers: dict[str, str]
) -> Iterator[KaldiUtterance]:
    segments, texts = fields(place / "segments"), fields(place / "text")
    genders = fields(place / "spk2gender")
    for name, speaker in speakers.items():
        recording, start, stop, channel = (
            _place(segments.get(name, "")) if segments else (name, 0.0, None, None)
        )
        if recording not in recordings:
            raise SettingError("an utterance is of a recording that wav.scp does not have")
        gender = genders.get(speaker, "").lower()
        yield KaldiUtterance(name, recording, start, stop, speaker, texts.get(name), gender, channel)


def _place(value: str) -> tuple[str, float, float | None, int | None]:
    """Read recording, start, stop and channel of a line of segments. A stop of -1 is the recording's end."""
    try:
        recording, start, stop, *more = value.split()
        channel = int(more[0]) if more else None
        if len(more) > 1 or (channel is not None and channel < 0):
            raise ValueError
        return recording, float(start), None if float(stop) == -1 else float(stop), channel
    except ValueError:
        raise SettingError(
            "an utterance of utt2spk is not in segments with its recording, start and stop in seconds, and a channel"
            " if it has one"
        ) from None


def _located(place: Path, value: str) -> str:
    return value if "://" in value or Path(value).exists() else os.fspath(place / value)


def fields(path: Path) -> dict[str, str]:
    """Read a Kaldi text file: a name, white space, the rest. Empty when the file is not there."""
    if not path.exists():
        return {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise SettingError(f"a file of the Kaldi folder cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingError("a file of the Kaldi folder is not UTF-8 text") from None
    rows = [line.split(maxsplit=1) for line in lines if line.strip()]
    found = {row[0]: row[1].strip() if len(row) > 1 else "" for row in rows}
    if len(found) < len(rows):
        raise SettingError("a file of the Kaldi folder has a name twice")
    return found
