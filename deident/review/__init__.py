"""Review by people: rounds of snippets, the copies to withdraw, and the labels that come back.

| module | holds |
|---|---|
| `rounds` | assign snippets to reviewers, write a round |
| `history` | remember what went to whom, list copies to withdraw |
| `labels` | read what reviewers wrote back to the snippets of a store |
"""

from deident.review.history import Copy, copies, forget, today_text
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
    "forget",
    "make_round",
    "subjects",
    "today_text",
]
