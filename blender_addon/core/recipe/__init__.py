# SPDX-License-Identifier: GPL-3.0-or-later
"""From a recipe's file to sample k: every value that is drawn, where features lie, and which point a pixel shows."""
