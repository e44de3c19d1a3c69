"""Comparing disguises, 1: attack two methods, and read the figures.

It takes seconds, on a few synthetic voices: these numbers say nothing about people.
For those, run `deident evaluate YOUR_SPEECH --out report/`. Needs `pip install 'deident[evaluate]'`.

    python examples/06_compare.py"""

import deident
from deident.evaluation.run import evaluate
from deident.evaluation.settings import Settings, Tools
from deident.evaluation.synthetic import synthetic_corpus


def main() -> None:
    report = evaluate(
        synthetic_corpus(speakers=16, utterances=2, seconds=1.5),
        {name: deident.DISGUISES[name]() for name in ("mcadams", "psola")},
        settings=Settings(runs=1, train_draws=2, bootstrap=20, invert=False, channels=False),
        tools=Tools(),  # attacks by statistics alone
    )
    for name, verdict in report.verdicts.items():
        attack = verdict.headline  # the strongest; 50 % is chance
        eer, low, high = (100 * rate for rate in (attack.eer, attack.low, attack.high))
        print(f"{name:12} equal error rate {eer:4.1f} % ({low:.0f} to {high:.0f}) by {verdict.strongest}")


if __name__ == "__main__":
    main()
