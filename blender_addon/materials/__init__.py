# SPDX-License-Identifier: GPL-3.0-or-later
"""The stain on any material: where it has to act, how, put in and taken out again; and its mask in the viewport."""
