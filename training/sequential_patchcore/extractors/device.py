# SPDX-License-Identifier: Apache-2.0
"""Where the tensors live, and with which arithmetic."""

import torch

from ..runtime.errors import UserError


def choose_device(name: str) -> torch.device:
    """ "auto" takes a GPU if there is one; anything else is taken at its word.

    Raises:
        UserError: unknown, or not on this machine.
    """
    # Ten bits of a product are not enough for distances, and the same image must give the same vectors.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta` makes tensors, but they hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"`device` {name}: not usable on this machine ({str(error).splitlines()[0]})") from error
    return device


def use_threads(count: int | None) -> None:
    """So many threads of the CPU for all that follows, in torch and in ONNX Runtime; None leaves it as it is."""
    if count is not None:
        torch.set_num_threads(count)
