# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that a person is meant to read."""


class UserError(Exception):
    """Wrong usage or bad input.

    The message is one line: what was expected, what came, what to do. The headless entry prints it without a
    traceback and exits with 2; the panel shows it. Anything else that escapes is a fault of ours.
    """
