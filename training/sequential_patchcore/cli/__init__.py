# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments to one call, errors to one line."""
