# SPDX-License-Identifier: Apache-2.0
"""What a stored threshold promises; `scoring/promises.py` writes it."""

from .contents import Threshold


def in_words(threshold: Threshold) -> str | None:
    """The promise as a sentence; None where the threshold promises nothing."""
    found = threshold.calibrated_on.get("promises")
    words = found.get("words") if isinstance(found, dict) else None
    return words if isinstance(words, str) else None
