# SPDX-License-Identifier: Apache-2.0
"""Sequential PatchCore: a PatchCore memory for surface inspection, built one chunk of patches at a time."""

__version__ = "0.1.0"
