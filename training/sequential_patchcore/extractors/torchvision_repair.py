# SPDX-License-Identifier: Apache-2.0
"""Make `import torchvision` work beside a CPU-only build of torch; import this module before timm.

timm imports torchvision unconditionally. torchvision's compiled part wants CUDA libraries, and without it the import
stops where it registers a shape rule for an operator that nobody declared ("operator torchvision::nms does not
exist"). Declaring the two operators is enough. A healthy installation never reaches that branch; on a repaired one
`torchvision.ops.nms` stays unusable, which nothing here needs.
"""

import sys

import torch

_BOXES_TO_INDICES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", _BOXES_TO_INDICES)
    import torchvision  # noqa: F401
