# SPDX-License-Identifier: Apache-2.0
"""A coreset of one's own features: built batch by batch at two places, melded, and asked how strange new ones are.

    python examples/own_features.py [--vectors 50000]

The features here are made by code, in clusters, as the features of normal images lie; put those of your own network in
the place of `batches`. Nothing is kept of them but the coresets.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from sequential_patchcore import SequentialCoreset, meld

DIMENSION, BATCH = 64, 1000


def batches(line: int, vectors: int) -> Iterator[np.ndarray]:
    """(BATCH, DIMENSION) float32, the features of one production line; the same ones each time."""
    centres = 5 * np.random.default_rng(line).normal(size=(20, DIMENSION))
    rng = np.random.default_rng((line, 1))
    for _ in range(vectors // BATCH):
        yield (centres[rng.integers(0, 20, BATCH)] + rng.normal(size=(BATCH, DIMENSION))).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=50_000, help="of each line, in each epoch")
    vectors = parser.parse_args().vectors

    # Step by step, as a training loop of one's own would do it.
    first = SequentialCoreset(256)
    for epoch in range(5):
        for batch in batches(1, vectors):
            first.partial_fit(batch)
        first.end_epoch()
        print(f"line 1, epoch {epoch + 1}: {first.history_[-1]['replacements']} vectors replaced")
        if first.converged_:
            break

    # The same in one call: a function that yields the batches anew in each epoch.
    second = SequentialCoreset(256).fit(lambda: batches(2, vectors))
    print(f"line 2: covering radius {second.covering_radius_:.3f}, at most {second.approximation_factor_:.3f} times "
          f"the best possible")

    both = meld([first, second], size=384)
    print(f"melded: {len(both.vectors_)} vectors, {np.bincount(both.source_).tolist()} of line 1 and of line 2")

    normal = np.concatenate([next(batches(line, BATCH)) for line in (1, 2)])
    strange = normal + 3 * np.random.default_rng(9).normal(size=normal.shape).astype(np.float32)
    for name, features in (("normal", normal), ("strange", strange)):
        distance, _ = both.nearest(features)
        print(f"{name}: distance to the nearest vector {np.median(distance):.2f}, at most {distance.max():.2f}")


if __name__ == "__main__":
    main()
