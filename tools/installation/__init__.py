# SPDX-License-Identifier: Apache-2.0
"""What `make setup` finds on a machine, and what it puts there; `tools/environments.py` is the command."""
