"""Kaldi data folders, and those of the VoicePrivacy challenges."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from deident.interop.items import Item, one_line
from deident.interop.package import package
from deident.kaldi import read_folder
from deident.sources import Recording, chosen, gather, segment_from, segment_of
from deident.turns import Turn

LISTS = ("trials", "enrolls")  # VoicePrivacy's; they name utterances and speakers


def read(place: str | os.PathLike[str], carry: Sequence[str] = ()) -> list[Recording]:
    """The recordings of a data folder, with its utterances as turns.

    carry : "gender" for spk2gender's.   Raises `SettingError` as `deident.kaldi.read_folder`."""
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
    """A data folder: wav.scp, utt2spk, spk2utt, utt2dur, and text, spk2gender and ctm where they are known,
    each sorted in C order; the sound in `wav`. wav.scp has `out` as it was given, as Kaldi's tools expect.

    Without speakers every utterance is a speaker of its own.   lists : files to add as they are."""
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
    """VoicePrivacy's lists of trials and enrolments in a folder, to write beside kept ids."""
    return {path.name: path.read_bytes() for path in sorted(Path(place).iterdir()) if path.name in LISTS}
