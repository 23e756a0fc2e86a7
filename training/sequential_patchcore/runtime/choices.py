# SPDX-License-Identifier: Apache-2.0
"""Names and bounds that the command line needs before torch is loaded."""

FILTERS = "filters"
DEFAULT_BACKBONE = "mobilenetv3_large_100"

LOWER_INDEX = "lower-index"
SEEDED_RANDOM = "seeded-random"
EVICTIONS = (LOWER_INDEX, SEEDED_RANDOM)

CORESET_SIZE = 2048  # the paper's
DEFAULT_EPOCHS = 5
# Of the memory of one impurity: vectors, and the share of a patch's cell that it covers; docs/impurities.md measures.
MEMORY_SIZE = 2048
PATCH_COVERAGE = 0.75
SEQUENTIAL = "sequential"
GREEDY = "greedy"
CORESETS = (SEQUENTIAL, GREEDY)

NORMALISATIONS = ("weights", "imagenet", "half", "none")
MAP_KINDS = ("tiff", "png")
PRECISIONS = ("float32", "bfloat16", "float16")

AUTO, TORCH, ONNX = "auto", "torch", "onnx"
ENGINES = (AUTO, TORCH, ONNX)  # what computes the network's maps; auto: the fastest that agrees with torch
GRAPHS = ("onnx", "openvino")  # what a model can be exported as

IMPORTS = ("labelme", "coco", "yolo", "voc", "cvat", "labelstudio", "mvtec", "folders")

# What a person may choose, and hence what a model file may hold: least and most.
BOUNDS = {
    "image_scale": (1e-3, 100.0), "pool": (1, 1000), "projection": (0, 100_000), "blur_sigma": (0.0, 10_000.0),
}
LARGEST_VALUE = 1e15  # of a patch vector's numbers: beyond it squares of long vectors could overflow float32
CHUNK_SIZE = 2048  # patches per matrix product, as in the paper; from 512 on the product runs at full speed

COVERAGE_PERCENT = (0, 1, 2, 3, 5, 10, 15, 20, 25, 50, 75, 100)  # the paper's appendix C
