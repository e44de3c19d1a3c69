"""Pipelines, 7: labels of a round by a tool of your own, a detector here, for `deident review collect`.

python examples/12_labels.py ROUNDS > labels.json"""

import json
import sys
from pathlib import Path

import deident


def label(snippet: Path) -> dict[str, str]:
    """Say of a snippet what a reviewer's page would: text, quality, flag, remark. What is left out is not said."""
    is_speech = bool(deident.find_speech(deident.read(snippet)))
    return {"file": snippet.name, "quality": "clear" if is_speech else "no speech"}


def main(rounds: str) -> None:
    parts = sorted(page.parent for page in Path(rounds).glob("*/*/index.html"))  # a round, a reviewer
    labels = [
        {
            "round": part.parent.name,
            "reviewer": part.name,
            "labels": [label(snippet) for snippet in sorted(part.glob("*.wav"))],
        }
        for part in parts
    ]
    print(json.dumps(labels, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
