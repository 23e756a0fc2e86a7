# SPDX-License-Identifier: GPL-3.0-or-later
"""What a data set is stored as: the folder, its PNGs and float maps; and the renderer's EXR files, read back."""
