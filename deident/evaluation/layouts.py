"""Corpora as they lie on disk."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from deident.audio import Audio
from deident.codec import read
from deident.evaluation.trials import Corpus, Utterance

ROLES = {"dev_train": "train", "dev_trial": "trial", "train": "train", "trial": "trial", "enrol": "enrol"}


@dataclass(frozen=True)
class Load:
    path: Path

    def __call__(self) -> Audio:
        return read(self.path)


def read_table(path: Path, under: str = "") -> Corpus:
    rows = csv.DictReader(path.open(encoding="utf-8"), delimiter="\t" if path.suffix == ".tsv" else ",")
    utterances = [
        Utterance(
            row["path"], row["speaker"], Load(path.parent / row["path"]), row.get("sex", ""),
            row.get("transcript", ""), row["path"].rsplit("_", 1)[0], ROLES.get(row.get("role", ""), ""),
        )
        for row in rows
        if row["path"].startswith(under)
    ]  # fmt: skip
    return Corpus(path.parent.name, tuple(utterances))
