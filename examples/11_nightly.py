"""Pipelines, 6: a job for cron or Airflow. Whatever was done is skipped, so it may run twice, or stop in between.

    0 3 * * *  python examples/11_nightly.py INBOX STORE >> nightly.jsonl

It exits with 0 when all is fine, 1 when a recording was not or the audit found something, 4 when the store cannot be
used (another run has it, say). In Airflow, `task` is the function for a PythonOperator."""

import json
import sys
from pathlib import Path

import deident
from deident.audit import audit_store

RECORDINGS = Path(__file__).parent / "recordings"


def nightly(inbox: str | Path, store: str | Path, jobs: int | None = None) -> int:
    """Release what is new in the inbox, audit the store, and print a line of JSON. Returns an exit code."""
    policy = deident.Policy.preset("review")
    line = {"version": deident.__version__, "policy": policy.fingerprint()}
    try:
        summary = deident.run([inbox], store, policy, jobs=jobs)
        audit = audit_store(store, max_seconds=policy.cutting.max_seconds)
    except deident.DeidentError as error:  # its words are fit for a log
        print(json.dumps({**line, "fine": False, "error": str(error)}))
        return 4 if isinstance(error, deident.StoreError) else 2
    fine = summary.fine and audit.clean
    counts = {name: count for name, count in summary.states.items() if count}
    print(
        json.dumps(
            {**line, "fine": fine, "states": counts, "snippets": summary.snippets, "audited": audit.files}
        )
    )
    return 0 if fine else 1


def task(inbox: str, store: str) -> None:
    """Do the same as a task of a scheduler, which wants an error. For Airflow: PythonOperator(python_callable=task)."""
    if nightly(inbox, store):
        raise RuntimeError("the run was not fine: see its line in the log")


if __name__ == "__main__":
    arguments = sys.argv[1:] or [RECORDINGS, "store-11"]
    sys.exit(nightly(*arguments, jobs=1))
