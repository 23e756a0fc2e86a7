# SPDX-License-Identifier: Apache-2.0
"""Memories of impurities on the command line: of the command `impurities`, and of `train --impurities`."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ..runtime.errors import UserError
from ..runtime.progress import say
from ..runtime.requests import Request, Standing, standing_of
from .carrying_out import carried_out
from .finished_work import Requests, split_fingerprints

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..extractors.base import Extractor
    from ..fitting.settings import MemorySettings
    from ..model.file import Model

_OPTIONS = ("memory_size", "coverage", "level", "with_defects")


class Impurities:
    """What a command was asked to remember.

    Args:
        arguments: of the command.
        places: the data sets' folders.

    Raises:
        UserError: no data set there, or none of them shows an impurity.
    """

    def __init__(self, arguments: Namespace, places: Sequence[str]) -> None:
        from ..data.dataset import open_dataset
        from ..fitting.labelled_patches import wanted_classes

        self._arguments = arguments
        self.datasets: list[Dataset] = [open_dataset(path) for path in places]
        wanted_classes(self.datasets, arguments.split, self.settings.with_defects)

    @classmethod
    def asked_for(cls, arguments: Namespace) -> "Impurities | None":
        """Of `train`; None where it is to make no memories.

        Raises:
            UserError: as the constructor; or options that do not go together.
        """
        if not arguments.impurities:
            for name in _OPTIONS:
                if getattr(arguments, name) is not None:
                    raise UserError(f"`{name}` is about the memories of impurities; it needs `impurities`")
            return None
        if arguments.ray or arguments.shard != (1, 1):
            raise UserError(
                f"`impurities` and `{'ray' if arguments.ray else 'shard'}` do not go together: make the nominal model "
                "first, then `sequential-patchcore impurities` adds the memories"
            )
        return cls(arguments, arguments.impurities)

    @cached_property
    def settings(self) -> "MemorySettings":
        from ..fitting.settings import MemorySettings

        given = {field.name: getattr(self._arguments, field.name, None) for field in fields(MemorySettings)}
        return MemorySettings(**{name: value for name, value in given.items() if value is not None})

    @property
    def inputs(self) -> dict[str, object]:
        """What the memories depend on beside the nominal model; JSON-ready."""
        return {
            "settings": asdict(self.settings),
            "datasets": split_fingerprints(self.datasets, self._arguments.split),
        }

    def inputs_with(self, model: "Model") -> dict[str, object]:
        """What they depend on beside the images where a model is there; JSON-ready."""
        from ..fitting.impurities import memory_inputs

        return memory_inputs(model, self.settings)

    def check(self, nominal_size: int, extractor: "Extractor") -> None:
        """Refuse now what would not fit once the nominal memory is there.

        Raises:
            UserError: the run would take more memory than the budget.
        """
        from ..fitting.memory_needs import needs_of_memories
        from ..fitting.settings import RunOptions
        from ..runtime.memory import parse_size, plan, resident

        arguments = self._arguments
        options = RunOptions(split=arguments.split, workers=arguments.workers)
        needs = needs_of_memories(nominal_size, self.datasets, extractor, self.settings, options)
        plan(needs, parse_size(arguments.memory_budget), arguments.chunk_size, resident=resident())

    def add_to(self, model: "Model", extractor: "Extractor", request: Request) -> "Model":
        """The model with the memories, written to `out`."""
        from ..fitting.impurities import add_impurities
        from ..fitting.memory_needs import needs_of_memories
        from ..runtime.memory import peak

        needs = partial(needs_of_memories, len(model.features), self.datasets, extractor, self.settings)
        options = carried_out(self._arguments, request, needs, {})
        changed = add_impurities(
            model, self.datasets, extractor, self.settings, out=self._arguments.out, options=options
        )
        say(peak(options.device))
        return changed


def finished_before(arguments: Namespace, nominal: Requests, whole: Requests) -> "Model | None":
    """Of `train --impurities`: the nominal model that lies at `out`, where only the memories are still to be made.

    With --overwrite only where a checkpoint shows that this very command has come so far.

    Args:
        nominal, whole: the requests of the model without and with memories.
    """
    from ..fitting.checkpoint import is_under_way
    from ..model.file import load_model, read_request

    out, engine = arguments.out, arguments.engine
    if standing_of(read_request(out), nominal.finished(engine)) is not Standing.SAME:
        return None
    if arguments.overwrite and (arguments.restart or not is_under_way(out, whole.finished(engine))):
        return None
    model = load_model(out)
    say(f"{out} holds the nominal memory already; going on with the memories of impurities")
    if model.threshold is not None:
        say("its threshold is dropped, and will have to be set again")
    return replace(model, threshold=None)
