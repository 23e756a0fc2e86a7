# SPDX-License-Identifier: Apache-2.0
"""Patch vectors from a network that was trained on ImageNet: the feature maps at strides 8 and 16 of a timm model."""

import hashlib
import logging
import os
from pathlib import Path

import torch
from torch.nn import functional

from ..errors import UserError
from . import torchvision_repair  # noqa: F401  (before timm)
from .alignment import measure_offsets, resample
from .base import ExtractorSettings, average_pool

import timm  # isort: skip

STRIDES = (8, 16)

logging.getLogger("timm").setLevel(logging.ERROR)  # it reports the unused classifier of every weights file


class TimmBackbone:
    """The paper's feature extractor (section IV): average-pooled maps, upsampled to the finer grid, concatenated.

    Args:
        settings: see `ExtractorSettings`.
        weights: "hub" (timm's own, downloaded once), "none" (random, drawn with a fixed seed), or a file that timm
            can load into the model of this name (.pth, .safetensors).

    Raises:
        UserError: unknown model, no feature maps at these strides, no weights to be had, or a file that does not fit.
    """

    def __init__(self, settings: ExtractorSettings, weights: str = "hub") -> None:
        self.settings = settings
        network = _create(settings.backbone, weights)
        info = network.feature_info
        self._maps = [position for position, step in enumerate(info.reduction()) if step in STRIDES]
        if [info.reduction()[position] for position in self._maps] != list(STRIDES):
            raise UserError(
                f"backbone {settings.backbone} has feature maps at strides {info.reduction()}, needed are 8 and 16; "
                "choose another (mobilenetv3_large_100, resnet18, wide_resnet50_2, vgg16_bn, ...)"
            )
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        config = network.pretrained_cfg
        self.dimension = sum(info.channels()[position] for position in self._maps)
        self.stride = STRIDES[0]
        self.layers = [info.module_name()[position] for position in self._maps]
        self.preprocessing = {"mean": list(config["mean"]), "std": list(config["std"])}
        self.weights = {"hub": "hub", "none": "random"}.get(weights, Path(weights).name)
        self.weights_fingerprint = _fingerprint(network)
        self.to(torch.device("cpu"))
        # The average over an even number of cells looks half a cell further on.
        further = 0.5 if settings.pool % 2 == 0 else 0.0
        fine, coarse = (
            offset + further * stride
            for offset, stride in zip(measure_offsets(self._maps_of, STRIDES), STRIDES, strict=True)
        )
        self.offset = fine
        self._first_in_coarse = (fine - coarse) / STRIDES[1]  # where the first fine cell looks, in coarse cells

    def to(self, device: torch.device) -> "TimmBackbone":
        self.network.to(device)
        self._mean, self._std = (
            torch.tensor(self.preprocessing[key], device=device)[:, None, None] for key in ("mean", "std")
        )
        return self

    def _maps_of(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) RGB in [0, 1] to the maps at strides 8 and 16."""
        images = ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        maps = self.network(images)
        return [maps[position] for position in self._maps]

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        fine, coarse = (average_pool(maps, self.settings.pool) for maps in self._maps_of(images))
        coarse = resample(coarse, fine.shape[-2:], STRIDES[0] / STRIDES[1], self._first_in_coarse)
        if self.settings.unit_maps:
            fine, coarse = functional.normalize(fine, dim=1), functional.normalize(coarse, dim=1)
        return torch.cat([fine, coarse], 1).permute(0, 2, 3, 1).contiguous()


def _create(name: str, weights: str) -> torch.nn.Module:
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise UserError(
            f"unknown backbone {name!r}: expected 'filters' or a timm model" + (f", such as {near}" if near else "")
        )
    try:
        # A model names its maps by position; those beyond stride 16 are never computed when the list ends there.
        reductions = _with_random_weights(name, {}).feature_info.reduction()
        keep = tuple(position for position, step in enumerate(reductions) if step <= STRIDES[-1])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"backbone {name} gives no feature maps ({error}); choose another") from error
    if weights == "none":
        return _with_random_weights(name, {"out_indices": keep})
    if weights == "hub":
        return _from_hub(name, keep)
    return _from_file(name, keep, Path(weights))


def _with_random_weights(name: str, options: dict) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(name, pretrained=False, features_only=True, **options)


def _from_hub(name: str, keep: tuple[int, ...]) -> torch.nn.Module:
    try:
        return timm.create_model(name, pretrained=True, features_only=True, out_indices=keep)
    except (OSError, RuntimeError) as error:  # huggingface_hub's errors are OSErrors, a missing entry a RuntimeError
        raise UserError(
            f"no weights for {name}: the hub could not be reached and nothing is cached ({type(error).__name__}); "
            "give a file with --weights FILE, or take --backbone filters, which needs none"
        ) from error


def _from_file(name: str, keep: tuple[int, ...], file: Path) -> torch.nn.Module:
    if not file.is_file():
        raise UserError(f"no weights file at {file}; expected .safetensors or .pth for the timm model {name}")
    try:
        # timm ignores keys that a file lacks, so the names are compared here. The file may hold the whole classifier.
        state = timm.models.load_state_dict(str(file), device="cpu", weights_only=True)
        whole = timm.create_model(name, pretrained=False)
        missing, _ = whole.load_state_dict(_fitting(state, whole), strict=False)
        missing = [key for key in missing if not key.endswith("num_batches_tracked")]
        needed = [key for key in missing if not key.startswith(("classifier", "fc.", "head"))]
        if needed:
            raise UserError(f"{file} does not fit {name}: {len(needed)} of its weights are absent, such as {needed[0]}")
        overlay = {"file": os.fspath(file)}
        return timm.create_model(
            name, pretrained=True, features_only=True, out_indices=keep, pretrained_cfg_overlay=overlay
        )
    except UserError:
        raise
    except Exception as error:  # a damaged file raises whatever its reader's depths raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{file} could not be loaded as weights of {name}: {reason}") from error


def _fitting(state: dict, model: torch.nn.Module) -> dict:
    """The entries whose name and shape the model has."""
    own = model.state_dict()
    return {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}


def _fingerprint(network: torch.nn.Module) -> str:
    state = network.state_dict()
    sha = hashlib.sha256()
    for key in sorted(state):
        sha.update(key.encode())
        sha.update(state[key].cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]
