# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs written like formulas: each method adds a node and returns the name of what it makes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..extractors.onnx_graph import OPSET

IR_VERSION = 10  # read by ONNX Runtime from 1.18 on


class GraphBuilder:
    """Nodes and constants of a graph in the making. A value is the name of a tensor."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._known: dict[tuple, str] = {}

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; the name of its output, or their names where it has several."""
        number = len(self._nodes)
        name = f"{self._prefix}{operator.lower()}_{number}"
        names = [name] if outputs == 1 else [f"{name}_{n}" for n in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, name=name, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        """A number or array; small ones are kept once."""
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size < 64 else None
        if key is not None and key in self._known:
            return self._known[key]
        name = f"{self._prefix}constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        if key is not None:
            self._known[key] = name
        return name

    def integer(self, value: int) -> str:
        return self.constant(value, np.int64)

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def double(self, value: float) -> str:
        return self.constant(value, np.float64)

    def size(self, value: str, axis: int) -> str:
        """The length of a tensor's axis, an int64 without dimensions."""
        return self("Gather", self("Shape", value), self.integer(axis))

    def cast(self, value: str, dtype: type) -> str:
        return self("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def range(self, stop: str, start: int = 0) -> str:
        """int64: start, start + 1, ..., stop - 1."""
        return self("Range", self.integer(start), stop, self.integer(1))

    def ceil_divided(self, value: str, divisor: int) -> str:
        """Of int64 values, rounded up."""
        return self("Div", self("Add", value, self.integer(divisor - 1)), self.integer(divisor))

    def clipped(self, value: str, least: str, most: str) -> str:
        return self("Min", self("Max", value, least), most)

    def joined(self, *values: str) -> str:
        """int64 without dimensions to one with one."""
        return self("Concat", *(self("Unsqueeze", value, self.integers(0)) for value in values), axis=0)

    def include(self, model: onnx.ModelProto, inputs: Sequence[str], prefix: str) -> list[str]:
        """Another model's nodes, under names of their own; what its outputs are called here."""
        graph = model.graph
        renamed = {value.name: given for value, given in zip(graph.input, inputs, strict=True)} | {"": ""}
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = prefix + node.name
            del copy.input[:], copy.output[:]
            copy.input.extend(renamed.get(name, prefix + name) for name in node.input)
            copy.output.extend(prefix + name if name else "" for name in node.output)
            self._nodes.append(copy)
        for constant in graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(constant)
            copy.name = prefix + constant.name
            self._constants.append(copy)
        return [prefix + value.name for value in graph.output]

    def graph(self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> Any:
        return helper.make_graph(self._nodes, name, inputs, outputs, self._constants)

    def named(self, value: str, name: str) -> None:
        """Give a value the name of an output."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))


def finished(graph: onnx.GraphProto, notes: dict[str, str]) -> onnx.ModelProto:
    """The whole model, checked; `notes` become its metadata."""
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sequential-patchcore",
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, notes)
    onnx.checker.check_model(model)
    return model
