# SPDX-License-Identifier: Apache-2.0
"""How large a share can be when so many of n were seen: the exact (Clopper-Pearson) limit, and its way back.

C. Clopper and E. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26, 1934. Zero of n gives 1 - (1 - C)^(1/n), which for C = 0.95 is just below 3/n.

The same number bounds what a threshold passes that was set just below the (k + 1)-th smallest of n values: whatever
their distribution is, the share of new values from it that lie below is then Beta(k + 1, n - k) at most (S. Wilks,
"Determination of sample sizes for setting tolerance limits", Annals of Mathematical Statistics 12, 1941). So the limit
holds although the threshold was chosen on the values that are counted.
"""

import math

CONFIDENCE = 0.95
_HALVINGS = 80  # of an interval of length 1: to the last digit of a double


def at_most(seen: int, of: int, chance: float) -> float:
    """P(Binomial(of, chance) <= seen)."""
    if chance <= 0 or seen >= of:
        return 1.0
    if chance >= 1:
        return 0.0
    hit, miss, whole = math.log(chance), math.log1p(-chance), math.lgamma(of + 1)
    return min(1.0, math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * hit + (of - k) * miss)
        for k in range(seen + 1)
    ))


def upper_limit(seen: int, of: int, confidence: float = CONFIDENCE) -> float:
    """The largest share at which so few would still be seen with a probability of 1 - confidence; 1 where of is 0.

    Raises:
        ValueError: not 0 <= seen <= of, or a confidence that is not between 0 and 1.
    """
    if not 0 <= seen <= of or not 0 < confidence < 1:
        raise ValueError(f"expected 0 <= seen <= of and 0 < confidence < 1, got {seen}, {of}, {confidence}")
    if seen == of:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if at_most(seen, of, middle) >= 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def most_seen(of: int, share: float, confidence: float = CONFIDENCE) -> int | None:
    """How many of n may be seen so that the limit is still at most the share; None where not even 0 may."""
    if upper_limit(0, of, confidence) > share:
        return None
    low, high = 0, of  # the limit rises with what was seen
    while low < high:
        middle = (low + high + 1) // 2
        if upper_limit(middle, of, confidence) <= share:
            low = middle
        else:
            high = middle - 1
    return low


def trials_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """The least n of which 0 seen give a limit of at most the share."""
    needed = max(1, math.ceil(math.log1p(-confidence) / math.log1p(-share)))
    while upper_limit(0, needed, confidence) > share:
        needed += 1
    while needed > 1 and upper_limit(0, needed - 1, confidence) <= share:
        needed -= 1
    return needed
