"""The policy of a command: a file or a preset, with the options on top."""

from __future__ import annotations

import argparse

from deident.errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from deident.disguise.base import Method
    from deident.policy import Policy

# Option, the setting it changes, and the value it stands for; None: the value that was given.
SETTINGS = (
    ("scope", "scope", None),
    ("detector", "detector", None),
    ("format", "container", None),
    ("max_per_recording", "max_per_recording", None),
    ("strict", "strict", True),
    ("repeatable", "repeatable", True),
    ("zero_nonfinite", "nonfinite", "zero"),
    ("max_seconds", "cutting.max_seconds", None),
    ("min_seconds", "cutting.min_seconds", None),
    ("over_limit", "cutting.over_limit", None),
    ("one_voice", "cutting.one_voice", True),
    ("voice_encoder", "cutting.one_voice", True),
    ("whole_turns", "cutting.whole_turns", True),
    ("keep_ids", "cutting.whole_turns", True),
    ("drop_overlap", "cutting.overlap", "drop"),
    ("mute_fill", "mute.fill", None),
)


def add_cutting_arguments(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--policy", metavar="FILE", help="all settings in TOML; options given here override it")
    add("--max-seconds", type=float, metavar="S", help="every snippet is shorter (default 10)")
    add("--min-seconds", type=float, metavar="S", help="shorter ones are dropped (default 0.3)")
    add(
        "--over-limit",
        choices=("drop", "split"),
        help="what to do with speech that has no pause to divide it at (default drop)",
    )


def policy_of(args: argparse.Namespace) -> Policy:
    """Make the policy that the options of a command ask for; a command may have some of them only."""
    import dataclasses

    from deident.cli.inputs import carried_of
    from deident.policy import Policy

    given = vars(args)
    preset = given.get("preset")
    if args.policy and preset:
        raise SettingError("a policy file names its preset itself; drop --preset")
    policy = Policy.from_toml(args.policy) if args.policy else Policy.preset(preset or "review")
    changes: dict[str, dict[str, Any]] = {"": {}}
    for option, setting, constant in SETTINGS:
        value = given.get(option)
        if value is not None and value is not False:
            table, _, name = setting.rpartition(".")
            changes.setdefault(table, {})[name] = value if constant is None else constant
    own = changes.pop("")
    if args.channels:
        own["channels"] = int(args.channels) if args.channels.isdecimal() else args.channels
    if given.get("voice_encoder"):
        from deident.evaluation.encoders import encoder_named

        own["encoder"] = encoder_named(args.voice_encoder)[1]
    if given.get("chain"):
        own["disguise"] = _disguise(args.chain)
    if given.get("carry") and (carried := carried_of(args)[0]):
        own["carry"] = tuple(dict.fromkeys((*policy.carry, *carried)))
    tables = {name: dataclasses.replace(getattr(policy, name), **values) for name, values in changes.items()}
    return dataclasses.replace(policy, **own, **tables)


def _disguise(text: str) -> Method[Any]:
    """Build the one disguise of a run."""
    from deident.disguise.naming import disguise_named

    if "," in text:
        raise SettingError(
            "expected one disguise: a+b applies two in turn, and the comma separates methods to compare, in `preview`"
            " and `evaluate`"
        )
    return disguise_named(text, presets=False)
