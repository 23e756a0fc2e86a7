# SPDX-License-Identifier: GPL-3.0-or-later
"""Features on any triangle mesh: where they may lie, and how a field over a plane is carried onto the surface."""
