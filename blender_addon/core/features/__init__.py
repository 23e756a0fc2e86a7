# SPDX-License-Identifier: GPL-3.0-or-later
"""What can lie on a plate beside the stain: one module a feature, all of one shape (`feature.py`).

A new one is a copy of a module and a line in `classes.py`; docs/new_feature.md does it.
"""
