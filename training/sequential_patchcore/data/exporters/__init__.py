# SPDX-License-Identifier: Apache-2.0
"""Data sets written in the layouts of other tools."""
