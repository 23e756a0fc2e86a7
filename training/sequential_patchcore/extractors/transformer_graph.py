# SPDX-License-Identifier: Apache-2.0
"""A vision transformer as an ONNX graph, from pixels to its tokens as maps, for images of one size.

The position embedding is resampled for each grid of patches by an antialiased bicubic interpolation, for which ONNX has
no operator that computes the same, and a rotary one follows from the grid too. So the size is fixed, and the embedding
of that size is a constant of the graph. Attention goes by in blocks of queries: whole, its matrix of tokens x tokens
would take 4 GB a head at 25,000 of them.
"""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .onnx_graph import OPSET
from .timm_models import load_model

_BLOCK = 32 * 2**20  # bytes of one block's matrix of weights
_FEWEST = 128  # queries a block: each block is three nodes a layer


class BlockwiseAttention(TorchFunctionMode):
    """Inside, `scaled_dot_product_attention` is computed for blocks of queries and put together: the same values."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        masked = kwargs.get("attn_mask") is not None or kwargs.get("is_causal")
        if function is not functional.scaled_dot_product_attention or len(args) != 3 or masked:
            return function(*args, **kwargs)
        queries, keys, values = args
        heads, tokens = math.prod(queries.shape[:-2]), queries.shape[-2]
        block = max(_FEWEST, _BLOCK // (4 * heads * keys.shape[-2]))
        parts = [
            function(queries[..., first : first + block, :], keys, values, **kwargs)
            for first in range(0, tokens, block)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -2)


class _Tokens(nn.Module):
    """(1, 3, H, W) RGB in [0, 1] to the tokens of the wanted blocks, each (1, C, h, w)."""

    def __init__(self, network: nn.Module, blocks: Sequence[int], preprocessing: dict) -> None:
        super().__init__()
        self.network, self._blocks = network, list(blocks)
        self.register_buffer("mean", torch.tensor(preprocessing["mean"])[:, None, None])
        self.register_buffer("std", torch.tensor(preprocessing["std"])[:, None, None])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network.forward_intermediates(
            (images - self.mean) / self.std, indices=self._blocks, norm=True, stop_early=True, output_fmt="NCHW",
            intermediates_only=True,
        ))


def transformer_graph(
    network: nn.Module, backbone: str, blocks: Sequence[int], preprocessing: dict, size: tuple[int, int]
) -> bytes:
    """The graph `images` (1, 3, H, W) float32 RGB in [0, 1] to `map0`, `map1`, ... as a serialised ONNX model.

    Args:
        network: timm's model of that name on a CPU, made for images of any size.
        blocks: positions of the wanted blocks.
        preprocessing: holds `mean` and `std`, by which images are normalised.
        size: (H, W), whole numbers of patches.

    Raises:
        RuntimeError and others: what torch's exporter or timm raise for a network that cannot be written.
    """
    fixed = _of_one_size(network, backbone, size)
    module = _Tokens(fixed, blocks, preprocessing).eval().requires_grad_(False)
    names, written = [f"map{number}" for number in range(len(blocks))], io.BytesIO()
    with warnings.catch_warnings(action="ignore"), BlockwiseAttention():
        torch.onnx.export(
            module, (torch.rand(1, 3, *size),), written, dynamo=False, opset_version=OPSET, input_names=["images"],
            output_names=names,
        )
    return written.getvalue()


def _of_one_size(network: nn.Module, backbone: str, size: tuple[int, int]) -> nn.Module:
    """The same network made for one size, with the position embedding that the other resamples at every image."""
    fixed = load_model(backbone, "none", {"img_size": size, "num_classes": 0})
    state = network.state_dict()
    if state.get("pos_embed") is not None:
        state["pos_embed"] = resample_abs_pos_embed(
            state["pos_embed"], new_size=list(fixed.patch_embed.grid_size),
            old_size=list(network.patch_embed.grid_size),
            num_prefix_tokens=0 if network.no_embed_class else network.num_prefix_tokens,
        )
    fixed.load_state_dict(state)
    return fixed
