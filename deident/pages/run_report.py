"""A page about a run: states, lengths, drops, speed and the audit. It names no recording."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from deident.audit import AuditReport
from deident.disguise import DISGUISES
from deident.disguise.settings import shown
from deident.errors import counted
from deident.pages.page import filled, table
from deident.policy import Policy
from deident.recording import LENGTH_STEP
from deident.runs.run import Summary
from deident.runs.worker import FINE

PAGE = "run_report.html"
MOST_BARS = 24
WIDTH, HEIGHT, FOOT, HEAD = 720, 200, 20, 16
MEANINGS = {
    "released": "all of its speech that is under the limit was released",
    "partial": "the recording's end was missing; the rest was released",
    "dropped": "speech was found, and all of it was dropped",
    "no-speech": "no speech was found",
    "refused": "it could not be used",
    "skipped": "done by an earlier run, or not read for a reason below",
}
REASONS = {
    "over_limit": "over the limit, without a pause to divide it at",
    "too_short": "too short to understand",
    "max_per_recording": "more than wanted of one recording",
    "max_per_speaker": "more than allowed of one speaker",
}
MOST_PROBLEMS = 20


def page(summary: Summary, policy: Policy, audit: AuditReport) -> str:
    """Make the page of a run.

    Parameters
    ----------
    summary : Summary
    policy : Policy
    audit : AuditReport
        Of the run's store.

    Returns
    -------
    str
        HTML without a script, a name of a recording, or a path.
    """
    return filled(
        PAGE,
        {
            "FACTS": _facts(summary),
            "STATES": _states(summary),
            "LENGTHS": _histogram(summary.lengths, policy.cutting.max_seconds),
            "DROPS": _drops(summary),
            "AUDIT": _audit(audit, policy.cutting.max_seconds),
            "SETTINGS": _settings(policy),
        },
    )


def _fact(count: int, noun: str, more: str) -> tuple[str, str]:
    number, word = counted(count, noun).split(" ")
    return number, word + more


def _facts(summary: Summary) -> str:
    speed = f", {summary.times_real_time:,.0f} × real time" if summary.read_seconds else ""
    facts = [
        _fact(summary.recordings, "recording", f", {_hours(summary.read_seconds)}"),
        _fact(summary.snippets, "snippet", f" released, {_hours(summary.released_seconds)}"),
        (_hours(summary.speech_seconds), "of speech found"),
        (f"{summary.elapsed_seconds:,.1f} s", f"in all{speed}"),
    ]
    return "".join(f"<li><b>{escape(number)}</b><span>{escape(words)}</span></li>" for number, words in facts)


def _states(summary: Summary) -> str:
    """Tabulate states and codes."""
    rows = [
        (state, f"{count:,}", MEANINGS.get(state, ""))
        for state, count in summary.states.items()
        if count
    ]  # fmt: skip
    bad = {state for state, *_ in rows} - FINE
    states = table(("recordings that ended as", "count", "meaning"), rows, numbers={1}, bad=bad)
    if not summary.codes:
        return states
    codes = [(code, f"{count:,}") for code, count in sorted(summary.codes.items(), key=lambda c: -c[1])]
    return states + "<p></p>" + table(("because", "count"), codes, numbers={1})


def _histogram(lengths: Mapping[str, int], limit: float) -> str:
    """Draw snippets by length, as an SVG that scales with the page."""
    if not lengths:
        return '<p class="soft">No snippet was released.</p>'
    last = max([limit, *(float(start) + LENGTH_STEP for start in lengths)])
    step = LENGTH_STEP
    while last / step > MOST_BARS:
        step *= 2
    bars = [0] * -int(-last // step)
    for start, count in lengths.items():
        bars[int(float(start) / step)] += count
    wide, tallest = WIDTH / len(bars), max(bars)
    parts = []
    for number, count in enumerate(bars):
        tall = (HEIGHT - FOOT - HEAD) * count / tallest
        x, y = number * wide, HEIGHT - FOOT - tall
        words = f"{number * step:g} to {(number + 1) * step:g} s: {counted(count, 'snippet')}"
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{wide - 2:.1f}" height="{tall:.1f}" class="bar">'
            f"<title>{words}</title></rect>"
        )
        if count:
            kind = "many" if count > 99 and count < tallest else ""
            parts.append(
                f'<text x="{x + wide / 2:.1f}" y="{y - 4:.1f}" text-anchor="middle" class="{kind}">{count:,}</text>'
            )
        every = max(1, len(bars) // 10)
        if number % every == 0:
            kind = "tick between" if number % (2 * every) else "tick"
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 5}" class="{kind}">{number * step:g} s</text>')
    base = HEIGHT - FOOT
    parts.append(f'<line x1="0" x2="{WIDTH}" y1="{base}" y2="{base}" class="axis"/>')
    label = f"snippets by length: {sum(bars):,}, the longest under {limit:g} s"
    bars_drawn = "".join(parts)
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{bars_drawn}</svg></div>"
    )


def _drops(summary: Summary) -> str:
    """Tabulate dropped speech by reason."""
    texts = ""
    if summary.texts_left_out:
        number = counted(summary.texts_left_out, "text")
        texts = f"<p>No snippet has {number}: dropped, muted, or divided without word times.</p>"
    if not summary.dropped_seconds:
        return '<p class="soft">Nothing was dropped.</p>' + texts
    speech = max(summary.speech_seconds, 1e-9)
    rows = [
        (REASONS.get(reason, reason.replace("_", " ")), _hours(seconds), f"{100 * seconds / speech:.1f} %")
        for reason, seconds in sorted(summary.dropped_seconds.items(), key=lambda drop: -drop[1])
    ]
    return table(("reason", "audio", "of the speech found"), rows, numbers={1, 2}) + texts


def _audit(audit: AuditReport, limit: float) -> str:
    """Say what the audit proved or found."""
    proved = (
        f"{counted(audit.files, 'snippet')} in the store, {_hours(audit.seconds)}, each under {limit:g} s"
    )
    if audit.clean:
        return (
            f'<p><b class="good">Every promise holds.</b> {escape(proved)}: nothing there besides audio.</p>'
        )
    problems = [(problem.code, str(problem)) for problem in audit.problems[:MOST_PROBLEMS]]
    more = len(audit.problems) - len(problems)
    rest = f'<p class="soft">and {more:,} more: deident audit STORE lists all</p>' if more else ""
    broken = counted(len(audit.problems), "promise")
    head = f'<p><b class="bad">{broken} broken.</b> {escape(proved)}, hold.</p>'
    return head + table(("problem", "found"), problems) + rest


def _settings(policy: Policy) -> str:
    """Tabulate the policy."""
    settings = policy.to_mapping()
    disguise = settings.pop("disguise")
    methods = disguise if isinstance(disguise, list) else [disguise]
    rows = [("disguise", " + ".join(map(_method, methods)))]
    for name, value in settings.items():
        for inner, plain in (value if isinstance(value, Mapping) else {"": value}).items():
            if plain is not None:
                text = ", ".join(map(str, plain)) or "none" if isinstance(plain, list | tuple) else str(plain)
                rows.append((f"{name}.{inner}".removesuffix("."), text))
    rows.append(("fingerprint", policy.fingerprint()))
    return table(("setting", "value"), rows)


def _method(settings: Mapping[str, Any]) -> str:
    """Name a method, and the settings that are not its defaults."""
    name = str(settings["method"])
    usual = vars(DISGUISES[name]()) if name in DISGUISES else {}
    changed = (f"{key} {shown(value)}" for key, value in settings.items() if usual.get(key, value) != value)
    return ", ".join((name, *changed))


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7_200 else f"{seconds / 3_600:,.1f} h"
