# SPDX-License-Identifier: Apache-2.0
"""Shards as tasks of a Ray cluster, melded as they come in; a task whose machine is lost is started elsewhere.

Ray is optional (`pip install "sequential-patchcore[train,cluster]"`). Data and output must lie on a file system that
all machines see: a shard is the file that `train --shard I/N` writes, and its checkpoint lies beside it, so a restarted
task goes on where the lost one was.
"""

import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..runtime.errors import UserError
from ..runtime.progress import Progress, say

LOCAL = "local"
_LOOPBACK = "127.0.0.1"
_RETRIES = 5
_WAIT_SECONDS = 1.0


def shard_path(out: str | Path, part: int, parts: int) -> Path:
    """Where a shard of the model `out` is written."""
    out = Path(out)
    return out.with_name(f"{out.stem}.shards") / f"{part}-of-{parts}{out.suffix}"


def run_shards(
    task: Callable[[Namespace], None], arguments: Sequence[Namespace], address: str, processors: int
) -> Iterator[int]:
    """Run `task(arguments[i])` for all i on the cluster, and yield each i once it and all before it are done.

    Args:
        task: writes its file and returns nothing; it may be started again after its machine was lost.
        address: "local" starts a cluster on this machine, "auto" takes the one that runs here, or HOST:PORT.
        processors: CPUs that each task reserves.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached, or what a task refused to do.
    """
    ray = _connected(address)
    try:
        remote = ray.remote(num_cpus=processors, max_retries=_RETRIES)(task)
        numbers = {remote.remote(shard): number for number, shard in enumerate(arguments)}
        waiting, finished, following = list(numbers), set(), 0
        with Progress("shards", len(arguments), "shard") as progress:
            while waiting:
                done, waiting = ray.wait(waiting, timeout=_WAIT_SECONDS)
                for reference in done:
                    _result(ray, reference)
                    finished.add(numbers[reference])
                    progress.step()
                while following in finished:  # in order: the meld of the same shards is then always the same
                    yield following
                    following += 1
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    # Otherwise Ray replaces 127.0.0.1 by the machine's outward address, and hangs where that is not reachable.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError('`ray` needs Ray: pip install "sequential-patchcore[train,cluster]"') from error
    options: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False, "configure_logging": False}
    try:
        if address == LOCAL:
            ray.init(address="local", _node_ip_address=_LOOPBACK, **options)
        else:
            del options["include_dashboard"]
            if address.startswith(_LOOPBACK):  # a cluster of this machine: its nodes know each other by this address
                options["_node_ip_address"] = _LOOPBACK
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"`ray` {address}: no cluster to be reached ({str(error).splitlines()[0]})") from error
    nodes = [node for node in ray.nodes() if node["Alive"]]
    say(f"Ray: {len(nodes)} machine(s), {int(ray.cluster_resources().get('CPU', 0))} CPUs")
    return ray


def _result(ray: Any, reference: object) -> None:
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise cause from error
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        raise UserError(
            f"a shard was lost {_RETRIES + 1} times ({type(error).__name__}); "
            "the same command goes on from its checkpoint"
        ) from error
