"""The main job from a script: two intermediate adapters, a fusion under a target adapter, scores by language.

    python examples/compose_in_python.py --backbone minilm-l6 --data-root DIR

The functions are those behind ``adapterstilts train-intermediate`` and ``adapterstilts compose``; what the store has is
not trained again.
"""

from __future__ import annotations

import argparse

from adapterstilts.studies.transfer import compose, train_intermediate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="xlm-roberta-base")
    parser.add_argument("--data-root", help="local mirror of the Hub; the Hub itself if left out")
    parser.add_argument("--store", help="folder of finished artifacts")
    parser.add_argument("--target", default="tydiqa")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--max-eval-examples", type=int)
    arguments = parser.parse_args()
    where = {"backbone": arguments.backbone, "data_root": arguments.data_root, "store": arguments.store}
    settings = {"steps": arguments.steps, "max_length": 128, "learning_rate": 1e-3}

    for task in ("mnli", "squad"):
        result = train_intermediate(task, settings=settings, **where)
        print(f"{result.artifact.id}: {result.artifact.manifest['metrics']['validation']}")

    transfer = compose(
        "mnli+squad",
        target=arguments.target,
        settings=settings,
        max_eval_examples=arguments.max_eval_examples,
        **where,
    )
    for code, cell in transfer.comparison.languages.items():
        low, high = cell.interval or (0.0, 0.0)
        print(f"{code}  {cell.score:5.1f}  baseline {cell.baseline:5.1f}  {cell.delta:+5.1f} [{low:+.1f}, {high:+.1f}]")


if __name__ == "__main__":
    main()
