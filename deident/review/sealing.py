"""Parts of a round, sealed to their reviewers: files of age (https://age-encryption.org/v1), by the package pyrage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NewType

from deident.errors import SettingError, require

Recipient = NewType("Recipient", str)


def recipients_in(lines: Iterable[str]) -> dict[str, Recipient]:
    """Read reviewers with their recipients, a name and an age public key a line.

    Parameters
    ----------
    lines : iterable of str

    Returns
    -------
    dict of str to Recipient

    Raises
    ------
    SettingError
        For a line that is something else, or a reviewer twice.
    ExtraMissingError
        Without the extra age.
    """
    found: dict[str, Recipient] = {}
    for number, line in enumerate(lines, 1):
        name, _, recipient = line.strip().partition(" ")
        if name in found:
            raise SettingError(f"line {number} of the recipients names a reviewer again")
        found[name] = Recipient(recipient.strip())
        try:
            _parsed(found[name])
        except ValueError:
            raise SettingError(
                f"line {number} of the recipients: expected a reviewer's name and their public key, age1..., as"
                " `age-keygen` shows it"
            ) from None
    return found


def check_recipients(
    recipients: Mapping[str, Recipient], reviewers: Iterable[str], *, is_required: bool
) -> None:
    """Raise `SettingError` where a part that should be sealed could not be."""
    if is_required and not recipients:
        raise SettingError(
            "the programme of this store seals rounds: give a public key of every reviewer with --recipients"
        )
    if recipients and (missing := sum(reviewer not in recipients for reviewer in reviewers)):
        raise SettingError(f"{missing} of the reviewers have no public key among the recipients")


def seal(data: bytes, recipient: Recipient) -> bytes:
    """Encrypt bytes to a recipient, as a file of age."""
    import pyrage

    return bytes(pyrage.encrypt(data, [_parsed(recipient)]))


def _parsed(recipient: Recipient) -> Any:
    require("age", "sealing rounds", "pyrage")
    import pyrage

    try:
        return pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError:
        raise ValueError from None
