"""Trains a small neural network on scikit-learn's handwritten digits: real data that the package ships.

Prints a loss and an accuracy line each epoch, as most training scripts do. Saves a checkpoint after each epoch, and
goes on from the one that runctl names: with the same result as a training that was not interrupted.
"""

import argparse
import json
import os
import pathlib
import time

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SECONDS_PER_EPOCH = 1.0  # slows this fast training down, so that there is something to watch


def save(state: dict, path: pathlib.Path) -> None:
    """Writes a checkpoint that is there whole or not at all, however the training ends."""
    draft = path.with_suffix(".tmp")
    joblib.dump(state, draft)
    os.replace(draft, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=64, help="neurons in the hidden layer")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pace", type=float, default=SECONDS_PER_EPOCH, help="minimum seconds per epoch")
    parser.add_argument("--outputs", type=pathlib.Path, default=pathlib.Path("outputs"))
    args = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(images / 16.0, labels, random_state=args.seed, stratify=labels)
    print(f"digits: {len(x_train)} images to train on, {len(x_test)} to test with", flush=True)

    checkpoints = pathlib.Path(os.environ.get("RUNCTL_CHECKPOINT_DIR", "checkpoints"))
    checkpoints.mkdir(parents=True, exist_ok=True)
    model = MLPClassifier((args.hidden,), random_state=args.seed, learning_rate_init=0.002)
    classes = np.unique(labels)
    history = []
    resume_from = os.environ.get("RUNCTL_RESUME_FROM")
    if resume_from:
        state = joblib.load(resume_from)
        model, history = state["model"], state["history"]
        print(f"going on after epoch {len(history)}, from {pathlib.Path(resume_from).name}", flush=True)
    for epoch in range(len(history) + 1, args.epochs + 1):
        begun = time.monotonic()
        model.partial_fit(x_train, y_train, classes=classes)
        accuracy = model.score(x_test, y_test)
        history.append({"epoch": epoch, "loss": model.loss_, "accuracy": accuracy})
        print(f"epoch {epoch}/{args.epochs} loss={model.loss_:.4f} accuracy={accuracy:.4f}", flush=True)
        save({"model": model, "history": history}, checkpoints / f"epoch-{epoch:03}.joblib")
        time.sleep(max(0.0, args.pace - (time.monotonic() - begun)))

    args.outputs.mkdir(parents=True, exist_ok=True)
    (args.outputs / "history.json").write_text(json.dumps(history, indent=1))
    print(f"done: accuracy={history[-1]['accuracy']:.4f}, history in {args.outputs / 'history.json'}", flush=True)


if __name__ == "__main__":
    main()
