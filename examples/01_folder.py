"""Pipelines, 1: a folder of recordings to a store, and an audit of it.

python examples/01_folder.py [STORE]"""

import sys
from pathlib import Path

import deident
from deident.audit import audit_store

RECORDINGS = Path(__file__).parent / "recordings"


def main(store: str = "store-01") -> None:
    summary = deident.run([RECORDINGS], store, deident.Policy(channels="split"), jobs=1)
    print(f"{summary.recordings} recordings: {summary.snippets} snippets, {summary.released_seconds:.1f} s")

    again = deident.run([RECORDINGS], store, deident.Policy(channels="split"), jobs=1)
    print(f"the same command again: {again.states['skipped']} skipped, {again.snippets} released")

    report = audit_store(store)
    print(f"audit: {report.files} files, {'every promise holds' if report.clean else report.problems}")


if __name__ == "__main__":
    main(*sys.argv[1:])
