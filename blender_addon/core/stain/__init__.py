# SPDX-License-Identifier: GPL-3.0-or-later
"""The water stain: its parameters, its field, and where on a plate it can be at all."""
