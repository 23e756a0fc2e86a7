# SPDX-License-Identifier: Apache-2.0
"""All that is wrong with a model file, computed values included."""

from pathlib import Path

import h5py
import numpy as np

from ..runtime.errors import UserError
from .contents import Model
from .reading import read


def check_model(path: str | Path) -> list[str]:
    """All that is wrong with a model file, in words; empty when it is sound."""
    try:
        model = read(Path(path))
    except UserError as error:
        return [str(error)]
    with h5py.File(path, "r") as file:
        recorded = file.attrs.get("fingerprint")
    return _contradictions(model, recorded)


def _contradictions(model: Model, fingerprint: object) -> list[str]:
    """What only a computation shows: the recorded fingerprint and separation against the vectors themselves."""
    from ..coreset.engine import Coreset, CoresetEngine  # torch and numba take seconds to import

    problems = []
    if not isinstance(fingerprint, str) or fingerprint != model.fingerprint:
        problems.append(f"fingerprint is recorded as {fingerprint}, vectors and extractor give {model.fingerprint}")
    memories = {f"memories/{name}: ": (memory.vectors, memory.separation) for name, memory in model.memories.items()}
    for where, (vectors, recorded) in {"": (model.features, model.separation), **memories}.items():
        size, dimension = vectors.shape
        if size < 2:
            continue
        coreset = CoresetEngine(size, dimension, initial=Coreset(vectors, np.zeros(size, np.int64)))
        if not np.isclose(coreset.separation, recorded, rtol=1e-9, atol=0):
            problems.append(
                f"{where}separation is recorded as {recorded:.9g}, the vectors give {coreset.separation:.9g}"
            )
    return problems
