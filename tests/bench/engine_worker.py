# SPDX-License-Identifier: Apache-2.0
"""One measurement in a process of its own, by this project's Python or the peers': `engine_worker.py KIND JSON`.

Prints one JSON object. Memory is the peak resident set above what the process held before the patches came
(`ru_maxrss`), with glibc told to give large blocks back (`MALLOC_MMAP_THRESHOLD_`, set by the caller).
"""

import json
import resource
import runpy
import sys
import time
from pathlib import Path

import numpy as np
import torch

REPAIR = Path(__file__).parents[2] / "training" / "sequential_patchcore" / "extractors" / "torchvision_repair.py"
BLOCK = 20_000
CLUSTERS = 50


def block(number: int, dimension: int) -> torch.Tensor:
    """(BLOCK, D) float32: clusters with a spectrum that falls off, as features of images have; the same anywhere."""
    spread = np.linspace(2, 0.2, dimension, dtype=np.float32)
    centres = 4 * np.random.default_rng(0).standard_normal((CLUSTERS, dimension), np.float32) * spread
    rng = np.random.default_rng((1, number))
    vectors = rng.standard_normal((BLOCK, dimension), np.float32) * spread
    return torch.from_numpy(vectors + centres[rng.integers(0, CLUSTERS, BLOCK)])


def all_patches(count: int, dimension: int) -> torch.Tensor:
    """(N, D) in one piece, without a second copy while it is made."""
    patches = torch.empty(count, dimension)
    for number, first in enumerate(range(0, count, BLOCK)):
        patches[first : first + BLOCK] = block(number, dimension)[: count - first]
    return patches


def ours(job: dict) -> dict:
    from sequential_patchcore.coreset import SequentialCoreset

    def stream():
        for number, first in enumerate(range(0, job["patches"], BLOCK)):
            yield first, block(number, job["dimension"])[: job["patches"] - first]

    warm = SequentialCoreset(16, job["dimension"])
    for _ in range(2):
        warm.update(block(0, job["dimension"])[:500], np.arange(500))
        warm.watch()
    base = peak()
    coreset = SequentialCoreset(job["size"], job["dimension"], eviction=job.get("eviction", "lower-index"))
    epochs = []
    for epoch in range(job["epochs"]):
        if epoch:
            coreset.watch()
        seconds, replaced = 0.0, 0
        for first, patches in stream():
            start = time.perf_counter()
            replaced += coreset.update(patches, np.arange(first, first + len(patches)))
            seconds += time.perf_counter() - start
        epochs.append({"seconds": seconds, "replaced": replaced})
    return {"epochs": epochs, "seconds": sum(each["seconds"] for each in epochs), "bytes": peak() - base}


def greedy(job: dict) -> dict:
    from sequential_patchcore.greedy import greedy_coreset

    greedy_coreset(block(0, job["dimension"])[:500].clone(), 4)
    base = peak()
    patches = all_patches(job["patches"], job["dimension"])
    return _by_steps(job, base, lambda steps: greedy_coreset(patches, steps))


def anomalib(job: dict) -> dict:
    runpy.run_path(str(REPAIR))
    from anomalib.models.components import KCenterGreedy

    KCenterGreedy(embedding=block(0, job["dimension"])[:500], sampling_ratio=0.01).select_coreset_idxs()
    base = peak()
    patches = all_patches(job["patches"], job["dimension"])

    def select(steps: int) -> None:
        ratio = (steps + 0.5) / job["patches"]
        assert len(KCenterGreedy(embedding=patches, sampling_ratio=ratio).select_coreset_idxs()) == steps

    return _by_steps(job, base, select)


def _by_steps(job: dict, base: int, select) -> dict:
    """Two runs of few greedy steps give the cost of a step and of what comes before; the rest is extrapolated."""
    few, more = job["steps"]
    times = []
    for steps in (few, more):
        start = time.perf_counter()
        select(steps)
        times.append(time.perf_counter() - start)
    each = max(times[1] - times[0], 0.0) / (more - few)
    return {"seconds": times[1] + each * (job["size"] - more), "each": each, "bytes": peak() - base}


def neighbours(job: dict) -> dict:
    """anomalib's distance stage over one image's patches."""
    runpy.run_path(str(REPAIR))
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    class Bank(PatchcoreModel):
        def __init__(self, memory: torch.Tensor) -> None:
            torch.nn.Module.__init__(self)
            self.memory_bank = memory

    patches = all_patches(job["patches"], job["dimension"])
    bank = Bank(block(999, job["dimension"])[: job["size"]])
    base = peak()
    return {"seconds": best(lambda: bank.nearest_neighbors(patches, 1)), "bytes": peak() - base}


def inference(job: dict) -> dict:
    import cv2
    from sequential_patchcore.data.png import read_image
    from sequential_patchcore.data.sources import as_float_rgb
    from sequential_patchcore.extractors import ExtractorSettings, build_extractor, to_tensor
    from sequential_patchcore.patches import Grid
    from sequential_patchcore.scoring import Scorer, anomaly_map

    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(140, 40, (2050, 2448)).astype(np.float32), (0, 0), 2)
    cv2.imwrite(job["png"], np.clip(texture, 0, 255).astype(np.uint8))
    found = {"decode": best(lambda: as_float_rgb(read_image(Path(job["png"]))))}
    image = as_float_rgb(read_image(Path(job["png"])))
    device = torch.device("cpu")
    for precision in ("float32", "bfloat16"):
        extractor = build_extractor(ExtractorSettings(job["backbone"], precision=precision), "none")
        found[f"features, {precision}"] = best(lambda e=extractor: e(to_tensor(image, 1.0, device)))
    extractor = build_extractor(ExtractorSettings(job["backbone"]), "none")
    patches = extractor(to_tensor(image, 1.0, device))[0]
    cells = tuple(patches.shape[:2])
    flat = patches.reshape(-1, patches.shape[-1])
    bank = flat[torch.from_numpy(rng.permutation(len(flat))[: job["size"]])]
    scorer = Scorer(extractor, bank.numpy())
    found["distances"] = best(lambda: scorer.patch_distances(flat))
    distances = scorer.patch_distances(flat).reshape(cells).numpy()
    grid = Grid.of(extractor, image.shape[:2], cells)
    found["map"] = best(lambda: anomaly_map(distances, grid, 2.0))
    out, norms2 = torch.empty(2048, len(bank)), bank.square().sum(1)

    def product() -> None:
        for chunk in flat.split(2048):
            torch.addmm(norms2, chunk, bank.T, alpha=-2, out=out[: len(chunk)])

    found["bare product"] = best(product)
    found["patches"] = len(flat)
    return found


def update(job: dict) -> dict:
    """The update without replacements over the bare product and minimum, in turns; and a replacement's cost."""
    from sequential_patchcore.coreset import SequentialCoreset

    count, dimension, size = job["patches"], job["dimension"], job["size"]
    patches, tags = all_patches(count, dimension), np.arange(count)
    warm = SequentialCoreset(16, dimension)
    warm.update(patches[:500], tags[:500])
    vectors = patches[:size].clone()
    norms2, out = vectors.square().sum(1), torch.empty(2048, size)

    def bare() -> None:
        for chunk in patches.split(2048):
            torch.addmm(norms2, chunk, vectors.T, alpha=-2, out=out[: len(chunk)]).amin(1)

    coreset = SequentialCoreset(size, dimension, eviction=job["eviction"])
    start = time.perf_counter()
    replaced = coreset.update(patches, tags)
    first = time.perf_counter() - start
    epochs = 1
    while coreset.update(patches, tags):
        epochs += 1
    coreset.watch()
    coreset.update(patches, tags)
    pairs = []
    for _ in range(job["rounds"]):
        pairs.append((timed(bare), timed(lambda: coreset.update(patches, tags))))
    quiet, plain = min(pair[1] for pair in pairs), min(pair[0] for pair in pairs)
    return {"bare": plain, "quiet": quiet, "ratio": float(np.median([one / other for other, one in pairs])),
            "first": first, "replaced": replaced, "epochs": epochs,
            "us": max(first - quiet, 0) / max(replaced, 1) * 1e6}


def timed(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def best(action, rounds: int = 3) -> float:
    return min(timed(action) for _ in range(rounds))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


KINDS = {each.__name__: each for each in (ours, greedy, anomalib, neighbours, inference, update)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    job = json.loads(sys.argv[2])
    with torch.inference_mode(sys.argv[1] == "inference"):
        print("RESULT " + json.dumps(KINDS[sys.argv[1]](job)))
