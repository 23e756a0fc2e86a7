# SPDX-License-Identifier: Apache-2.0
"""What the commands that make a model of images have in common: engine, checkpoint, memory plan, last words."""

from argparse import Namespace
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..runtime.progress import say, tell
from ..runtime.requests import Request

if TYPE_CHECKING:
    from ..fitting.settings import RunOptions
    from ..model.file import Model
    from ..runtime.memory import Needs


def engine_of(arguments: Namespace) -> str:
    """The engine to build the extractor with; the threads are set as asked, since that computes already.

    Raises:
        UserError: another than torch was asked for, on a GPU.
    """
    from ..extractors.device import choose_device, use_threads
    from ..extractors.onnx_engine import engine_on

    use_threads(arguments.threads)
    return engine_on(choose_device(arguments.device), arguments.engine)


def need_checkpoint(arguments: Namespace, requests: Collection[Request]) -> None:
    """Told before weights are loaded."""
    from ..fitting.checkpoint import check_resumable

    if arguments.resume:
        check_resumable(arguments.out, requests)


def carried_out(
    arguments: Namespace, request: Request, needs: Callable[["RunOptions"], "Needs"], record: dict[str, Any]
) -> "RunOptions":
    """Device, and the chunk size that fits the budget; prints the estimate.

    Args:
        needs: what a run with these options needs of memory.
    """
    from ..coreset.engine import compile_rule
    from ..extractors.device import choose_device
    from ..fitting.settings import RunOptions
    from ..runtime.memory import cap, parse_size, plan, resident

    options = RunOptions(
        split=arguments.split, workers=arguments.workers, checkpoint_images=arguments.checkpoint_images,
        restart=arguments.restart, request=request, record=record,
    )
    needed = needs(options)
    compile_rule()  # now, so that it counts as resident
    chosen = plan(needed, parse_size(arguments.memory_budget), arguments.chunk_size, resident=resident())
    say(str(chosen))
    device = choose_device(arguments.device)
    cap(device, chosen.budget)
    return replace(options, device=device, chunk_size=chosen.chunk_size)


def written(out: str, model: "Model") -> None:
    state = "converged" if model.converged else "not converged"
    text = f"{out}: {len(model.features)} vectors of {model.features.shape[1]}, {state}"
    for name, memory in model.memories.items():
        text += f"; {name}: {len(memory.vectors)} of {memory.seen} patches"
    tell(text)
