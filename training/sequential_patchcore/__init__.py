# SPDX-License-Identifier: Apache-2.0
"""Anomaly detection for surface inspection: a PatchCore memory (coreset) built sequentially, in constant memory.

The names below are the whole public interface; docs/api.md shows them at work. Each is loaded when it is first asked
for (PEP 562), so that the package itself imports nothing. What lies deeper is private by its place.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Name -> the module that defines it.
_PUBLIC = {
    "MemorySettings": "fitting.settings",
    "RunOptions": "fitting.settings",
    "Scorer": "scoring.scorer",
    "SequentialCoreset": "coreset.sequential",
    "TrainSettings": "fitting.settings",
    "UserError": "runtime.errors",
    "add_impurities": "fitting.impurities",
    "build_extractor": "extractors.builder",
    "greedy_coreset": "coreset.greedy",
    "evaluate": "evaluation.evaluator",
    "load_model": "model.file",
    "meld": "coreset.melding",
    "open_dataset": "data.dataset",
    "save_model": "model.file",
    "train": "fitting.training",
}
__all__ = [*sorted(_PUBLIC), "__version__"]

if TYPE_CHECKING:
    from .coreset.greedy import greedy_coreset as greedy_coreset
    from .coreset.melding import meld as meld
    from .coreset.sequential import SequentialCoreset as SequentialCoreset
    from .data.dataset import open_dataset as open_dataset
    from .evaluation.evaluator import evaluate as evaluate
    from .extractors.builder import build_extractor as build_extractor
    from .fitting.impurities import add_impurities as add_impurities
    from .fitting.settings import MemorySettings as MemorySettings
    from .fitting.settings import RunOptions as RunOptions
    from .fitting.settings import TrainSettings as TrainSettings
    from .fitting.training import train as train
    from .model.file import load_model as load_model
    from .model.file import save_model as save_model
    from .runtime.errors import UserError as UserError
    from .scoring.scorer import Scorer as Scorer


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
