# SPDX-License-Identifier: Apache-2.0
"""Thresholds by product and zone on the command line: how products are told, and `calibrate` of them."""

from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import UserError
from ..runtime.progress import tell
from ..runtime.requests import code_digest
from .finished_work import weights_override
from .result_code import SCORING

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.product_names import ProductNames
    from ..model.file import Model, Threshold


def names_of(arguments: Namespace) -> "ProductNames | None":
    """How the product of an image is told; None where nothing says so."""
    from ..data.product_names import ProductChoice, ProductNames

    choice = ProductChoice(
        arguments.product, None if arguments.products is None else Path(arguments.products),
        tuple(arguments.product_column), tuple(arguments.product_rule), arguments.product_by,
    )
    return ProductNames(choice) if choice.given else None


def product_of(arguments: Namespace, model: object) -> Callable[[Path], str] | None:
    """The same as a function of an image's path, for `predict`.

    Raises:
        UserError: products are told, and the model has no thresholds for any.
    """
    names = names_of(arguments)
    if names is None:
        return None
    if not getattr(model, "products", {}):
        raise UserError(f"{arguments.model} has one threshold for all images and knows no products; "
                        "`sequential-patchcore calibrate` learns a threshold for each, with the same options")
    return names.of


def asks_for_products(arguments: Namespace) -> bool:
    return names_of(arguments) is not None or bool(arguments.zones)


def calibrate_products(arguments: Namespace, model: "Model", dataset: "Dataset") -> None:
    """Thresholds for each product, and for each zone, into the model file."""
    from ..data.zones import read_zones
    from ..extractors.device import choose_device, use_threads
    from ..model.file import Zones, save_model
    from ..runtime.files import check_replaceable
    from ..scoring.product_calibration import Request
    from ..scoring.product_calibration import calibrate_products as run
    from ..scoring.promises import Wish
    from ..scoring.scorer import Scorer

    if arguments.chart is not None:
        raise UserError("--chart draws the promises of one threshold; leave it out where products or zones have theirs")
    wish = None
    if arguments.promise is not None or arguments.lost_defects is not None:
        if arguments.false_positive_rate is not None:
            raise UserError("--false-positive-rate and --promise are two ways to a threshold; give one of them")
        wish = Wish(arguments.promise, arguments.per or "plate", arguments.lost_defects)
    names = names_of(arguments)
    told = {sample.id: "" if names is None else names.of_sample(sample) for sample in dataset.samples}
    untold = sum(not told[sample.id] for sample in dataset.split(arguments.split))
    if names is not None and untold:
        raise UserError(f"nothing tells the product of {untold} of the {len(dataset.split(arguments.split))} images of "
                        f"the split {arguments.split!r}; add a rule for the rest, such as --product-rule '*=other'")
    zones = {product: Zones(*read_zones(Path(place), arguments.zone_names)) for product, place in arguments.zones}
    if strange := sorted(set(zones) - {""} - set(told.values())):
        raise UserError(f"--zones names the product {strange[0]!r}, and the images show "
                        f"{', '.join(sorted(set(told.values()))) or 'none'}")
    check_replaceable(arguments.model)
    use_threads(arguments.threads)
    scorer = Scorer(model, path=arguments.model, weights=weights_override(arguments.weights),
                    precision=arguments.precision, engine=arguments.engine, device=choose_device(arguments.device))
    request = Request(wish, arguments.false_positive_rate, arguments.per)
    found = run(scorer, dataset, told, zones, request, arguments.split, keep_common=arguments.product is not None)
    found = _stamped(found, code_digest(*SCORING))
    save_model(found, arguments.model)
    shown = Counter(told[sample.id] for sample in dataset.split(arguments.split))
    tell("\n".join([*product_lines(found, set(shown)), f"stored in {arguments.model}"]))


def _stamped(model: "Model", code: str) -> "Model":
    """The model with the program's code noted in the thresholds that have none of it yet."""

    def noted(threshold: "Threshold | None") -> "Threshold | None":
        if threshold is None or "code" in threshold.calibrated_on or not threshold.calibrated_on:
            return threshold
        return replace(threshold, calibrated_on=threshold.calibrated_on | {"code": code})

    products = {
        name: replace(product, threshold=noted(product.threshold),
                      zone_thresholds={zone: noted(one) for zone, one in product.zone_thresholds.items()})
        for name, product in model.products.items()
    }
    return replace(model, threshold=noted(model.threshold), products=products)


def product_facts(model: "Model") -> list[dict]:
    """A record for each threshold by product and zone, JSON-ready."""
    found = []
    for name, product in model.products.items():
        zones = () if product.zones is None else product.zones.names
        for zone in ("", *zones):
            threshold = product.zone_thresholds.get(zone) if zone else product.threshold
            found.append({
                "product": name, "zone": zone, "threshold": None if threshold is None else threshold.value,
                "threshold_method": None if threshold is None else threshold.method,
                "calibrated_on": None if threshold is None else threshold.calibrated_on,
            })
    return found


def product_lines(model: "Model", only: set[str] | None = None) -> list[str]:
    """A line for each threshold by product and zone.

    Args:
        only: these products; None for all.
    """
    from ..model.promised import in_words

    def line(what: str, threshold: "Threshold | None") -> str:
        if threshold is None:
            return f"{what}: the model's one threshold decides"
        words = in_words(threshold)
        return f"{what}: threshold {threshold.value:g} ({threshold.method})" + (f"; {words}" if words else "")

    lines = [line("all images" if model.products else "threshold", model.threshold)]
    for name, product in model.products.items():
        if only is not None and name not in only:
            continue
        if product.zones is None:
            lines.append(line(name, product.threshold))
            continue
        for zone in product.zones.names:
            lines.append(line(f"{name or 'all products'}: {zone}", product.zone_thresholds.get(zone)))
        lines.append(line(f"{name or 'all products'}: in no zone", product.threshold))
    return lines
