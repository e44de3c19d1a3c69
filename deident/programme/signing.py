"""Signed statements: JSON in one spelling, with the signature of the operator's Ed25519 key inside."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deident.errors import DeidentError, KeyMaterialError
from deident.keys import read_key_file
from deident.store import Disk

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC = ".pub"
SIGNATURE, SIGNER = "signature", "signed_by"
_LARGEST = 1 << 14  # bytes of a key file


class EvidenceError(DeidentError):
    """A statement is not what was signed, or the store is not what it says."""

    code = "evidence"


def make_signing_key(path: str | os.PathLike[str]) -> None:
    """Make an Ed25519 key: PKCS #8 in PEM with mode 0600, and its public half beside it, ending in .pub.

    Raises `KeyMaterialError` when either file is there, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    beside = Path(f"{os.fspath(path)}{PUBLIC}")
    if os.path.lexists(path) or os.path.lexists(beside):
        raise KeyMaterialError("that file exists, and may be a key in use: choose another name")
    if not Path(path).absolute().parent.is_dir():
        raise KeyMaterialError("the folder for the key does not exist; make it first")
    Disk().replace(Path(path), [private])
    Disk().replace(beside, [public])
    with contextlib.suppress(OSError):
        beside.chmod(0o644)


def read_signing_key(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    """Read the operator's key. Raises `KeyMaterialError` unless it is an Ed25519 key that only its owner can read."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_key_file(path, _LARGEST)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyMaterialError(
            "expected a signing key as `deident keygen --signing` makes it: Ed25519 in PEM, without a password"
        )
    return key


def read_public_key(path: str | os.PathLike[str]) -> Ed25519PublicKey:
    """Read the public half of the operator's key. Raises `KeyMaterialError` for anything else."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = read_key_file(path, _LARGEST, private=False)
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyMaterialError(
            "expected the public key of the signer, which `deident keygen --signing` puts beside it"
            f" (ending in {PUBLIC})"
        )
    return key


def signed(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """Write a statement as JSON in one spelling, with who signed it and the signature as its last two members.

    Parameters
    ----------
    statement : mapping
        Plain values.
    key : Ed25519PrivateKey

    Returns
    -------
    bytes
    """
    said = {**statement, SIGNER: key.public_key().public_bytes_raw().hex()}
    return _encoded({**said, SIGNATURE: key.sign(_encoded(said)).hex()})


def verified(data: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    """Read a statement that `signed` wrote, without its signature.

    Parameters
    ----------
    data : bytes
    key : Ed25519PublicKey
        The signer's, from a place that whoever wrote the statement could not change.

    Returns
    -------
    dict

    Raises
    ------
    EvidenceError
        When one bit of it is not as it was signed.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        said = json.loads(data)
        is_canonical = isinstance(said, dict) and _encoded(said) == data
        signature = bytes.fromhex(said.pop(SIGNATURE)) if is_canonical else b""
        key.verify(signature, _encoded(said))
    except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature):
        raise EvidenceError(
            "it is not as it was signed, or was signed by another key: ask the operator for it, and for the public key,"
            " again"
        ) from None
    if said.pop(SIGNER, None) != key.public_bytes_raw().hex():
        raise EvidenceError("it names another signer than the key that signed it")
    return dict(said)


def _encoded(statement: Mapping[str, Any]) -> bytes:
    """Encode a statement as the bytes that are signed."""
    return (json.dumps(statement, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()
