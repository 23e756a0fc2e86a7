# SPDX-License-Identifier: Apache-2.0
"""Which features `make demo` and `make reproduce` take: a network whose weights are at hand, else the filter bank."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

PAPER = "mobilenetv3_large_100"
NEAREST = "tf_mobilenetv3_large_minimal_100"
HUB_SECONDS = 120


def choose_backbone(out: Path, weights_folder: Path, say: Callable[[str], None]) -> list[str]:
    """The options of `train`; the choice is kept in `out`.

    Environment: WEIGHTS=FILE (a file named after its timm model, or with BACKBONE=NAME beside it).
    """
    given = os.environ.get("WEIGHTS")
    if given:
        backbone = os.environ.get("BACKBONE") or Path(given).stem
        say(f"features: {backbone} with the weights {given}")
        return ["--backbone", backbone, "--weights", given]
    kept = out / "backbone.json"
    if kept.is_file():
        options = json.loads(kept.read_text())
        say(f"features: {options[1]}, as before (delete {kept} to choose anew)")
        return options
    shared = weights_folder / f"{NEAREST}.safetensors"
    if shared.is_file():
        options = ["--backbone", NEAREST, "--weights", str(shared)]
        say(f"features: {NEAREST} with the weights {shared}")
    elif hub_has_weights(PAPER, say):
        options = ["--backbone", PAPER, "--weights", "hub"]
        say(f"features: {PAPER} with the weights of timm's hub")
    else:
        options = ["--backbone", "filters"]
        say("features: filters, which need no weights; none were found (WEIGHTS=FILE, or timm's hub)")
    beside = kept.with_suffix(".part")
    beside.write_text(json.dumps(options))
    beside.replace(kept)
    return options


def find_weights(backbone: str, weights_folder: Path, say: Callable[[str], None]) -> list[str] | None:
    """The options of `train` for this very backbone; None where its weights cannot be had."""
    for suffix in ("safetensors", "pth"):
        file = weights_folder / f"{backbone}.{suffix}"
        if file.is_file():
            return ["--backbone", backbone, "--weights", str(file)]
    return ["--backbone", backbone, "--weights", "hub"] if hub_has_weights(backbone, say) else None


def hub_has_weights(backbone: str, say: Callable[[str], None]) -> bool:
    say(f"asking timm's hub for the weights of {backbone} ...")
    code = (
        "import sys\n"
        "from sequential_patchcore.extractors.base import ExtractorSettings\n"
        "from sequential_patchcore.extractors.builder import extractor_of\n"
        "extractor_of(ExtractorSettings(sys.argv[1]), 'hub')"
    )
    try:
        attempt = subprocess.run(
            [sys.executable, "-c", code, backbone], capture_output=True, timeout=HUB_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return attempt.returncode == 0


def identity(options: Sequence[str]) -> str:
    """What the features are, wherever the weights lie: the options with a file's digest in place of its name."""
    named = dict(zip(options[::2], options[1::2], strict=True))
    weights = named.get("--weights")
    if weights not in (None, "hub", "none"):
        named["--weights"] = hashlib.sha256(Path(weights).read_bytes()).hexdigest()[:16]
    return json.dumps(named, sort_keys=True)
