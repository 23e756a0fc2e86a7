# SPDX-License-Identifier: Apache-2.0
"""The rule, learnt from labelled pictures of impurities and of defects, in two forms: linear, and by networks.

Pictures go by once, each in four mirrored forms, and moments and a sample of fixed size are kept of each class, so
memory does not grow with their number. Each half of the plates also teaches by itself, so that what a form makes of the
library can be judged by what has not seen the plate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from ..scoring.limits import Limits, limits_of
from ..scoring.scorer import Scorer
from . import networks, sampling
from .linear import discriminant
from .moments import Moments
from .networks import Networks
from .regions import regions_of
from .truth import cell_classes

NEAR = 0.75  # of the threshold: the distance from which patches are learnt from; docs/impurities.md compares
REACHED = 0.99  # share of the library's patches that lie within reach of the memory's vectors from other images
NETWORKS_A_HALF = 2
_LEAST_PATCHES = 30  # of a class: below, there is nothing to learn from
_MIRRORED = (  # the pictures as they are, and as a plate that lies the other way round shows itself
    lambda array: array, lambda array: array[:, ::-1], lambda array: array[::-1], lambda array: array[::-1, ::-1],
)


LINEAR, NETWORKS = "linear", "networks"

ProductOf = Callable[[Sample], str] | None
"""Tells the product of an image, whose thresholds decide what of it alarms; None: the model's one does."""


@dataclass(frozen=True)
class Form:
    """A form of the rule.

    Attributes:
        name: `LINEAR` or `NETWORKS`.
        whole: what all plates of the library taught.
        halves: what each half of them did.
        likest, near_cells: see `model.naming.Naming`.
        highest: of the operating point. Where scores are log odds of normal distributions, nothing is passed that is
            likelier a defect; the networks' are softened by noise and smoothing, and have no such meaning.
    """

    name: str
    whole: Networks
    halves: tuple[Networks, Networks]
    likest: int
    near_cells: int
    highest: float


@dataclass(frozen=True)
class Learnt:
    """What a library taught, see `model.naming.Naming`.

    Attributes:
        names, kinds: of the G classes.
        forms: of the rule, one or two.
        patches: (G,) how many patches of each class there were, in all mirrored forms.
        reach: (G,) float32, see `Naming`; 0 for defects.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    forms: tuple[Form, ...]
    patches: tuple[int, ...]
    reach: np.ndarray


class Halves:
    """Puts plates into two halves in turn, as they come; all pictures of a plate go into the same."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], int] = {}

    def half(self, dataset: Dataset, sample: Sample) -> int:
        plate = dataset.name, str(sample.group or f"image {sample.id}")
        return self._of.setdefault(plate, len(self._of) % 2)


def learn(
    scorer: Scorer, datasets: Sequence[Dataset], memories: Mapping[str, Memory], halves: Halves, split: str = "train",
    product_of: ProductOf = None,
) -> Learnt:
    """The forms of the rule: the linear one from patches inside predicted regions, the networks from all that the
    nominal memory finds anomalous or nearly so.

    Args:
        scorer: with a threshold.
        datasets: with impurities and with defects, on the same pictures or on others.
        memories: of the impurities whose names may be given; other impurities of the data sets are left out.

    Raises:
        UserError: no threshold; no impurity or no defect among what is predicted; one name for both.
    """
    kinds = _kinds(datasets)
    samples: dict[tuple[str, int], sampling.Sample] = {}
    moments: dict[tuple[str, int], Moments] = {}
    distances: dict[str, list[np.ndarray]] = {name: [] for name in memories}
    images = sum(len(dataset.split(split)) for dataset in datasets)
    with Progress("learning verdicts", images) as progress:
        for dataset in datasets:
            for sample in dataset.split(split):
                half = halves.half(dataset, sample)
                for form in range(len(_MIRRORED)):
                    for name, vectors, predicted in _labelled_patches(scorer, dataset, sample, form, product_of):
                        if kinds[name] == "impurity" and name not in memories:
                            continue
                        if (name, half) not in samples:
                            samples[name, half] = sampling.Sample(vectors.shape[1], len(samples))
                            moments[name, half] = Moments.none(vectors.shape[1])
                        samples[name, half].add(vectors)
                        if form == 0:
                            moments[name, half].add(vectors[predicted])
                        if kinds[name] == "impurity" and form == 0:
                            distances[name].append(
                                _from_other_images(memories[name], (dataset.name, sample.id), vectors[predicted])
                            )
                progress.step()
    reach = {name: _reach(memory, np.concatenate([np.zeros(0, np.float32), *distances[name]]))
             for name, memory in memories.items()}
    return _learnt(samples, moments, kinds, reach)


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


def threshold_of(scorer: Scorer) -> float:
    if scorer.threshold is None:
        raise UserError("the model has no threshold: set one on a validation split first, with `sequential-patchcore "
                        "calibrate` or `Scorer.calibrate`")
    return scorer.threshold.value


def predicted_of(
    scorer: Scorer, dataset: Dataset, sample: Sample, product_of: ProductOf = None
) -> tuple[PatchScores, np.ndarray]:
    """The scored patches of an image, and (H, W) bool what is predicted in its region."""
    region = dataset.region(sample)
    limits = _limits(scorer, sample, region.shape, product_of)
    scored = scorer.patches(dataset.image(sample))
    return scored, binary_map(scored.anomaly_map(), limits.map, region)


def _limits(scorer: Scorer, sample: Sample, size: tuple[int, ...], product_of: ProductOf) -> Limits:
    products = {} if product_of is None or scorer.model is None else scorer.model.products
    name = "" if product_of is None else product_of(sample)
    return limits_of(products, threshold_of(scorer), name, (size[0], size[1]))


def _labelled_patches(
    scorer: Scorer, dataset: Dataset, sample: Sample, form: int, product_of: ProductOf
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Per class of an image its anomalous patches (n, D) float32, and (n,) bool, which lie in predicted regions.

    Args:
        form: which mirrored form of the image.
    """
    if any(instance.pixels is None for instance in sample.instances):
        return  # labelled as a whole: nobody knows which patches
    mirror = _MIRRORED[form]
    image, mask, region = (
        np.ascontiguousarray(mirror(array))
        for array in (dataset.image(sample), dataset.mask(sample), dataset.region(sample))
    )
    limits = _limits(scorer, sample, dataset.image_size(sample), product_of)
    threshold = limits.map if limits.labels is None else np.ascontiguousarray(mirror(limits.map))
    scored = scorer.patches(image)
    anomalous = scored.distances >= NEAR * limits.common
    predicted = np.zeros_like(anomalous)
    cells = regions_of(binary_map(scored.anomaly_map(), threshold, region), scored.grid).cells
    predicted[cells[:, 0], cells[:, 1]] = True
    classes = cell_classes(np.where(region, mask, 0), scored.grid, dataset.classes)
    vectors = scored.vectors.cpu().numpy()
    for info in dataset.classes:
        if (of_class := (classes == info.id) & (anomalous | predicted)).any():
            yield info.name, vectors[of_class], predicted[of_class]


def _kinds(datasets: Sequence[Dataset]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for dataset in datasets:
        for info in dataset.classes:
            if kinds.setdefault(info.name, info.kind) != info.kind:
                raise UserError(f"the class {info.name} is a defect in one data set and an impurity in another")
    return kinds


def _learnt(
    samples: Mapping[tuple[str, int], sampling.Sample], moments: Mapping[tuple[str, int], Moments],
    kinds: dict[str, str], reach: Mapping[str, float],
) -> Learnt:
    seen = {name: [samples[name, half].seen if (name, half) in samples else 0 for half in (0, 1)]
            for name in {name for name, _ in samples}}
    few = sorted(name for name, counts in seen.items() if sum(counts) < _LEAST_PATCHES)
    if few:
        say(f"note: fewer than {_LEAST_PATCHES} anomalous patches of {', '.join(few)}: not learnt")
    names = sorted((name for name in seen if name not in few), key=lambda name: (kinds[name] == "defect", name))
    for kind in ("impurity", "defect"):
        if not any(kinds[name] == kind for name in names):
            raise UserError(
                f"expected pictures with {'impurities' if kind == 'impurity' else 'defects'} that the model finds "
                f"anomalous, to learn verdicts from; there are patches of {', '.join(names) or 'no class'} only"
            )
    shares = [1 / sum(kinds[other] == kinds[name] for other in names) for name in names]
    with Progress("training networks", 2 * NETWORKS_A_HALF * networks.EPOCHS, unit="epoch") as progress:
        first, second = (
            networks.trained(
                [_of_half(samples, name, half) for name in names], shares,
                range(half * NETWORKS_A_HALF, (half + 1) * NETWORKS_A_HALF), progress.step,
            )
            for half in (0, 1)
        )
    forms = (*_linear(moments, names, shares), Form(NETWORKS, first + second, (first, second), 5, 4, np.inf))
    return Learnt(
        tuple(names), tuple(kinds[name] for name in names), forms, tuple(sum(seen[name]) for name in names),
        np.array([reach.get(name, 0.0) for name in names], np.float32),
    )


def _of_half(samples: Mapping[tuple[str, int], sampling.Sample], name: str, half: int) -> np.ndarray:
    """(k, D) patches of a class on one half of the plates; on all of them where that half has hardly any."""
    if (name, half) in samples and samples[name, half].seen >= _LEAST_PATCHES:
        return samples[name, half].vectors
    return np.concatenate([samples[key].vectors for key in ((name, 0), (name, 1)) if key in samples])


def _linear(
    moments: Mapping[tuple[str, int], Moments], names: Sequence[str], shares: Sequence[float]
) -> tuple[Form, ...]:
    """The linear form; none where a class has hardly a patch inside predicted regions."""
    def of(name: str, halves: Sequence[int]) -> Moments:
        parts = [moments[name, half] for half in halves if (name, half) in moments]
        return sum(parts[1:], parts[0]) if parts else Moments(0, np.zeros(0), np.zeros((0, 0)))

    both = [of(name, (0, 1)) for name in names]
    if any(each.count < _LEAST_PATCHES for each in both):
        return ()
    first, second = (
        discriminant([
            part if (part := of(name, (half,))).count >= _LEAST_PATCHES else whole
            for name, whole in zip(names, both, strict=True)
        ], shares)
        for half in (0, 1)
    )
    return (Form(LINEAR, discriminant(both, shares), (first, second), 3, 0, 0.0),)
