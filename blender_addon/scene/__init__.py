# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin builders: settings in, Blender objects out. They take no arguments from the command line and print nothing."""
