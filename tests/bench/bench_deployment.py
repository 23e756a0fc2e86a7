# SPDX-License-Identifier: Apache-2.0
"""A picture's anomaly map by this project and by anomalib's PatchCore, each as it is deployed: CPU seconds and memory.

    .venv/bin/python tests/bench/bench_deployment.py [--side 2448] [--threads 1] [--backbone mobilenetv3_large_100]

Both have the same backbone and maps, random weights, 2048 vectors, and one picture of noise of the same size (the
height is 2050 / 2448 of the width). Each number is of a process of its own that makes the map alone: CPU seconds of
user and system, the least of three after one, and resident memory at the most. The runs go round in turns, and the
least of the rounds counts, since other work on the machine adds to each. anomalib is that of `.venv-peers` (`make
.venv-peers/.done`). Its graph runs in OpenVINO alone, without anomalib, in float32 as all the others, and as OpenVINO
comes, which is bfloat16 where the processor has it; and by anomalib's own two inferencers.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_features import MAPS, command, environment, plates

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
WORKER = Path(__file__).with_name("anomalib_maps.py")
VECTORS = 2048
OURS, THEIRS = "ours: export, ONNX Runtime, without torch", "anomalib: export, OpenVINO, float32"

# A graph by OpenVINO with nothing else loaded.
_OPENVINO = """
import json, sys, time
import numpy as np
import openvino
given = json.loads(sys.argv[1])
image = np.random.default_rng(0).random((*given["size"], 3), np.float32)
settings = {"INFERENCE_NUM_THREADS": given["threads"]} | given["settings"]
compiled = openvino.Core().compile_model(given["graph"], "CPU", settings)
request = compiled.create_infer_request()
def run():
    shown = image if given["as_it_is"] else np.ascontiguousarray(image.transpose(2, 0, 1))[None]
    found = request.infer([shown])
    return [np.array(found[output]) for output in compiled.outputs]
run()
seconds = []
for _ in range(3):
    began = time.process_time()
    run()
    seconds.append(time.process_time() - began)
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
print(json.dumps({"cpu": min(seconds), "peak": peak}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2448, help="width of the picture")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--backbone", default="mobilenetv3_large_100")
    parser.add_argument("--python", type=Path, default=PEERS, help="one with anomalib, openvino, onnx and onnxscript")
    parser.add_argument("--folder", type=Path, help="keep what is measured there, and take what is there already")
    chosen = parser.parse_args()
    size = round(chosen.side * 2050 / 2448), chosen.side
    if not chosen.python.exists():
        sys.exit(f"there is no {chosen.python}: make .venv-peers/.done")
    with tempfile.TemporaryDirectory() as folder:
        rows = ways(chosen, size, (chosen.folder or Path(folder)).absolute())
        found: dict[str, list[dict]] = {name: [] for name in rows}
        for _ in range(chosen.rounds):
            for name, (python, code, given) in rows.items():
                found[name].append(run(python, code, given))
                print(f"{name}: {found[name][-1]}", file=sys.stderr, flush=True)
    print(f"| {chosen.backbone}, {size[1]} x {size[0]}, {chosen.threads} thread(s), {VECTORS} vectors | CPU s | MiB |\n"
          "|---|---|---|")
    least = {name: {what: min(one[what] for one in each) for what in ("cpu", "peak")} for name, each in found.items()}
    for name, one in least.items():
        print(f"| {name} | {one['cpu']:.2f} | {one['peak']:.0f} |")
    for what, word in (("cpu", "time"), ("peak", "memory")):
        print(f"\n{OURS}: {least[OURS][what] / least[THEIRS][what]:.2f} of the {word} of {THEIRS}")


def ways(chosen: argparse.Namespace, size: tuple[int, int], folder: Path) -> dict[str, tuple[Path, list[str], dict]]:
    """Name to the Python, its arguments and what the code is given."""
    model, export, made = folder / "model.h5", folder / "export", folder / "made.json"
    given = {"size": size, "threads": chosen.threads, "backbone": chosen.backbone, "vectors": VECTORS,
             "folder": str(folder), "repeats": 3}
    if not export.exists():
        command("train", "--data", plates(folder / "data", (410, 490), 1), "--out", model, "--weights", "none",
                "--epochs", "1", "--device", "cpu", "--threads", "1", "--backbone", chosen.backbone, "--coreset-size",
                VECTORS)
        command("export", "onnx", "--model", model, "--out", export)
    if not made.exists():
        theirs = run(chosen.python, [str(WORKER), "make"], given | {"layers": layers_of(model)})
        made.write_text(json.dumps(theirs))
    given |= json.loads(made.read_text())
    us, them, f32 = Path(sys.executable), chosen.python, {"INFERENCE_PRECISION_HINT": "f32"}
    theirs = given | {"graph": given["openvino"], "as_it_is": False, "settings": f32}
    ours = given | {"graph": str(export / "anomaly_map.onnx"), "as_it_is": True, "settings": f32}
    return {
        OURS: (us, ["-c", MAPS], given | {"model": str(export), "engine": "export"}),
        "ours: the same graph, OpenVINO, float32": (them, ["-c", _OPENVINO], ours),
        "ours: model file, ONNX Runtime and torch": (us, ["-c", MAPS], given | {"model": str(model), "engine": "auto"}),
        THEIRS: (them, ["-c", _OPENVINO], theirs),
        "anomalib: export, OpenVINO as it comes": (them, ["-c", _OPENVINO], theirs | {"settings": {}}),
        "anomalib: OpenVINOInferencer": (them, [str(WORKER), "inferencer"], given),
        "anomalib: TorchInferencer": (them, [str(WORKER), "torch"], given),
    }


def layers_of(model: Path) -> list[str]:
    from sequential_patchcore import load_model

    return load_model(model).extractor["layers"]


def run(python: Path, code: list[str], given: dict) -> dict:
    """What a process prints last."""
    done = subprocess.run([str(python), *code, json.dumps(given)], capture_output=True, text=True,
                          env=environment(given["threads"]), cwd=given["folder"])
    if done.returncode:
        sys.exit(f"{python} {code[0]} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
