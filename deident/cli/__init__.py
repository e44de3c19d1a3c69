"""The command line. Each command is a module with `add_arguments` and `run`, loaded when it is named."""

from __future__ import annotations

import argparse
import codecs
import importlib
import io
import os
import re
import sys

from deident import __version__
from deident.errors import (
    DEBUG_HINT,
    DeidentError,
    ExtraMissingError,
    KeyMaterialError,
    SettingError,
    StoreError,
    debug_traceback,
    did_you_mean,
)
from deident.process import allow_owner, disable_core_dumps, reserve_standard_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import NoReturn

COMMANDS = {
    "run": ("deident.cli.run", "de-identify recordings into a store"),
    "preview": (
        "deident.cli.preview",
        "make a page that shows and plays what a run would do with one recording",
    ),
    "demo": ("deident.cli.demo", "try `run` on a recording that comes with the package"),
    "find": ("deident.cli.find", "find spoken names and numbers, for `run --mute`"),
    "scan": ("deident.cli.scan", "list what a recording holds besides sound"),
    "audit": ("deident.cli.audit", "prove that a store keeps every promise"),
    "report": ("deident.cli.evidence", "sign evidence that a store keeps its promises, or check it"),
    "evaluate": ("deident.cli.evaluate", "attack disguises, and measure what they protect and cost"),
    "review": ("deident.cli.review", "distribute snippets to reviewers"),
    "review collect": ("deident.cli.collect", "read reviewers' labels back to the snippets of a store"),
    "review withdraw": ("deident.cli.withdraw", "list the files of a round that reviewers must delete"),
    "export": ("deident.cli.export", "write a store as a data set for Kaldi, Lhotse, datasets and others"),
    "erase": ("deident.cli.erase", "remove the snippets of a recording or a speaker"),
    "purge": ("deident.cli.purge", "erase what a store has kept for the days that its programme allows"),
    "methods": ("deident.cli.methods", "list the disguises, their settings, and what they protect"),
    "keygen": ("deident.cli.keygen", "make a key"),
    "which": ("deident.cli.which", "find the recording that a message names by its pseudonym"),
    "completion": ("deident.cli.completion", "let your shell complete commands and options"),
}

EXAMPLES = """\
examples:
  deident demo                                     try it
  deident run calls/ --out store                   every recording in a folder and below
  deident run call.wav --out store --channels split --format flac
  deident run meetings/ --out store --dry-run      what would come out
  deident preview call.wav                         a page to look at beforehand
  deident scan interview.mp3                       list its metadata
  deident audit store                              prove the result

exit codes: 0 done, 1 some recordings or checks were not fine, 2 wrong settings or key, or an extra to install,
            3 an evaluation must not be trusted, 4 the store could not be written, 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before numpy is loaded: parallelism is over recordings
    disable_core_dumps()
    allow_owner()
    reserve_standard_streams()
    codecs.register_error("deident", _unencodable)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="deident")
    args = parser_of([" ".join(arguments[:2]), *arguments[:1]]).parse_args(arguments)

    def fail(message: str, code: int) -> int:
        if vars(args).get("log") == "json":
            from deident.cli.progress import json_line

            sys.stderr.write(json_line("error", message=message, code=code, version=__version__))
        else:
            sys.stderr.write(f"deident: {message}\n")
        return code

    try:
        code: int = importlib.import_module(COMMANDS[args.command][0]).run(args)
        return code
    except (SettingError, KeyMaterialError, ExtraMissingError) as error:
        return fail(str(error), 2)
    except StoreError as error:
        full = "; free some space, and the same command goes on where it stopped"
        return fail(f"{error}{full if error.code == 'disk-full' else ''}", 4)
    except DeidentError as error:
        return fail(str(error), 1)
    except KeyboardInterrupt:
        return fail("interrupted; the same command goes on where it stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        debug_traceback()
        return fail(f"failed unexpectedly ({type(error).__name__}); {DEBUG_HINT}", 1)


def _unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode for a terminal of any encoding: bytes of a path as they are, other characters by their numbers."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors do not repeat what was typed: it may be a path, and errors end up in logs."""

    def parse_args(self, args: Sequence[str], namespace: None = None) -> argparse.Namespace:  # type: ignore[override]  # one way of four
        """Parse the command line; suggest the nearest command or option for what is not understood."""
        words = list(args)
        if " ".join(words[:2]) in COMMANDS:  # a command of two words
            words[:2] = [" ".join(words[:2])]
        if not words or (not words[0].startswith("-") and words[0] not in COMMANDS):
            near = did_you_mean(words[0], COMMANDS) if words else "; `deident demo` shows what it does"
            self.error(f"expected a command of {', '.join(COMMANDS)}{near}")
        found, rest = self.parse_known_args(words)
        if rest:
            options = [word.partition("=")[0] for word in rest if re.fullmatch(r"--?[a-z_-]+(=.*)?", word)]
            others = len(rest) - len(options)
            more = [f"{others} other argument{'s' * (others > 1)}"] if others else []
            commands = next(a.choices for a in self._actions if isinstance(a, argparse._SubParsersAction))
            parser = commands[found.command] if found.command else self
            known = parser._option_string_actions
            near = did_you_mean(options[0].replace("_", "-"), known, 0.7) if options else ""
            parser.error(f"not understood: {', '.join([*options, *more])}{near}")
        return found

    def format_usage(self) -> str:
        """Put the usage into one line; --help shows the options."""
        operands = [
            f"{a.metavar or a.dest}{'...' if a.nargs in ('*', '+') else ''}"
            for a in self._actions
            if not a.option_strings and not isinstance(a, argparse._SubParsersAction)
        ]
        words = operands if " " in self.prog else ["COMMAND"]
        return f"usage: {' '.join([self.prog, *words])} [OPTION...]; {self.prog} --help explains\n"

    def error(self, message: str) -> NoReturn:
        """Exit with the usage and a message without what was typed."""
        said, choices, possible = message.partition(" (choose from")
        said = re.sub(
            r"(?s)(--[a-z-]+)=(.*(?= could match )|.*)", r"\1", re.sub(r"(: | )(['\"]).*\2", "", said)
        )
        self.exit(2, f"{self.format_usage()}{self.prog}: {said}{choices}{possible}\n")


def parser_of(chosen: Collection[str]) -> argparse.ArgumentParser:
    """Make the parser of the command line. Only the chosen commands get their arguments: loading all takes time."""
    parser = _Parser(
        prog="deident",
        description="De-identify speech recordings: short, disguised, clean snippets for people to listen to.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"deident {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        if name in chosen:
            importlib.import_module(module).add_arguments(command)
    return parser
