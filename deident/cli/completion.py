"""`deident completion`: scripts for the shells, which ask this command for the words that fit."""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EPILOG = """\
examples:
  source <(deident completion bash)                                        in this bash
  deident completion bash > ~/.local/share/bash-completion/completions/deident
  deident completion zsh > "${fpath[1]}/_deident"
  deident completion fish > ~/.config/fish/completions/deident.fish"""

SHELLS = {
    "bash": """\
_deident() {
    local IFS=$'\\n'
    COMPREPLY=($(deident completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _deident deident
""",
    "zsh": """\
#compdef deident
_deident() {
    local -a found
    found=("${(@f)$(deident completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n $found[1] ]]; then _describe word "(${(@)found//$'\\t'/:})"; else _files; fi
}
if [[ $funcstack[1] == _deident ]]; then _deident "$@"; else compdef _deident deident; fi
""",
    "fish": """\
complete -c deident -a '(deident completion words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
""",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=(*sorted(SHELLS), "words"), metavar="{bash,fish,zsh}")
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    if args.shell in SHELLS:
        sys.stdout.write(SHELLS[args.shell])
        return 0
    # Versions of argparse differ in taking the -- away.
    typed = (args.words[1:] if args.words[:1] == ["--"] else args.words) or [""]
    for word, meaning in fitting(typed[:-1]):
        if word.startswith(typed[-1]):
            sys.stdout.write(f"{word}\t{meaning}\n")
    return 0


def fitting(typed: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the words that may follow those typed, with their meanings; none where a path is expected."""
    from deident.cli import COMMANDS, parser_of

    name = next((n for n in (" ".join(typed[:2]), *typed[:1]) if n in COMMANDS), None)
    if name is None:
        yield from (item for item in _commands() if not typed and " " not in item[0])
        return
    [commands] = (a for a in parser_of([name])._actions if isinstance(a, argparse._SubParsersAction))
    actions = commands.choices[name]._actions
    last = next((a for a in actions if typed[-1] in a.option_strings), None)
    if last is not None and last.nargs != 0:
        yield from ((str(value), "") for value in last.choices or _values(last.option_strings))
        return
    if typed == [name]:
        yield from ((n.split()[1], meaning) for n, meaning in _commands() if n.startswith(f"{name} "))
    for action in actions:
        meaning = (action.help or "").replace("%%", "%")
        yield from ((option, meaning) for option in action.option_strings if option.startswith("--"))
        if not action.option_strings:
            yield from ((str(value), "") for value in action.choices or ())


def _commands() -> Iterator[tuple[str, str]]:
    from deident.cli import COMMANDS

    yield from ((name, meaning) for name, (_, meaning) in COMMANDS.items())


def _values(names: Sequence[str]) -> tuple[str, ...]:
    """Return the values of options whose parsers cannot list them without loading numpy."""
    from deident.datasets import EXPORTERS
    from deident.disguise import DISGUISES
    from deident.disguise.presets import PRESETS

    known = {"--disguise": (*PRESETS, *DISGUISES), "--preset": tuple(PRESETS), "--to": tuple(EXPORTERS)}
    return next((values for name, values in known.items() if name in names), ())
