# SPDX-License-Identifier: Apache-2.0
"""Names that the command line needs before torch is loaded."""

FILTERS = "filters"
DEFAULT_BACKBONE = "mobilenetv3_large_100"

LOWER_INDEX = "lower-index"
SEEDED_RANDOM = "seeded-random"
EVICTIONS = (LOWER_INDEX, SEEDED_RANDOM)

SEQUENTIAL = "sequential"
GREEDY = "greedy"
CORESETS = (SEQUENTIAL, GREEDY)

NORMALISATIONS = ("weights", "imagenet", "half", "none")
PRECISIONS = ("float32", "bfloat16", "float16")
