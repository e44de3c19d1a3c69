"""Completion, asked of the shells themselves where they are installed, and what help costs."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from deident.cli import COMMANDS, main, parser_of
from tests.test_layers import PACKAGE

HARNESS = """
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _deident; echo "${COMPREPLY[*]}"; }
"""


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    import contextlib
    import io

    made = {}
    for shell in ("bash", "zsh", "fish"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert main(["completion", shell]) == 0
        made[shell] = said.getvalue()
    return made


def options_of(command: str) -> set[str]:
    parser = parser_of([command])
    [commands] = (action for action in parser._actions if action.dest == "command")
    assert commands.choices is not None
    names = commands.choices[command]._option_string_actions  # type: ignore[call-overload]
    return {name for name in names if name.startswith("--")}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes(scripts: dict[str, str]) -> None:
    asked = {
        "deident ''": {*(c for c in COMMANDS if " " not in c), "--help", "--version"},
        "deident r": {"run", "review"},
        "deident run --sc": {"--scope"},
        "deident run --scope ''": {"snippet", "recording", "speaker"},
        "deident run call.wav --format f": {"flac"},
        "deident run --preset t": {"training"},
        "deident run --jobs --": set(),
        "deident run calls": set(),  # by file names, which is bash's own work
        "deident completion ''": {"bash", "zsh", "fish"},
        **{f"deident {command} --": options_of(command) for command in COMMANDS},
    }
    lines = "\n".join(f"ask {words}" for words in asked)
    result = subprocess.run(
        ["bash", "--norc", "-c", f"{scripts['bash']}{HARNESS}{lines}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stderr == ""
    for (words, expected), line in zip(asked.items(), result.stdout.splitlines(), strict=True):
        assert set(line.split()) == expected, words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_sound(shell: str, scripts: dict[str, str]) -> None:
    script = scripts[shell]
    for command in COMMANDS:
        assert command in script or all(f"from {word}" in script for word in command.split())
    assert "include-original" in script
    if shell == "fish":
        for line in script.splitlines():
            assert shlex.split(line)[:3] == ["complete", "-c", "deident"]
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_help_shows_examples_and_loads_nothing_heavy() -> None:
    """All of it answers at once: each module that a command's help needs is of the standard library or small."""
    code = """
import contextlib, io, json, sys
from deident.cli import COMMANDS, main
said = {}
for command in COMMANDS:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([command, "--help"])
    said[command] = out.getvalue()
print(json.dumps([said, sorted(sys.modules)]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    said, loaded = json.loads(result.stdout)
    for command, text in said.items():
        assert "\nexamples:\n" in text, command
        assert f"  deident {command}" in text.partition("examples:")[2] or f"(deident {command}" in text
    heavy = {"numpy", "scipy", "soundfile", "soxr", "cryptography", "multiprocessing", "asyncio", "sqlite3"}
    assert not heavy & set(loaded)
    assert len(loaded) < 220
