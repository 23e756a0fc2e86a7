# SPDX-License-Identifier: Apache-2.0
"""The whole rule of verdicts: learnt from a library, its operating point set on validation plates."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..data.dataset import Dataset, Sample
from ..metrics.binomial import CONFIDENCE
from ..model.file import Model
from ..model.naming import PRODUCTS, Naming, promise_in_words
from ..model.products import entry_of, products_digest
from ..runtime.errors import UserError
from ..runtime.progress import Progress, say
from ..scoring.scorer import Scorer
from .learning import NEAR, Form, Halves, ProductOf, learn, predicted_of, threshold_of
from .namer import Namer
from .networks import Networks
from .operating_point import JudgedRegion, operating_point
from .regions import regions_of
from .truth import region_truths

WINDOW = 3
UNKNOWN_SHARE = 0.5


def set_verdicts(
    scorer: Scorer, library: Sequence[Dataset], validation: Dataset, *, library_split: str = "train",
    split: str = "val", lost_defects: float | None = None, confidence: float = CONFIDENCE,
    product_of: ProductOf = None,
) -> Naming:
    """Learn the rule, and find how far it may be trusted.

    Of a model with thresholds by product and zone the rule is one for all, and so is its promise: over plates that show
    the products in the shares of the validation plates.

    Args:
        scorer: of a model with a threshold and memories of impurities.
        library: pictures with labelled impurities and with labelled defects; synthetic ones do.
        validation: plates that neither the model nor the library knows, with labelled defects.
        library_split, split: of these.
        lost_defects: the share of defects that may be passed, such as 0.05; without it no defect of the validation
            plates is passed, and what that promises is said.
        confidence: of the promise.
        product_of: tells the product of a sample, whose thresholds decide what of it alarms.

    Raises:
        UserError: no memory of an impurity, no threshold, nothing to learn from, no defect that alarms on the
            validation plates, the test split, a model with products without their being told.
    """
    model = scorer.model
    assert model is not None
    if split == "test":
        raise UserError("verdicts set on the test split would make its results worthless; use `split` val")
    if not any(memory.kind == "impurity" for memory in model.memories.values()):
        raise UserError(
            "the model has no memory of an impurity to name alarms after: `sequential-patchcore impurities` makes them"
        )
    _warn_of_shared_images(library, library_split, validation, split)
    impurities = {name: memory for name, memory in model.memories.items() if memory.kind == "impurity"}
    halves = Halves()
    if model.products:
        product_of = product_of or (lambda sample: "")
        _check_products(model, validation, split, product_of)
    found = learn(scorer, library, impurities, halves, library_split, product_of)
    threshold = threshold_of(scorer)

    def rule_of(form: Form, networks: Networks) -> Naming:
        return Naming(
            found.names, found.kinds, *networks.parts, found.reach, math.inf, math.inf, WINDOW, form.likest,
            NEAR * threshold, form.near_cells, UNKNOWN_SHARE, threshold,
        )

    forms = found.forms
    on_library = _library_regions(
        scorer, [[Namer(scorer, rule_of(form, form.halves[half])) for form in forms] for half in (0, 1)],
        halves, library, library_split, product_of,
    )
    rules = [rule_of(form, form.whole) for form in forms]
    on_validation = _judged([Namer(scorer, rule) for rule in rules], scorer, validation, split, product_of)
    # The better form is chosen on the same plates, so each has to keep the promise with its part of the doubt.
    doubt = 1 - (1 - confidence) / len(forms)
    points = [
        operating_point(regions, lost_defects, doubt, of_library, form.highest)
        for form, regions, of_library in zip(forms, on_validation, on_library, strict=True)
    ]
    best = max(range(len(forms)), key=lambda k: points[k].promise["passed"])
    point = points[best]
    compared = {form.name: each.promise["passed"] for form, each in zip(forms, points, strict=True)}
    promise = point.promise | {"confidence": confidence, "form": forms[best].name, "passed_by_form": compared}
    origin = {"dataset": validation.name, "fingerprint": validation.fingerprint, "split": split}
    say(f"verdicts ({forms[best].name}): {promise_in_words(promise)}")
    return replace(
        rules[best], pass_below=point.pass_below, defect_from=max(point.pass_below, 0.0), promise=promise | origin,
        learnt_from={
            "patches": dict(zip(found.names, found.patches, strict=True)), "split": library_split,
            "data": [{"name": dataset.name, "path": str(dataset.path), "fingerprint": dataset.fingerprint}
                     for dataset in library],
            **({PRODUCTS: products_digest(model.products)} if model.products else {}),
        },
    )


def _check_products(model: Model, validation: Dataset, split: str, product_of: Callable[[Sample], str]) -> None:
    samples = validation.split(split)
    untold = sum(entry_of(model.products, product_of(sample)) is None for sample in samples)
    if untold:
        raise UserError(
            f"the model has thresholds for {', '.join(filter(None, model.products))}, and {untold} of {len(samples)} "
            f"validation images of the split {split!r} show none of these, as far as anything tells: `product`, "
            "`products`, `product_rule` or `product_by`"
        )


def judged_regions(
    namer: Namer, scorer: Scorer, dataset: Dataset, split: str, product_of: ProductOf = None
) -> list[JudgedRegion]:
    """The predicted regions of a split: what the rule makes of each, and what the labels say."""
    return _judged([namer], scorer, dataset, split, product_of)[0]


def _judged(
    namers: Sequence[Namer], scorer: Scorer, dataset: Dataset, split: str, product_of: ProductOf
) -> list[list[JudgedRegion]]:
    """The same by several rules, a list each; every image is scored once."""
    found: list[list[JudgedRegion]] = [[] for _ in namers]
    samples = dataset.split(split)
    with Progress(f"verdicts on {split}", len(samples)) as progress:
        for sample in samples:
            on_image = _regions_of_image(namers, scorer, dataset, sample, product_of)
            for regions, of_image in zip(found, on_image, strict=True):
                regions += of_image
            progress.step()
    return found


def _library_regions(
    scorer: Scorer, namers: Sequence[Sequence[Namer]], halves: Halves, library: Sequence[Dataset], split: str,
    product_of: ProductOf,
) -> list[list[JudgedRegion]]:
    """The predicted regions of the library by each form, judged by the half that has not seen the plate.

    Args:
        namers: of each half, those of each form.
    """
    found: list[list[JudgedRegion]] = [[] for _ in namers[0]]
    with Progress("verdicts on the library", sum(len(dataset.split(split)) for dataset in library)) as progress:
        for dataset in library:
            for sample in dataset.split(split):
                unseen = namers[1 - halves.half(dataset, sample)]
                for regions, of_image in zip(
                    found, _regions_of_image(unseen, scorer, dataset, sample, product_of), strict=True
                ):
                    regions += [replace(region, image=f"{dataset.name} {region.image}") for region in of_image]
                progress.step()
    return found


def _regions_of_image(
    namers: Sequence[Namer], scorer: Scorer, dataset: Dataset, sample: Sample, product_of: ProductOf
) -> list[list[JudgedRegion]]:
    if any(instance.pixels is None for instance in sample.instances):
        return [[] for _ in namers]  # labelled as a whole: nobody knows where
    scored, predicted = predicted_of(scorer, dataset, sample, product_of)
    regions = regions_of(predicted, scored.grid)
    truths = region_truths(
        regions.labels, regions.count, dataset.mask(sample), dataset.instances(sample), dataset.classes
    )
    return [
        [
            JudgedRegion(
                sample.id, str(sample.group or f"image {sample.id}"),
                verdict.defect_likeness, tuple(truth.defects.items()), truth.impurity, verdict.passed,
            )
            for verdict, truth in zip(
                namer.verdicts(scored, regions.labels, regions.count), truths, strict=True
            )
        ]
        for namer in namers
    ]


def _warn_of_shared_images(library: Sequence[Dataset], library_split: str, validation: Dataset, split: str) -> None:
    seen = {(dataset.name, sample.id) for dataset in library for sample in dataset.samples
            if sample.split == library_split}
    shared = [sample for sample in validation.samples if sample.split == split
              and (validation.name, sample.id) in seen]
    if shared:
        say(f"note: {len(shared)} of the validation images are in the library too: the promise is worth less than said")
