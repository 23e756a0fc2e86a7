# SPDX-License-Identifier: GPL-3.0-or-later
"""From recipe to files: the passes of one sample, the loop over many, and the command around it."""
