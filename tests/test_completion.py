"""Completion, asked of the shells themselves where they are installed, and what help costs."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from deident.cli import COMMANDS, main, parser_of
from tests.test_layers import PACKAGE

HARNESS = f"""
deident() {{ {shlex.quote(sys.executable)} -m deident "$@"; }}
ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _deident; echo ${{COMPREPLY[*]}}; }}
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


EXPECTED = {
    "": {*(command for command in COMMANDS if " " not in command)},
    "r": {"run", "report", "review"},
    "run --sc": {"--scope"},
    "run --scope ''": {"snippet", "recording", "speaker"},
    "run call.wav --format f": {"flac"},
    "run --preset t": {"training"},
    "run --disguise v": {"vocoder"},
    "run --jobs --": set(),
    "run calls": set(),  # file names, which are the shell's own work
    "completion b": {"bash"},
    "review w": {"withdraw"},
    "review withdraw --re": {"--reviewer"},
    "unknown --": set(),
}


@pytest.mark.parametrize("typed", EXPECTED)
def test_words_fit(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(typed) or [""]
    assert main(["completion", "words", "--", *words]) == 0
    assert {line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()} == EXPECTED[typed]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_completed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "words", "--", *command.split(), "--"]) == 0
    found = [line.partition("\t") for line in capsys.readouterr().out.splitlines()]
    assert {name for name, _, _ in found} == options_of(command)
    assert all(meaning for _, _, meaning in found)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes(scripts: dict[str, str]) -> None:
    asked = ["r", "run --scope ''", "run calls", "review withdraw --re"]
    lines = "\n".join(f"ask deident {words}" for words in asked)
    result = subprocess.run(
        ["bash", "--norc", "-c", f"{scripts['bash']}{HARNESS}{lines}"],
        capture_output=True, text=True, check=True, cwd=PACKAGE.parent,
    )  # fmt: skip
    assert result.stderr == ""
    for words, line in zip(asked, result.stdout.splitlines(), strict=True):
        assert set(line.split()) == EXPECTED[words], words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_sound(shell: str, scripts: dict[str, str]) -> None:
    assert "deident completion words --" in scripts[shell]
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=scripts[shell], text=True, check=True)


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
