"""Review by people: rounds of snippets, the copies to withdraw, and the labels that come back.

| module | holds |
|---|---|
| `rounds` | assign snippets to reviewers, write a round |
| `history` | remember what went to whom, list copies to withdraw |
| `sealing` | encrypt a part of a round to its reviewer |
| `labels` | read what reviewers wrote back to the snippets of a store |
"""

from deident.review.history import Copy, copies, copies_over, forget, today_text
from deident.review.labels import Label, collect
from deident.review.rounds import (
    MARKER,
    UNFINISHED,
    Assignment,
    RoundSettings,
    assign,
    make_round,
    subjects,
)

__all__ = [
    "MARKER",
    "UNFINISHED",
    "Assignment",
    "Copy",
    "Label",
    "RoundSettings",
    "assign",
    "collect",
    "copies",
    "copies_over",
    "forget",
    "make_round",
    "subjects",
    "today_text",
]
