# SPDX-License-Identifier: Apache-2.0
"""timm's models by name, with weights from its hub, from a file, or random; and what identifies them."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..runtime.errors import UserError
from .hub import offline_where_unreachable

try:
    import timm
except RuntimeError as error:  # timm imports torchvision, whose compiled part fits one torch alone
    if "torchvision::nms" not in str(error):
        raise
    raise UserError(
        f"torchvision does not fit torch {torch.__version__} here ({error}), and timm's networks need it; install the "
        "two from one source, both for CUDA or both for the CPU, or take the `backbone` 'filters', which needs none"
    ) from error

STATISTICS = {"imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), "half": ([0.5] * 3, [0.5] * 3),
              "none": ([0.0] * 3, [1.0] * 3)}


@contextmanager
def quiet_timm() -> Iterator[None]:
    """Inside, timm keeps to itself that the classifier of a weights file is not used."""
    logger = logging.getLogger("timm")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def check_name(name: str) -> None:
    """
    Raises:
        UserError: timm has no model of this name.
    """
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise UserError(
            f"unknown backbone {name!r}: expected 'filters' or a timm model" + (f", such as {near}" if near else "")
        )


def is_transformer(name: str) -> bool:
    """Whether all of a model's feature maps have one stride, as a plain vision transformer's have.

    Raises:
        UserError: no such model, or one without feature maps.
    """
    check_name(name)
    reductions = _plan_of(name).feature_info.reduction()
    return len(set(reductions)) == 1


def feature_network(
    name: str, weights: str, wanted: Callable[[object], list[int]]
) -> tuple[torch.nn.Module, list[int]]:
    """A convolutional model that ends at the deepest map wanted, and the positions of the wanted maps.

    Args:
        wanted: from timm's `feature_info` to positions.

    Raises:
        UserError: see `TimmBackbone`.
    """
    check_name(name)
    info = _plan_of(name).feature_info
    positions = wanted(info)
    # A model names its maps by position; those beyond the deepest one wanted are never computed when the list ends.
    deepest = max(info.reduction()[position] for position in positions)
    keep = tuple(position for position, step in enumerate(info.reduction()) if step <= deepest)
    if len(keep) <= max(positions):
        keep = tuple(range(max(positions) + 1))
    options = {"features_only": True, "out_indices": keep}
    return load_model(name, weights, options), positions


@quiet_timm()
def load_model(name: str, weights: str, options: dict) -> torch.nn.Module:
    """`timm.create_model` with the weights of a place: "hub", "none" or a file."""
    if weights == "none":
        return with_random_weights(name, options)
    if weights == "hub":
        return _from_hub(name, options)
    return _from_file(name, options, Path(weights))


@quiet_timm()
def _plan_of(name: str) -> torch.nn.Module:
    """The model with its feature maps, without memory for its weights."""
    try:
        with torch.device("meta"):
            return timm.create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, TypeError, AttributeError, NotImplementedError) as error:
        raise UserError(f"backbone {name} gives no feature maps ({error}); choose another") from error


def name_of_weights(weights: str) -> str:
    """For people: "hub", "random" or the file's name."""
    return {"hub": "hub", "none": "random"}.get(weights, Path(weights).name)


def input_statistics(network: torch.nn.Module, normalisation: str) -> dict:
    """Mean and standard deviation that images are normalised with: as the weights were trained, or as asked for."""
    if normalisation == "weights":
        config = network.pretrained_cfg
        return {"mean": list(config["mean"]), "std": list(config["std"])}
    mean, std = STATISTICS[normalisation]
    return {"mean": list(mean), "std": list(std)}


def with_random_weights(name: str, options: dict) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(name, pretrained=False, **options)


def _from_hub(name: str, options: dict) -> torch.nn.Module:
    try:
        with offline_where_unreachable():
            return timm.create_model(name, pretrained=True, **options)
    except (OSError, RuntimeError) as error:  # huggingface_hub's errors are OSErrors, a missing entry a RuntimeError
        raise UserError(
            f"no weights for {name}: the hub could not be reached and nothing is cached ({type(error).__name__}); "
            "give a file as `weights`, or take the `backbone` 'filters', which needs none"
        ) from error


def _from_file(name: str, options: dict, file: Path) -> torch.nn.Module:
    if not file.is_file():
        raise UserError(f"no weights file at {file}; expected .safetensors or .pth for the timm model {name}")
    try:
        # timm ignores keys that a file lacks, so the names are compared here. The file may hold the whole classifier.
        state = timm.models.load_state_dict(str(file), device="cpu", weights_only=True)
        whole = timm.create_model(name, pretrained=False)
        missing, _ = whole.load_state_dict(_fitting(state, whole), strict=False)
        missing = [key for key in missing if not key.endswith("num_batches_tracked")]
        needed = [key for key in missing if not key.startswith(("classifier", "fc.", "head", "mask_token"))]
        if needed:
            raise UserError(f"{file} does not fit {name}: {len(needed)} of its weights are absent, such as {needed[0]}")
        overlay = {"file": os.fspath(file)}
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except UserError:
        raise
    except Exception as error:  # a damaged file raises whatever its reader's depths raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{file} could not be loaded as weights of {name}: {reason}") from error


def _fitting(state: dict, model: torch.nn.Module) -> dict:
    """The entries whose name and shape the model has."""
    own = model.state_dict()
    return {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}


def fingerprint_of(network: torch.nn.Module) -> str:
    state = network.state_dict()
    sha = hashlib.sha256()
    for key in sorted(state):
        sha.update(key.encode())
        sha.update(state[key].cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]
