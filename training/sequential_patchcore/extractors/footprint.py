# SPDX-License-Identifier: Apache-2.0
"""What an extractor takes of memory: its libraries and weights, and for images of a size what it makes of one."""

import math
from collections.abc import Callable

import torch
from torch import nn

from ..runtime.choices import ONNX, TORCH
from .base import Extractor, scaled_size

_LIBRARIES = math.ceil(0.15 * 2**30)  # timm, and what building the whole network leaves behind
_PROBE = 256  # pixels of the test image that activations are measured on
_BYTES_OF_FILTERS = 60.0  # per pixel: the filter bank works in bands; measured as in docs/real_data.md
# glibc keeps what is freed of blocks below 32 MiB (M_MMAP_THRESHOLD in mallopt(3)) for the next ones, which rarely
# fit. Found with images of 1.3 megapixels; where the image
# itself is such a large block, as at 5 megapixels, so are most of the activations, and nothing to speak of is kept.
_KEPT_SHARE, _KEPT_AT_MOST, _KEPT_BELOW = 1.0, 5 * 32 * 2**20, 32 * 2**20
# Of a network with its batch norms folded, found on five networks at 2448 x 2050: what the heap that keeps freed memory
# leaves unused between, and what a convolution of many channels works with, copies of its input and output in another
# layout.
_GAPS, _WORKED_WITH, _MANY_CHANNELS = 1.6, 1.25, 16
# Where tensors cannot be counted: a layer's input, its output, what goes round it, and a copy in another form.
_LAYERS_ALIVE = 4

# ONNX Runtime beside torch, measured as in docs/deployment.md:
_ENGINE = 64 * 2**20  # the library
_ENGINES_WEIGHTS = 2  # copies of the weights: as they are, and in the order that its convolutions want
# Times the tensors that torch holds at once in the network: its memory on five networks at 2448 x 2050, and a reserve.
# Copies in another order of the channels and what its allocator rounds up are in it; batch norms that it folds make up.
_OF_THE_LIVE = 1.3
_OF_THE_LARGEST = 2.6  # where tensors cannot be counted: times the largest input and output of a convolution
_COPIES = 3  # of an image's patches while they are put together


class Footprint:
    """Bytes by cause; the activations are measured once, on a small image.

    Attributes:
        libraries: what a network's libraries add to the process; 0 for the filter bank.
        weights: of the network; 0 for the filter bank.
    """

    def __init__(self, extractor: Extractor) -> None:
        self._dimension, self._stride = extractor.dimension, extractor.stride
        self._image_scale = extractor.settings.image_scale
        self._keeps = getattr(extractor, "engine", TORCH) == ONNX
        measure = engine_bytes_per_pixel if self._keeps else activation_bytes_per_pixel
        self._activations = measure(extractor)
        copies = getattr(getattr(extractor, "inner", extractor), "copies", 1)
        if copies > 1 and not self._keeps:
            self._activations = _GAPS * self._activations + _WORKED_WITH * _worked_with_per_pixel(extractor)
        self.weights = weight_bytes(extractor) * (copies + (_ENGINES_WEIGHTS if self._keeps else 0))
        self.libraries = (_LIBRARIES if self.weights else 0) + (_ENGINE if self._keeps else 0)

    def image(self, size: tuple[int, int]) -> int:
        """An image of (H, W) pixels, scaled, and as a tensor."""
        if self._image_scale == 1 and not self.weights:
            return _pixels(size) * 3 * 4  # the filter bank takes it as it is
        return (_pixels(size) + 2 * _pixels(scaled_size(size, self._image_scale))) * 3 * 4

    def features(self, size: tuple[int, int]) -> int:
        """The activations of an image of (H, W) pixels, with what the allocator keeps of them, or its patches."""
        scaled = scaled_size(size, self._image_scale)
        activations = int(_pixels(scaled) * self._activations)
        if self._keeps:  # what ONNX Runtime has taken it holds for the next image, while the patches are made and used
            return activations + _COPIES * _cells(scaled, self._stride) * self._dimension * 4
        is_small = bool(self.weights) and _pixels(scaled) * 3 * 4 < _KEPT_BELOW  # the filter bank's bands are alike
        kept = int(min(_KEPT_SHARE * activations, _KEPT_AT_MOST)) if is_small else 0
        return max(activations + kept, 2 * _cells(scaled, self._stride) * self._dimension * 4)


def _cells(size: tuple[int, int], stride: int) -> int:
    return -(-size[0] // stride) * -(-size[1] // stride)


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def weight_bytes(extractor: Extractor) -> int:
    """What the network's parameters and buffers take; 0 for the filter bank."""
    network = _network_of(extractor)
    if network is None:
        return 0
    return sum(tensor.numel() * tensor.element_size() for tensor in (*network.parameters(), *network.buffers()))


def activation_bytes_per_pixel(extractor: Extractor) -> float:
    """Peak of the activations and patches, counted on a small image; estimated where this torch does not let count."""
    network = _network_of(extractor)
    if network is None:
        return _BYTES_OF_FILTERS
    image = torch.zeros(1, 3, _PROBE, _PROBE, device=next(network.parameters()).device)
    extractor(image)  # what is made once is made now
    try:
        from .live_bytes import peak_live_bytes
    except ImportError:  # another torch, without the parts that it leans on
        running = getattr(getattr(extractor, "inner", extractor), "running_network", network)
        alive = _LAYERS_ALIVE - (running is not network)  # folded, no batch norm makes a copy of its own
        return estimated_bytes(running, lambda: extractor(image), alive) / _PROBE**2
    return peak_live_bytes(lambda: extractor(image)) / _PROBE**2


@torch.inference_mode()
def engine_bytes_per_pixel(extractor: Extractor) -> float:
    """What ONNX Runtime takes for an image, found from what torch holds at once for the maps of a small one."""
    network = _network_of(extractor)
    image = torch.zeros(1, 3, _PROBE, _PROBE)
    network(image)  # what is made once is made now
    try:
        from .live_bytes import peak_live_bytes
    except ImportError:
        return _OF_THE_LARGEST * _largest_convolution(network, image, 1) / _PROBE**2
    return _OF_THE_LIVE * peak_live_bytes(lambda: network(image)) / _PROBE**2


@torch.inference_mode()
def _worked_with_per_pixel(extractor: Extractor) -> float:
    network = _network_of(extractor)
    image = torch.zeros(1, 3, _PROBE, _PROBE, device=next(network.parameters()).device)
    return _largest_convolution(network, image, _MANY_CHANNELS) / _PROBE**2


def _largest_convolution(network: nn.Module, image: torch.Tensor, channels: int) -> int:
    """Bytes of the largest input and output of a convolution over so many channels of its input, or more, at once."""
    largest = 0

    def note(_layer: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, sum(tensor.numel() * tensor.element_size() for tensor in (*arguments[:1], output)))

    hooks = [layer.register_forward_hook(note) for layer in network.modules()
             if isinstance(layer, nn.Conv2d) and layer.in_channels // layer.groups >= channels]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return largest


@torch.inference_mode()
def estimated_bytes(network: nn.Module, action: Callable[[], torch.Tensor], alive: int = _LAYERS_ALIVE) -> int:
    """Rather more than lies in tensors at the same time which `action` makes by running the network, and returns.

    Found from the layers' outputs: what is returned, twice, and the largest output of a layer `alive` times.
    """
    largest = 0

    def note(_layer: nn.Module, _arguments: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, torch.Tensor):
            largest = max(largest, output.numel() * output.element_size())

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        returned = action()
    finally:
        for hook in hooks:
            hook.remove()
    return 2 * returned.numel() * returned.element_size() + alive * largest


def _network_of(extractor: Extractor) -> nn.Module | None:
    network = getattr(extractor, "network", None)
    return network if isinstance(network, nn.Module) else None
