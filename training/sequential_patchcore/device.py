# SPDX-License-Identifier: Apache-2.0
"""Where the tensors live."""

import torch

from .errors import UserError


def choose_device(name: str) -> torch.device:
    """ "auto" takes a GPU if there is one; anything else is taken at its word.

    Raises:
        UserError: unknown, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta` makes tensors, but they hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {name}: not usable on this machine ({str(error).splitlines()[0]})") from error
    return device
