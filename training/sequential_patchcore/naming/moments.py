# SPDX-License-Identifier: Apache-2.0
"""What linear discriminant analysis needs of any number of vectors: their count, mean and scatter, class by class.

Batches are added as they come, so memory does not grow with the images (T. Chan, G. Golub and R. LeVeque, "Updating
formulae and a pairwise algorithm for computing sample variances", 1979).
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class Moments:
    """Of one class.

    Attributes:
        count: vectors that were added.
        mean: (F,) float64.
        scatter: (F, F) float64, the sum of outer products about the mean.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def none(cls, length: int) -> "Moments":
        return cls(0, np.zeros(length), np.zeros((length, length)))

    def add(self, vectors: np.ndarray) -> None:
        """Add (n, F) vectors."""
        if not len(vectors):
            return
        batch = vectors.astype(np.float64)
        mean = batch.mean(0)
        about = batch - mean
        both = self + Moments(len(batch), mean, about.T @ about)
        self.count, self.mean, self.scatter = both.count, both.mean, both.scatter

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both together."""
        whole = self.count + other.count
        if not whole:
            return self
        step = other.mean - self.mean
        return Moments(
            whole, self.mean + step * (other.count / whole),
            self.scatter + other.scatter + np.outer(step, step) * (self.count * other.count / whole),
        )


def pooled_covariance(classes: list[Moments], shrinkage: float) -> np.ndarray:
    """(F, F) within-class covariance, each class counting the same however many vectors it has.

    It is shrunk towards its diagonal, not towards a multiple of the unit matrix: the numbers of a vector come from
    several layers and differ in scale.
    """
    covariance = np.mean([each.scatter / max(each.count, 1) for each in classes], 0)
    return (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))
