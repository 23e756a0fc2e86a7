# SPDX-License-Identifier: Apache-2.0
"""One measurement in a process of its own, by this project's Python or the peers': `engine_worker.py KIND JSON`.

Prints one JSON object. Seconds are CPU time of this process, which has one thread: on a machine to itself that is the
time that passes, on a shared one it still counts this work alone. Memory is the peak resident set above what the
process held before the patches came, with glibc told to give large blocks back
(`MALLOC_MMAP_THRESHOLD_`, set by the caller).
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

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
    from sequential_patchcore.coreset.engine import CoresetEngine

    def stream():
        for number, first in enumerate(range(0, job["patches"], BLOCK)):
            yield first, block(number, job["dimension"])[: job["patches"] - first]

    warm_up(block(0, job["dimension"])[:3000])
    base = peak()
    coreset = CoresetEngine(job["size"], job["dimension"], eviction=job.get("eviction", "lower-index"))
    epochs = []
    for epoch in range(job["epochs"]):
        if epoch:
            coreset.watch()
        seconds, replaced = 0.0, 0
        for first, patches in stream():
            start = time.process_time()
            replaced += coreset.update(patches, np.arange(first, first + len(patches)))
            seconds += time.process_time() - start
        epochs.append({"seconds": seconds, "replaced": replaced})
    return {"epochs": epochs, "seconds": sum(epoch["seconds"] for epoch in epochs), "bytes": peak() - base}


def warm_up(patches: torch.Tensor) -> None:
    """Compile before the clock starts."""
    from sequential_patchcore.coreset.engine import CoresetEngine

    warm = CoresetEngine(64, patches.shape[1])
    for _ in range(2):
        warm.update(patches, np.arange(len(patches)))
        warm.watch()


def plain(job: dict) -> dict:
    """Exact greedy k-center as one writes it down in torch: a matrix-vector product a step, in float32."""
    base = peak()
    patches = all_patches(job["patches"], job["dimension"])

    def select(steps: int) -> None:
        norms_sq = patches.square().sum(1)
        nearest_sq = torch.full_like(norms_sq, torch.inf)
        row = 0
        for _ in range(steps):
            distances_sq = norms_sq + norms_sq[row] - 2 * (patches @ patches[row])
            nearest_sq = torch.minimum(nearest_sq, distances_sq)
            row = int(nearest_sq.argmax())

    return _by_steps(job, base, select)


def greedy(job: dict) -> dict:
    from sequential_patchcore.coreset.greedy import greedy_coreset

    greedy_coreset(block(0, job["dimension"])[:500].clone(), 4)
    base = peak()
    patches = all_patches(job["patches"], job["dimension"])
    return _by_steps(job, base, lambda steps: greedy_coreset(patches, steps))


def anomalib(job: dict) -> dict:
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
        start = time.process_time()
        select(steps)
        times.append(time.process_time() - start)
    step = max(times[1] - times[0], 0.0) / (more - few)
    return {"seconds": times[1] + step * (job["size"] - more), "step": step, "bytes": peak() - base}


def neighbours(job: dict) -> dict:
    """anomalib's distance stage over one image's patches."""
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
    from sequential_patchcore.data.photographs import as_float_rgb
    from sequential_patchcore.data.png import read_image
    from sequential_patchcore.extractors.base import ExtractorSettings, to_tensor
    from sequential_patchcore.extractors.builder import extractor_of
    from sequential_patchcore.extractors.grid import Grid
    from sequential_patchcore.scoring.anomaly_map import anomaly_map
    from sequential_patchcore.scoring.scorer import Scorer

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(140, 40, (2050, 2448)).astype(np.float32), (0, 0), 2)
    cv2.imwrite(job["png"], np.clip(texture, 0, 255).astype(np.uint8))
    found = {"decode": best(lambda: as_float_rgb(read_image(Path(job["png"]))))}
    image = as_float_rgb(read_image(Path(job["png"])))
    device = torch.device("cpu")
    for name, precision, engine in (
        ("features", "float32", "auto"), ("features by torch", "float32", "torch"),
        ("features by torch, bfloat16", "bfloat16", "torch"),
    ):
        extractor = extractor_of(ExtractorSettings(job["backbone"], precision=precision), "none", engine)
        found[name] = best(lambda e=extractor: e(to_tensor(image, 1.0, device)))
    extractor = extractor_of(ExtractorSettings(job["backbone"]), "none")
    patches = extractor(to_tensor(image, 1.0, device))[0]
    cells = tuple(patches.shape[:2])
    flat = patches.reshape(-1, patches.shape[-1])
    bank = flat[torch.from_numpy(rng.permutation(len(flat))[: job["size"]])]
    scorer = Scorer.of_vectors(extractor, bank.numpy())
    found["distances"] = best(lambda: scorer.search.distances(flat))
    distances = scorer.search.distances(flat).reshape(cells).numpy()
    grid = Grid.of(extractor, image.shape[:2], cells)
    found["map"] = best(lambda: anomaly_map(distances, grid, 2.0))
    out, norms_sq = torch.empty(2048, len(bank)), bank.square().sum(1)

    def product() -> None:
        for chunk in flat.split(2048):
            torch.addmm(norms_sq, chunk, bank.T, alpha=-2, out=out[: len(chunk)])

    found["bare product"] = best(product)
    found["patches"] = len(flat)
    return found


def update(job: dict) -> dict:
    """The update without replacements over the bare product and minimum, in turns; and a replacement's cost."""
    from sequential_patchcore.coreset.engine import CoresetEngine

    if "file" in job:
        patches, size = torch.from_numpy(np.load(job["file"])), job["size"]
    else:
        patches, size = all_patches(job["patches"], job["dimension"]), job["size"]
    dimension, patch_ids = patches.shape[1], np.arange(len(patches))
    warm_up(patches[:3000])
    vectors = patches[:size].clone()
    norms_sq, out = vectors.square().sum(1), torch.empty(2048, size)

    def bare() -> None:
        for chunk in patches.split(2048):
            torch.addmm(norms_sq, chunk, vectors.T, alpha=-2, out=out[: len(chunk)]).amin(1)

    coreset = CoresetEngine(size, dimension, eviction=job["eviction"])
    start = time.process_time()
    replaced = coreset.update(patches, patch_ids)
    first = time.process_time() - start
    epochs = 1
    while coreset.update(patches, patch_ids):
        epochs += 1
    coreset.watch()
    coreset.update(patches, patch_ids)
    pairs = []
    for _ in range(job["rounds"]):
        pairs.append((timed(bare), timed(lambda: coreset.update(patches, patch_ids))))
    quiet, plain = min(pair[1] for pair in pairs), min(pair[0] for pair in pairs)
    return {"patches": len(patches), "bare": plain, "quiet": quiet,
            "ratio": float(np.median([one / other for other, one in pairs])),
            "first": first, "replaced": replaced, "epochs": epochs,
            "us over bare": max(first - plain, 0) / max(replaced, 1) * 1e6,
            "us over quiet": max(first - quiet, 0) / max(replaced, 1) * 1e6}


def timed(action) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def best(action, rounds: int = 3) -> float:
    return min(timed(action) for _ in range(rounds))


def peak() -> int:
    """The peak of this process alone; `ru_maxrss` begins with that of the process that started it."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


KINDS = {kind.__name__: kind for kind in (ours, plain, greedy, anomalib, neighbours, inference, update)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    job = json.loads(sys.argv[2])
    with torch.inference_mode(sys.argv[1] == "inference"):
        print("RESULT " + json.dumps(KINDS[sys.argv[1]](job)))
