# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture shows where: the exact masks, the inspected region, and labels as a person draws them."""
