# SPDX-License-Identifier: Apache-2.0
"""From which score on a pixel is anomalous, and where that number comes from."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Threshold:
    """Pixels with score >= value are anomalous.

    Attributes:
        value: in the anomaly map's unit.
        method: "max_f1", "nominal_quantile", "false_positive_rate" or "by_hand".
        calibrated_on: data set name, fingerprint, split and counts; empty when set by hand.
    """

    value: float
    method: str
    calibrated_on: dict[str, Any] = field(default_factory=dict)
