# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the installed add-on, run inside Blender by `addon_session.py`."""
