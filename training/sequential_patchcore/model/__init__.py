# SPDX-License-Identifier: Apache-2.0
"""The model file: a coreset, where each vector came from, and all that is needed to use it."""
