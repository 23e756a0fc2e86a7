# SPDX-License-Identifier: Apache-2.0
"""anomalib's PatchCore as it is deployed, for tests/bench/bench_deployment.py; runs in the peers' environment.

    .venv-peers/bin/python tests/bench/anomalib_maps.py make|torch|inferencer JSON

`make` writes its model with random weights and a memory bank of random vectors, as OpenVINO's graph of one size and as
torch's file; the others measure a picture by it and print JSON: CPU seconds, the least of three after one, and MiB of
resident memory at the most.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def make(given: dict) -> dict:
    import torch
    from anomalib.models import Patchcore

    size = tuple(given["size"])
    model = Patchcore(given["backbone"], given["layers"], pre_trained=False, visualizer=False, evaluator=False,
                      pre_processor=Patchcore.configure_pre_processor(size))
    dimension = sum(model.model.feature_extractor.out_dims)
    model.model.memory_bank = torch.rand(given["vectors"], dimension)
    model.eval()
    # One picture at a time: left to itself anomalib 2.7 fixes the graph at two where there is more than one chunk of
    # patches.
    openvino = model.to_openvino(given["folder"], input_size=size, onnx_kwargs={"dynamic_shapes": None})
    return {"openvino": str(openvino), "torch": str(model.to_torch(given["folder"]))}


def by_torch(given: dict) -> dict:
    import torch
    from anomalib.deploy import TorchInferencer

    os.environ["TRUST_REMOTE_CODE"] = "1"
    torch.set_num_threads(given["threads"])
    inferencer = TorchInferencer(given["torch"], device="cpu")
    image = torch.from_numpy(picture(given).transpose(2, 0, 1).copy())
    return measured(lambda: inferencer.predict(image))


def by_inferencer(given: dict) -> dict:
    from anomalib.deploy import OpenVINOInferencer

    os.chdir(given["folder"])  # where it makes its cache
    inferencer = OpenVINOInferencer(given["openvino"], "CPU", {"INFERENCE_NUM_THREADS": given["threads"]})
    image = picture(given)
    return measured(lambda: inferencer.predict(image))


def picture(given: dict) -> np.ndarray:
    return np.random.default_rng(0).random((*given["size"], 3), np.float32)


def measured(action) -> dict:  # type: ignore[no-untyped-def]
    action()
    seconds = []
    for _ in range(3):
        began = time.process_time()
        action()
        seconds.append(time.process_time() - began)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return {"cpu": min(seconds), "peak": peak}


if __name__ == "__main__":
    act = {"make": make, "torch": by_torch, "inferencer": by_inferencer}[sys.argv[1]]
    print(json.dumps(act(json.loads(sys.argv[2]))))
