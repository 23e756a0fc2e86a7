# SPDX-License-Identifier: GPL-3.0-or-later
"""One hash, one noise, one jittered grid: what every random field here is made of, float32 as in the shaders."""
