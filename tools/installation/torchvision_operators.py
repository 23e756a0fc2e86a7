# SPDX-License-Identifier: Apache-2.0
"""Lets `import torchvision` work where its compiled part cannot be loaded beside the torch that is there.

timm imports torchvision, and torchvision's wheels link CUDA libraries that a CPU build of torch does not bring. Without
its compiled part the import stops where a shape rule is registered for an operator that nobody declared ("operator
torchvision::nms does not exist"). Declaring two operators is enough; it is written into the environment's own copy
of torchvision, once. `torchvision.ops.nms` stays unusable there, which nothing of this project needs.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

from .choice import NotHere

SYMPTOM = "operator torchvision::nms does not exist"
DECLARATION = '''

# Added by tools/environments.py: the compiled part cannot be loaded beside this torch, and the shape rules in
# _meta_registrations.py want their operators declared.
if not _has_ops():
    for _operator in ("nms", "qnms"):
        torch.library.define(
            f"torchvision::{_operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
'''


def provide(python: Path, say: Callable[[str], None]) -> None:
    """Import torchvision; declare its operators where that is what the import lacks.

    Raises:
        NotHere: the import fails for another reason, or still fails.
    """
    error = _import_error(python)
    if error and SYMPTOM in error:
        say("torchvision's compiled part does not fit this torch; declaring its operators in this environment")
        declare(_package_of(python) / "extension.py")
        error = _import_error(python)
    if error:
        raise NotHere("`import torchvision` fails:\n" + error)


def declare(extension: Path) -> None:
    """Append the declaration to torchvision's module that loads the compiled part; once."""
    text = extension.read_text(encoding="utf-8")
    if DECLARATION not in text:
        part = extension.with_suffix(".part")
        part.write_text(text + DECLARATION, encoding="utf-8")
        part.replace(extension)


def _import_error(python: Path) -> str | None:
    done = subprocess.run([python, "-c", "import torchvision"], capture_output=True, text=True, check=False)
    return (done.stderr or "it ended without a message") if done.returncode else None


def _package_of(python: Path) -> Path:
    code = "import importlib.util; print(importlib.util.find_spec('torchvision').origin)"
    return Path(subprocess.check_output([python, "-c", code], text=True).strip()).parent
