# SPDX-License-Identifier: Apache-2.0
"""A network's maps by torch, by ONNX Runtime in several settings and by OpenVINO: why the engine is what it is.

    .venv/bin/python tests/bench/bench_runtimes.py [--backbone NAME ...] [--threads 1] [--width 2448]

Each number is of a process of its own that holds the runtime and the image alone (torch only in torch's row): CPU
seconds of user and system, the least of three calls after one, and resident memory at the most. Random weights, an
image of noise. A transformer (vit_...) is the graph that `export` writes, of one size, in whole patches, with its
attention in blocks; of the rows it has those that differ. OpenVINO's row needs the package openvino; without it the row
says so.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS = {
    "torch, channels last": "torch", "torch, batch norms not folded": "unfolded",
    "torch, neither that nor freed memory kept": "given back", "ONNX Runtime as it comes": "default",
    "ONNX Runtime, activations not laid out in advance": "no pattern",
    "ONNX Runtime, neither that nor an arena": "no arena", "OpenVINO, float32": "openvino",
}
_RUN = """
import json, sys, time
import numpy as np
given = json.loads(sys.argv[1])
kind, threads = given["kind"], given["threads"]
images = np.random.default_rng(0).random((1, 3, *given["size"]), np.float32)
if kind in ("torch", "unfolded", "given back"):
    import torch
    from sequential_patchcore.runtime.allocation import keep_freed_memory
    if kind != "given back":
        keep_freed_memory()
    from sequential_patchcore import build_extractor
    torch.set_num_threads(threads)
    is_transformer = given["backbone"].startswith("vit")
    extractor = build_extractor(
        given["backbone"], weights="none", engine="torch", pool=1 if is_transformer else 2)
    def run():
        with torch.inference_mode():
            tensor = torch.from_numpy(images)
            if is_transformer:
                return [extractor(tensor).permute(0, 3, 1, 2).numpy()]
            maps = extractor._maps_of(tensor, "float32") if kind == "torch" else extractor._by_network(tensor)
            return [each.numpy() for each in maps]
elif kind == "openvino":
    import openvino
    compiled = openvino.Core().compile_model(
        given["graph"], "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    def run():
        found = request.infer([images], share_inputs=True, share_outputs=True)
        return [found[output] for output in compiled.outputs]
else:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = kind == "default"
    options.enable_cpu_mem_arena = kind != "no arena"
    session = onnxruntime.InferenceSession(given["graph"], options, providers=["CPUExecutionProvider"])
    def run():
        return session.run(None, {"images": images})
maps = run()
if given["keep"]:
    np.savez(given["keep"], *maps)
seconds = []
for _ in range(3):
    began = time.process_time()
    run()
    seconds.append(time.process_time() - began)
difference = None
if given["compare"]:
    with np.load(given["compare"]) as kept:
        difference = max(float(np.abs(one - kept[name]).max() / np.abs(kept[name]).max())
                         for one, name in zip(maps, kept.files, strict=True))
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
print(json.dumps({"cpu": min(seconds), "peak": peak, "difference": difference}))
"""
_GRAPH = """
import sys
from sequential_patchcore import build_extractor
from sequential_patchcore.extractors.onnx_graph import network_graph
extractor = build_extractor(sys.argv[1], weights="none", engine="torch")
if sys.argv[1].startswith("vit"):
    graph = extractor.graph((int(sys.argv[3]), int(sys.argv[4])))
else:
    graph = network_graph(extractor.network, extractor._maps, extractor.preprocessing)
open(sys.argv[2], "wb").write(graph)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", nargs="+", default=["mobilenetv3_large_100", "resnet18"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--width", type=int, default=2448, help="of the image; the height is 2050 / 2448 of it")
    chosen = parser.parse_args()
    for backbone in chosen.backbone:
        size = round(chosen.width * 2050 / 2448), chosen.width
        if backbone.startswith("vit"):
            size = size[0] // 16 * 16, size[1] // 16 * 16
        print(f"\n| {backbone}, {size[1]} x {size[0]}, {chosen.threads} thread(s) | CPU s | memory at the most, MiB | "
              "largest difference to torch |\n|---|---|---|---|", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            table(backbone, size, chosen.threads, Path(folder))


def table(backbone: str, size: tuple[int, int], threads: int, folder: Path) -> None:
    graph, kept = folder / "graph.onnx", folder / "maps.npz"
    subprocess.run([sys.executable, "-c", _GRAPH, backbone, str(graph), *map(str, size)], check=True,
                   capture_output=True)
    for row, kind in ROWS.items():
        if backbone.startswith("vit") and kind not in ("torch", "no pattern", "openvino"):
            continue
        if kind == "openvino" and importlib.util.find_spec("openvino") is None:
            print(f"| {row} | not installed: pip install openvino | | |", flush=True)
            continue
        given = {
            "kind": kind, "size": size, "threads": threads, "backbone": backbone, "graph": str(graph),
            "keep": str(kept) if kind == "torch" else None, "compare": None if kind == "torch" else str(kept),
        }
        found = measured(given)
        difference = "" if found["difference"] is None else f"{found['difference']:.1e}"
        print(f"| {row} | {found['cpu']:.2f} | {found['peak']:.0f} | {difference} |", flush=True)


def measured(given: dict) -> dict:
    run = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(given)], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(given["threads"])},
    )
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1], parse_constant=np.float64)


if __name__ == "__main__":
    main()
