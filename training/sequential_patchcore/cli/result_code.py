# SPDX-License-Identifier: Apache-2.0
"""Which of the program's modules have a say in the result of a command.

Left out is what only carries it out: messages, files, locks, memory, checkpoints, the command line itself. Who adds a
module finds it named by tests/training/cli/test_result_code.py until it stands here or there.
"""

_READING = tuple(
    f"data/{name}.py"
    for name in ("dataset", "decoders", "format", "pages", "photographs", "picture_files", "png")
)
_FEATURES = (
    *(f"extractors/{name}.py"
      for name in ("alignment", "base", "builder", "device", "filters", "folding", "grid", "onnx_engine", "onnx_graph",
                   "projection", "timm_backbone", "timm_models", "transformer")),
    "runtime/onnx_session.py",
)
_RULE = tuple(f"coreset/{name}.py" for name in ("coverage", "engine", "guarantee", "kernels", "screen", "shortlist"))
_SHARED = ("model/patch_ids.py", "runtime/choices.py")

TRAINING = (
    *_READING, *_FEATURES, *_RULE, *_SHARED, "coreset/greedy.py",
    *(f"fitting/{name}.py" for name in ("augmentation", "greedy", "run", "sequential", "settings", "stream",
                                        "training")),
)
REMEMBERING = (
    *TRAINING, "coreset/search.py", "coreset/arrays.py", "coreset/epochs.py", "coreset/sequential.py",
    "coreset/state.py", "fitting/impurities.py", "fitting/labelled_patches.py", "fitting/memory_run.py",
)
MELDING = ("coreset", "fitting/melding.py", "fitting/memory_melding.py", *_SHARED)
SCORING = (*_READING, *_FEATURES, "coreset/search.py", "runtime/choices.py", "scoring", "metrics/threshold.py",
           "metrics/conformal.py", "metrics/binomial.py", "model/products.py")
NAMING = (*SCORING, "naming", "model/naming.py", "metrics/binarize.py")
EVALUATION = (*NAMING, "evaluation", "metrics", "report")
PREDICTION = (*NAMING, "prediction", "metrics", "report", "export",
              *(f"data/importers/{name}.py" for name in ("findings", "mask_file", "plate_region")))
