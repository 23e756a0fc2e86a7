# SPDX-License-Identifier: Apache-2.0
"""The coreset rule and the greedy baseline: arrays in, arrays out; no files, no images, no printing."""
