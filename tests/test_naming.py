"""Disguises by their names: methods with settings, presets, chains, and one's own."""

from __future__ import annotations

import pytest

from deident.disguise import DISGUISES, Chain
from deident.disguise.mcadams import McAdams
from deident.disguise.naming import disguise_named
from deident.errors import SettingError
from tests.methods import Sine


def test_methods_settings_presets_and_chains() -> None:
    assert disguise_named("mcadams") == McAdams()
    assert disguise_named("mcadams:alpha=0.6..0.8") == McAdams(alpha=(0.6, 0.8))
    assert disguise_named("training").scope == "speaker"
    assert isinstance(disguise_named("psola+mcadams"), Chain)
    assert repr(disguise_named("tests.methods:Sine")) == repr(Sine())
    assert all(disguise_named(name) == kind() for name, kind in DISGUISES.items())


@pytest.mark.parametrize("text", ["nothing", "mcadams:beta=1", "mcadams:alpha=x", "no.such.module:Name"])
def test_what_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        disguise_named(text)
