# SPDX-License-Identifier: Apache-2.0
"""The rule, learnt from labelled pictures of impurities and of defects: linear discriminant analysis of their patches.

Pictures go by once; what is kept are moments, so memory does not grow with their number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..coreset.search import NearestSearch
from ..data.dataset import Dataset, Sample
from ..metrics.binarize import binary_map
from ..model.file import Memory
from ..runtime.errors import UserError
from ..runtime.progress import Progress, say
from ..scoring.anomaly_map import PatchScores
from ..scoring.scorer import Scorer
from .moments import Moments, pooled_covariance
from .regions import regions_of
from .truth import cell_classes

SHRINKAGE = 0.5  # of the covariance towards its diagonal; docs/impurities.md compares
REACHED = 0.99  # share of the library's patches that lie within reach of the memory's vectors from other images
_LEAST_PATCHES = 30  # of a class: below, its mean is a guess


@dataclass(frozen=True)
class Discriminant:
    """Linear scores of classes, see `model.naming.Naming`.

    Attributes:
        names, kinds: of the G classes.
        weights: (G, D) float32.
        offsets: (G,) float32.
        patches: (G,) of how many patches each was learnt.
        reach: (G,) float32, see `Naming`; 0 for defects.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    weights: np.ndarray
    offsets: np.ndarray
    patches: tuple[int, ...]
    reach: np.ndarray


def learn(
    scorer: Scorer, datasets: Sequence[Dataset], memories: Mapping[str, Memory], split: str = "train"
) -> Discriminant:
    """The rule's scores, from the patches that the nominal memory finds anomalous.

    Only patches inside predicted regions are learnt from, since no others are ever judged.

    Args:
        scorer: with a threshold.
        datasets: with impurities and with defects, on the same pictures or on others.
        memories: of the impurities whose names may be given; other impurities of the data sets are left out.

    Raises:
        UserError: no threshold; no impurity or no defect among what is predicted; one name for both.
    """
    kinds = _kinds(datasets)
    moments: dict[str, Moments] = {}
    distances: dict[str, list[np.ndarray]] = {name: [] for name in memories}
    images = sum(len(dataset.split(split)) for dataset in datasets)
    with Progress("learning verdicts", images) as progress:
        for dataset in datasets:
            for sample in dataset.split(split):
                for name, vectors in _labelled_patches(scorer, dataset, sample):
                    if kinds[name] == "impurity" and name not in memories:
                        continue
                    moments.setdefault(name, Moments.none(vectors.shape[1])).add(vectors)
                    if kinds[name] == "impurity":
                        distances[name].append(_from_other_images(memories[name], (dataset.name, sample.id), vectors))
                progress.step()
    reach = {name: _reach(memory, np.concatenate([np.zeros(0, np.float32), *distances[name]]))
             for name, memory in memories.items()}
    return _discriminant(moments, kinds, reach)


def _from_other_images(memory: Memory, image: tuple[str, str], vectors: np.ndarray) -> np.ndarray:
    """(n, D) patches of an image to the distance of each to the nearest vector that is not of that image.

    A memory may hold all patches that it was made of, at distance 0; what to expect of new ones, only other images say.
    """
    others = memory.vectors[[memory.sources[row] != image for row in memory.source]]
    if not len(others):
        return np.zeros(0, np.float32)
    return NearestSearch(others).distances(torch.from_numpy(np.ascontiguousarray(vectors))).numpy()


def _reach(memory: Memory, distances: np.ndarray) -> float:
    """How far new patches of the class may be expected from the memory; its separation where nothing says."""
    return float(np.quantile(distances, REACHED)) if len(distances) else memory.separation


def predicted_of(scorer: Scorer, dataset: Dataset, sample: Sample) -> tuple[PatchScores, np.ndarray]:
    """The scored patches of an image, and (H, W) bool what is predicted in its region."""
    if scorer.threshold is None:
        raise UserError("the model has no threshold: set one on a validation split first, with `sequential-patchcore "
                        "calibrate` or `Scorer.calibrate`")
    scored = scorer.patches(dataset.image(sample))
    return scored, binary_map(scored.anomaly_map(), scorer.threshold.value, dataset.region(sample))


def _labelled_patches(scorer: Scorer, dataset: Dataset, sample: Sample) -> Iterator[tuple[str, np.ndarray]]:
    """Per class of an image its patches (n, D) float32 inside predicted regions."""
    if any(instance.pixels is None for instance in sample.instances):
        return  # labelled as a whole: nobody knows which patches
    scored, predicted = predicted_of(scorer, dataset, sample)
    if not predicted.any():
        return
    cells = np.unique(regions_of(predicted, scored.grid).cells, axis=0)
    mask = np.where(dataset.region(sample), dataset.mask(sample), 0)
    classes = cell_classes(mask, scored.grid, dataset.classes)[cells[:, 0], cells[:, 1]]
    vectors = scored.vectors.cpu().numpy()[cells[:, 0], cells[:, 1]]
    for info in dataset.classes:
        if (of_class := classes == info.id).any():
            yield info.name, vectors[of_class]


def _kinds(datasets: Sequence[Dataset]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for dataset in datasets:
        for info in dataset.classes:
            if kinds.setdefault(info.name, info.kind) != info.kind:
                raise UserError(f"the class {info.name} is a defect in one data set and an impurity in another")
    return kinds


def _discriminant(
    moments: dict[str, Moments], kinds: dict[str, str], reach: Mapping[str, float]
) -> Discriminant:
    few = sorted(name for name, found in moments.items() if found.count < _LEAST_PATCHES)
    if few:
        say(f"note: fewer than {_LEAST_PATCHES} anomalous patches of {', '.join(few)}: not learnt")
    names = sorted((name for name in moments if name not in few), key=lambda name: (kinds[name] == "defect", name))
    for kind in ("impurity", "defect"):
        if not any(kinds[name] == kind for name in names):
            raise UserError(
                f"expected pictures with {'impurities' if kind == 'impurity' else 'defects'} that the model finds "
                f"anomalous, to learn verdicts from; there are patches of {', '.join(names) or 'no class'} only"
            )
    known = [moments[name] for name in names]
    precision = np.linalg.inv(pooled_covariance(known, SHRINKAGE))
    means = np.stack([each.mean for each in known])
    weights = means @ precision
    # Each kind is as likely as the other, and so are the classes of a kind: how often they come, a library cannot say.
    share = np.array([sum(kinds[other] == kinds[name] for other in names) for name in names])
    offsets = -0.5 * (weights * means).sum(1) - np.log(share)
    return Discriminant(
        tuple(names), tuple(kinds[name] for name in names), weights.astype(np.float32), offsets.astype(np.float32),
        tuple(each.count for each in known), np.array([reach.get(name, 0.0) for name in names], np.float32),
    )
