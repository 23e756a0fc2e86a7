# SPDX-License-Identifier: Apache-2.0
"""Batch norms folded into the convolutions before them: the same maps up to rounding, by fewer passes over them.

In evaluation a batch norm is one factor and one summand a channel, and so is a part of the convolution's weights and
bias. torch's own engine computes it as an operation of its own; ONNX Runtime folds it by itself.
"""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _Rest(nn.Module):
    """What is left of timm's batch norm with an activation."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.drop, self.act = norm.drop, norm.act

    def forward(self, maps):  # type: ignore[no-untyped-def]
        return self.act(self.drop(maps))


def folded(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode without the batch norms that stand right behind a convolution.

    A module's parts are taken to be computed in the order in which it holds them. That is so in timm's convolutional
    networks, but nothing says it: who uses the copy compares it with the network first.
    """
    whole = copy.deepcopy(network)
    _fold(whole)
    return whole


def _fold(module: nn.Module) -> None:
    before: tuple[str, nn.Module] | None = None
    for name, part in list(module.named_children()):
        if isinstance(part, nn.BatchNorm2d) and before is not None and isinstance(before[1], nn.Conv2d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], part))
            setattr(module, name, _Rest(part) if hasattr(part, "act") else nn.Identity())
            before = None
            continue
        before = name, part
        _fold(part)
