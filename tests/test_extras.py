"""The modules of an extra are asked for before any work, whatever folders lie about."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from deident.errors import ExtraMissingError, require

MODULES = ("av", "pyarrow", "faster_whisper")


@pytest.mark.parametrize("module", MODULES)
def test_a_folder_of_its_name_is_no_package(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / module).mkdir()
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    with pytest.raises(ExtraMissingError, match=r"pip install 'deident\[some\]'"):
        require("some", "the work", module)


@pytest.mark.parametrize("module", MODULES)
def test_a_package_is_found_and_not_loaded(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    require("some", "the work", module)
