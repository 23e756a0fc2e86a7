# SPDX-License-Identifier: Apache-2.0
"""Messages name settings as Python does; on the command line the same settings are options."""

import argparse
import re
from collections.abc import Mapping
from typing import Any

_SETTING = re.compile(r"`([a-z][a-z0-9_]*)`")


class Command(argparse.ArgumentParser):
    """The parser of one command.

    Attributes:
        option_names: its options, such as --coreset-size, by the names of their values, such as coreset_size.
    """

    def __init__(self, *positional: Any, **named: Any) -> None:
        self.option_names: dict[str, str] = {}
        super().__init__(*positional, **named)

    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:
        action = super().add_argument(*names, **how)
        if action.option_strings:
            self.option_names[action.dest] = action.option_strings[-1]
        return action


def as_options(message: str, option_names: Mapping[str, str]) -> str:
    """The message with each setting in backquotes, such as `coreset_size`, as the option that it is.

    What the running command has no option for stays as it is, backquotes and all.
    """
    return _SETTING.sub(lambda found: option_names.get(found[1], found[0]), message)
