# SPDX-License-Identifier: Apache-2.0
"""`calibrate --promise` and `calibrate --lost-defects`: a threshold that keeps promises, stored in the model."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import UserError
from ..runtime.progress import say, tell
from ..runtime.requests import code_digest
from .finished_work import weights_override
from .result_code import SCORING

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..model.file import Model


def promise(arguments: Namespace, model: "Model", dataset: "Dataset") -> None:
    from ..extractors.device import choose_device, use_threads
    from ..model.file import save_model
    from ..runtime.files import check_replaceable
    from ..scoring.conditions import conditions_of, was_set_under
    from ..scoring.promises import Wish, is_of_wish
    from ..scoring.promises import promise as run
    from ..scoring.scorer import Scorer

    if arguments.false_positive_rate is not None:
        raise UserError("--false-positive-rate and --promise are two ways to a threshold; give one of them")
    if arguments.chart is not None and (arguments.promise is None or arguments.lost_defects is None):
        raise UserError("--chart draws two promises against each other; give --promise and --lost-defects too")
    wish = Wish(arguments.promise, arguments.per or "plate", arguments.lost_defects)
    before, code = model.threshold, code_digest(*SCORING)
    origin = {} if before is None else before.calibrated_on
    same = (
        before is not None and is_of_wish(before, wish)
        and (origin.get("fingerprint"), origin.get("split")) == (dataset.fingerprint, arguments.split)
        and origin.get("code") == code and was_set_under(before, model, conditions_of(model, arguments.precision))
    )
    if before is not None and same and not arguments.overwrite and arguments.chart is None:
        tell(f"threshold {before.value:g} of {arguments.model} already keeps this promise on {dataset.name}; kept")
        return
    check_replaceable(arguments.model)
    use_threads(arguments.threads)
    scorer = Scorer(model, path=arguments.model, weights=weights_override(arguments.weights),
                    precision=arguments.precision, engine=arguments.engine, device=choose_device(arguments.device))
    found = run(scorer, dataset, wish, arguments.split)
    if arguments.chart is not None and found.trade is not None:
        from ..report.promises_chart import write_promises_chart

        write_promises_chart(found.trade, (arguments.promise, arguments.lost_defects), arguments.per or "plate",
                             Path(arguments.chart))
        say(f"chart: {arguments.chart}")
    if found.threshold is None:
        raise UserError(found.words)
    threshold = replace(found.threshold, calibrated_on=found.threshold.calibrated_on | {"code": code})
    save_model(model.with_threshold(threshold), arguments.model)
    tell(f"threshold {threshold.value:g} ({threshold.method}) stored in {arguments.model}")
