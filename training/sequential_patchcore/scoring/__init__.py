# SPDX-License-Identifier: Apache-2.0
"""From a model to scores: anomaly maps, the threshold, and where the nearest nominal patch came from."""
