# SPDX-License-Identifier: GPL-3.0-or-later
"""The maths and the records: NumPy and the standard library, never bpy."""
