# SPDX-License-Identifier: Apache-2.0
"""The paper's tables by one command; tools/reproduce.py is the entry."""
