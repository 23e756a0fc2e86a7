# SPDX-License-Identifier: Apache-2.0
"""The command `verdicts`: learn what tells impurities from defects, and set how far that is trusted."""

import json
from argparse import Namespace
from dataclasses import replace

from ..metrics.binomial import CONFIDENCE
from ..runtime.progress import say, tell
from ..runtime.requests import Standing
from . import groups, values
from .finished_work import request_of, weights_override
from .option_names import Command
from .product_command import names_of, product_of
from .result_code import NAMING


def options(command: Command) -> None:
    add = command.add_argument
    add("--model", required=True,
        help="a calibrated model with memories of impurities; the rule of verdicts is written into it")
    add("--data", required=True, action="append", metavar="DIR",
        help="library to learn from: labelled impurities, and labelled defects, which may be renders of both (recipes "
        "impurities and impurities_defects); repeat it for several")
    add("--split", default="train", help="of the library")
    add("--val", required=True, metavar="DIR",
        help="data set whose validation plates, with defects and impurities, say how far the rule may be trusted")
    add("--val-split", default="val", help="of it; never the test split")
    add("--lost-defects", type=values.share, default=None, metavar="SHARE",
        help="pass as many alarms as can be while at most this share of the defects is lost with the confidence asked "
        "for, such as 0.05 (default: lose no defect of the validation plates, and say what that promises)")
    add("--confidence", type=values.share, default=CONFIDENCE, metavar="SHARE", help="of the promise")
    add("--overwrite", action="store_true", help="set it again even where it is known")
    add("--json", action="store_true", help="print the promise as JSON")
    groups.add_products(command, "all images of library and validation")
    groups.add_scoring(command)


def verdicts(arguments: Namespace) -> None:
    from ..data.dataset import open_dataset
    from ..model.file import load_model, save_model
    from ..model.naming import promise_in_words
    from ..model.products import products_digest
    from ..naming.setting import set_verdicts
    from ..runtime.files import check_replaceable
    from ..scoring.conditions import conditions_of

    model = load_model(arguments.model)
    library, validation = [open_dataset(path) for path in arguments.data], open_dataset(arguments.val)
    product_of(arguments, model)  # refuses to be told products where the model has none
    names = names_of(arguments)
    of_products: dict[str, object] = {}
    if model.products:
        of_products = {"products": products_digest(model.products), "told": [] if names is None else [
            [sample.id, names.of_sample(sample)] for dataset in (*library, validation) for sample in dataset.samples]}
    request = request_of(
        "verdicts", NAMING, model=model.fingerprint, threshold=model.threshold and model.threshold.value,
        library=[dataset.fingerprint for dataset in library], split=arguments.split, val=validation.fingerprint,
        val_split=arguments.val_split, lost_defects=arguments.lost_defects, confidence=arguments.confidence,
        conditions=conditions_of(model, arguments.precision), **of_products,
    )
    naming = model.naming
    standing = Standing.OTHER if naming is None else request.standing(str(naming.learnt_from.get("request", "")))
    if naming is not None and standing is Standing.SAME and not arguments.overwrite:
        say(f"the verdicts of {arguments.model} were already set on these data; kept")
    else:
        if standing is Standing.OTHER_CODE:
            say(f"the verdicts of {arguments.model} were set by another state of this program's code; set again")
        check_replaceable(arguments.model)
        from ..extractors.device import choose_device, use_threads
        from ..scoring.scorer import Scorer

        use_threads(arguments.threads)
        scorer = Scorer(model, path=arguments.model, weights=weights_override(arguments.weights),
                        precision=arguments.precision, engine=arguments.engine,
                        device=choose_device(arguments.device))
        naming = set_verdicts(
            scorer, library, validation, library_split=arguments.split, split=arguments.val_split,
            lost_defects=arguments.lost_defects, confidence=arguments.confidence,
            product_of=None if names is None else names.of_sample,
        )
        naming = replace(naming, learnt_from=naming.learnt_from | {"request": str(request)})
        save_model(replace(model, naming=naming), arguments.model)
    if arguments.json:
        print(json.dumps({"names": naming.impurities, "pass_below": _finite(naming.pass_below)} | naming.promise))
    else:
        tell(f"verdicts in {arguments.model}: {', '.join(naming.impurities)}; {promise_in_words(naming.promise)}")


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
