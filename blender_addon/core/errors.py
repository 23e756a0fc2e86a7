# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that a person is meant to read."""


class UserError(Exception):
    """Wrong usage or bad input.

    The message is one line: what was expected, what came, what to do. The headless entry prints it without a
    traceback and exits with 2; the panel shows it. Anything else that escapes is a fault of ours.
    """


_LONGEST = 1500
"""Characters of a message that is printed."""


def one_line(error: UserError) -> str:
    """The message as it is printed; one that quotes a whole file is cut in its middle."""
    line = " ".join(str(error).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 3 :]}"
