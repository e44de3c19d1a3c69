"""Pipelines, 3: your own pool of workers, your own progress, and recordings that fail.

Any `concurrent.futures.Executor` will do.

    python examples/03_executor.py [STORE]"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import deident

RECORDINGS = Path(__file__).parent / "recordings"


def main(store: str = "store-03") -> None:
    failed: list[deident.Outcome] = []

    def progress(outcome: deident.Outcome, recording: deident.Recording) -> None:
        print(f"{outcome.id}: {outcome.state} {outcome.code}")  # a pseudonym: fit for a log
        if outcome.state == "refused":
            failed.append(outcome)

    with ThreadPoolExecutor(2) as workers:
        todo = [RECORDINGS / "call.wav", RECORDINGS / "README.md"]  # one is not a recording
        summary = deident.run(todo, store, executor=workers, progress=progress)
    print(f"fine: {summary.fine}; to look at: {[outcome.message[:36] for outcome in failed]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
