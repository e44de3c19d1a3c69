"""Training sets, 1: one new voice a speaker, and labels that travel with the snippets.

A shared voice lets the snippets of a speaker be linked, as training may need. The key keeps it the same from
run to run; whoever has the key can link voices to speakers, so keep it as safe as the recordings.

    python examples/04_training_set.py [FOLDER]"""

import json
import sys
from pathlib import Path

import deident

RECORDINGS = Path(__file__).parent / "recordings"


def main(folder: str = "training-04") -> None:
    recordings = [
        deident.Recording(str(RECORDINGS / "reading.mp3"), speaker="ann", labels={"style": "read"}),
        deident.Recording(str(RECORDINGS / "call.wav"), speaker="bob", labels={"style": "spontaneous"}),
    ]
    policy = deident.Policy.preset("training", max_per_recording=5)
    deident.run(recordings, f"{folder}/store", policy, key=deident.Key.fresh(), jobs=1)

    for line in Path(folder, "store", "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        print(f"{row['name'][:8]}…  {row['seconds']:5.2f} s  {row['labels']['style']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
