"""Review by people: rounds of snippets, the copies to withdraw, and the labels that come back.

| module | holds |
|---|---|
| `rounds` | assign snippets to reviewers, write a round, list copies to withdraw |
| `labels` | read what reviewers wrote back to the snippets of a store |
"""

from deident.review.labels import Label, collect
from deident.review.rounds import (
    MARKER,
    UNFINISHED,
    Assignment,
    Copy,
    RoundSettings,
    assign,
    copies,
    forget,
    make_round,
    subjects,
    today_text,
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
