# SPDX-License-Identifier: Apache-2.0
"""The one error that a person is meant to read."""


class UserError(Exception):
    """Wrong usage or bad input.

    The message is one line: what was expected, what came, what to do. A setting is named in backquotes by its Python
    name, alone: "only 12 patches for `coreset_size` 16". Whoever calls from Python reads it as it is; the command line
    shows it as the option of the running command, --coreset-size (`cli/option_names.py`), prints the message without
    a traceback and exits with 2. Anything else that escapes is a fault of ours and exits with 1.
    """
