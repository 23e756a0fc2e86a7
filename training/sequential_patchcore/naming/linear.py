# SPDX-License-Identifier: Apache-2.0
"""Linear discriminant analysis of classes of patches, in the form of a network, so that it is applied as one."""

from collections.abc import Sequence

import numpy as np

from .moments import Moments, pooled_covariance
from .networks import Networks

SHRINKAGE = 0.5  # of the covariance towards its diagonal; docs/impurities.md compares


def discriminant(classes: Sequence[Moments], shares: Sequence[float]) -> Networks:
    """One network that is linear: the log probabilities of normal distributions with a common covariance.

    Args:
        classes: of the patches of each class, none empty.
        shares: how likely each class is, up to a common factor.
    """
    means = np.stack([each.mean for each in classes])
    weights = means @ np.linalg.inv(pooled_covariance(list(classes), SHRINKAGE))
    offsets = -0.5 * (weights * means).sum(1) + np.log(shares)
    # A score is its positive part less its negative one, which are what the hidden units give.
    one = np.eye(len(classes))
    parts = np.concatenate([weights, -weights]), np.concatenate([offsets, -offsets]), np.concatenate([one, -one], 1)
    return Networks(*(part[None].astype(np.float32) for part in (*parts, np.zeros(len(classes)))))
