"""Every backend of the store keeps the contract: a folder, fsspec's memory and local files, and S3."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store_contract import (
    CONTRACT,
    Backend,
    Contract,
    an_audit_sees_what_the_store_did_not_release,
)

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(params=["folder", "memory", "file", pytest.param("s3", marks=pytest.mark.slow)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    name = uuid.uuid4().hex
    if request.param == "folder":
        yield Backend(str(tmp_path / name), f"file://{tmp_path}/{name}")
        return
    roots = {"memory": "memory://", "file": f"file://{tmp_path}/"}
    uri = f"{roots[request.param]}{name}" if request.param in roots else f"s3://{_bucket(request)}/{name}"
    yield Backend(uri, uri)
    fsspec.filesystem("memory").store.clear()


def _bucket(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("s3"))


@pytest.mark.parametrize("holds", CONTRACT, ids=lambda holds: holds.__name__)
def test_every_store_keeps_the_contract(holds: Contract, backend: Backend) -> None:
    holds(backend)


def test_an_audit_sees_what_the_store_did_not_release(backend: Backend, tmp_path: Path) -> None:
    an_audit_sees_what_the_store_did_not_release(backend, tmp_path)
