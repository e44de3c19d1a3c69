"""`deident run --report`: a page about the run, with an audit of its store."""

from __future__ import annotations

import argparse

from deident.errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from deident.policy import Policy
    from deident.runs.run import Summary


def check_report(args: argparse.Namespace) -> None:
    """Raise `SettingError`, before anything is read, when the page could not be written."""
    if not args.report:
        return
    from deident.cli.inputs import check_outside
    from deident.pages.page import check_place

    if args.dry_run:
        raise SettingError("--report shows what a run released; a dry run releases nothing")
    check_place(args.report)
    check_outside(args.report, args.out, "the report")


def write_report(args: argparse.Namespace, summary: Summary, policy: Policy) -> bool:
    """Write the page, if one was asked for; return False when its audit found a problem."""
    if not args.report:
        return True
    from deident.audit.place import audit_store
    from deident.pages.page import check_place, write_page
    from deident.pages.run_report import page

    audit = audit_store(args.out, max_seconds=policy.cutting.max_seconds)
    write_page(check_place(args.report), page(summary, policy, audit))
    return audit.clean
