"""`deident completion`: shell completion of commands and options, made from the parsers."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

EPILOG = """\
examples:
  source <(deident completion bash)                                        in this bash
  deident completion bash > ~/.local/share/bash-completion/completions/deident
  deident completion zsh > "${fpath[1]}/_deident"
  deident completion fish > ~/.config/fish/completions/deident.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=sorted(SHELLS))


def run(args: argparse.Namespace) -> int:
    sys.stdout.write(SHELLS[args.shell](list(_commands())))
    return 0


@dataclass(frozen=True)
class _Option:
    names: tuple[str, ...]
    help: str
    takes_value: bool
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Command:
    name: str
    help: str
    options: tuple[_Option, ...]
    operands: tuple[str, ...]  # words that may stand without an option; none: files


def _commands() -> Iterator[_Command]:
    from deident.cli import COMMANDS, parser_of

    parser = parser_of(COMMANDS)
    [commands] = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        options = tuple(_option(action) for action in command._actions if action.option_strings)
        operands = [
            str(c) for action in command._actions if not action.option_strings for c in action.choices or ()
        ]
        yield _Command(name, COMMANDS[name][1], options, tuple(operands))


def _option(action: argparse.Action) -> _Option:
    names = tuple(action.option_strings)
    values = tuple(str(choice) for choice in action.choices or _known(names))
    text = (action.help or "").replace("%%", "%")
    return _Option(names, text, action.nargs != 0, values)


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of options whose parsers cannot list them without loading numpy."""
    from deident.datasets import EXPORTERS
    from deident.disguise import DISGUISES
    from deident.disguise.presets import PRESETS

    methods, presets = tuple(DISGUISES), tuple(PRESETS)
    known = {"--disguise": presets + methods, "--preset": presets, "--to": tuple(EXPORTERS)}
    return next((values for name, values in known.items() if name in names), ())


def _bash(commands: list[_Command]) -> str:
    values = "".join(
        f'        "{command.name} {name}") words="{" ".join(option.values)}" ;;\n'
        for command in commands
        for option in command.options
        for name in option.names
        if option.values
    )
    free = " | ".join(
        f'"{command.name} {name}"'
        for command in commands
        for option in command.options
        for name in option.names
        if option.takes_value and not option.values
    )
    options = "".join(
        f'            "{command.name}") words="{" ".join(_names(command))}"; '
        f'[[ $current == -* ]] || words="{" ".join(command.operands)}" ;;\n'
        for command in commands
    )
    pairs = " | ".join(f'"{command.name}"' for command in commands if " " in command.name)
    return f"""\
# Where no word fits, file names complete.
_deident() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" words=""
    case "$command ${{COMP_WORDS[2]}}" in
        {pairs}) (( COMP_CWORD > 2 )) && command="$command ${{COMP_WORDS[2]}}" ;;
    esac
    if (( COMP_CWORD == 1 )); then
        words="{" ".join(command.name for command in commands if " " not in command.name)} --help --version"
    else case "$command ${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}        {free}) ;;
        *) case "$command" in
{options}        esac ;;
    esac fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _deident deident
"""


def _zsh(commands: list[_Command]) -> str:
    described = "\n".join(
        f"        {_quoted(f'{command.name}:{command.help}')}"
        for command in commands
        if " " not in command.name
    )
    pairs = " | ".join(f'"{command.name}"' for command in commands if " " in command.name)
    cases = "\n".join(
        f'    "{command.name}") _arguments {" ".join(_zsh_specs(command))} ;;' for command in commands
    )
    return f"""\
#compdef deident
_deident() {{
    local -a commands=(
{described}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    case "$words[2] $words[3]" in
    {pairs}) (( CURRENT > 3 )) && words[2]="$words[2] $words[3]" words[3]=() && (( CURRENT-- )) ;;
    esac
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{cases}
    esac
}}
if [[ $funcstack[1] == _deident ]]; then _deident "$@"; else compdef _deident deident; fi
"""


def _zsh_specs(command: _Command) -> Iterator[str]:
    for option in command.options:
        said = re.sub(r"([\[\]:\\])", r"\\\1", option.help)
        what = f"({' '.join(option.values)})" if option.values else "_files"
        for name in option.names:
            yield _quoted(f"{name}[{said}]" + (f":value:{what}" if option.takes_value else ""))
    operands = f"({' '.join(command.operands)})" if command.operands else "_files"
    yield _quoted(f"*:what:{operands}")


def _fish(commands: list[_Command]) -> str:
    lines = []
    for command in commands:
        first, _, second = command.name.partition(" ")
        where = f"__fish_seen_subcommand_from {first}" if second else "__fish_use_subcommand"
        lines.append(f"complete -c deident -f -n '{where}' -a {second or first} -d {_quoted(command.help)}")
        words = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.name.split())
        here = f"complete -c deident -n '{words}'"
        if command.operands:
            lines.append(f"{here} -f -a '{' '.join(command.operands)}'")
        for option in command.options:
            flags = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
            value = (
                f" -x -a '{' '.join(option.values)}'"
                if option.values
                else " -r"
                if option.takes_value
                else ""
            )
            lines.append(f"{here} {flags}{value} -d {_quoted(option.help)}")
    return "\n".join(lines) + "\n"


def _names(command: _Command) -> list[str]:
    return [name for option in command.options for name in option.names if name.startswith("--")]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
