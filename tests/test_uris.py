"""Recordings as bytes and at URIs: what is missing is named, and no location shows."""

import sys
from pathlib import Path

import pytest

import deident
from deident.errors import ExtraMissingError, SettingError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Packages that are not installed, whatever is."""

    def remove(*packages: str) -> None:
        for package in packages:
            for module in [name for name in sys.modules if name.partition(".")[0] == package]:
                monkeypatch.delitem(sys.modules, module)
            monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})
        for module in [name for name in sys.modules if name.startswith("fsspec.implementations.sftp")]:
            monkeypatch.delitem(sys.modules, module)

    return remove


@pytest.mark.parametrize(
    ("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs"), ("sftp", "paramiko")]
)
def test_a_scheme_without_its_package_names_it(without, scheme: str, package: str, tmp_path: Path) -> None:
    without(package)
    uses = (
        lambda uri: list(deident.deidentify(uri)),
        lambda uri: deident.read(uri),
        lambda uri: deident.run([uri], tmp_path / "s", jobs=1),
    )
    for use in uses:
        with pytest.raises(
            ExtraMissingError, match=f"^{scheme}:// needs another package: pip install {package}$"
        ):
            use(f"{scheme}://canary-bucket/call.wav")


def test_bytes_are_those_of_a_file(recordings: Path) -> None:
    content = (recordings / "reading.mp3").read_bytes()
    for data in (content, bytearray(content), memoryview(content)):
        assert deident.read(data) == deident.read(recordings / "reading.mp3")
    assert len(list(deident.deidentify(content))) > 3
    with pytest.raises(deident.RecordingError) as caught:
        deident.read(b"/etc/passwd")
    assert caught.value.code == "not-audio"


@pytest.mark.parametrize("uri", ["s3://canary/a.wav", "memory://canary/a.wav", "https://canary/a.wav"])
def test_a_path_that_was_a_uri_is_told_so(uri: str) -> None:
    for use in (deident.read, lambda path: next(deident.deidentify(path))):
        with pytest.raises(SettingError, match=r'as text.*deidentify\("s3://.*deident\.run') as caught:
            use(Path(uri))
        assert "canary" not in str(caught.value)
