# SPDX-License-Identifier: Apache-2.0
"""The one error that a person is meant to read."""


class UserError(Exception):
    """Wrong usage or bad input.

    The message is one line: what was expected, what came, what to do. `cli.py` prints it without a traceback and
    exits with 2. Anything else that escapes is a fault of ours and exits with 1.
    """
