# SPDX-License-Identifier: Apache-2.0
"""Scores and labels in, numbers out: counts, rankings, thresholds, regions, intervals."""
