# SPDX-License-Identifier: Apache-2.0
"""Data sets made of what other tools write."""
