# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime set up as this program needs it: for the features in training, and for exported models."""

from pathlib import Path
from typing import Any


def onnx_session(graph: Path, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU, for images that are not all of one size.

    Args:
        threads: 0 for all cores.

    Raises:
        Exception: of ONNX Runtime, which has no common class for them: the file is no graph that it can run.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # what goes wrong comes as an exception
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Laid out in advance, the activations of one size took 1.7 times the memory, and no less time.
    options.enable_mem_pattern = False
    # Threads that wait busily would take the cores that the coreset and the reading of images need meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
