# SPDX-License-Identifier: GPL-3.0-or-later
"""Node groups that read like their formulas.

    f = Formula(tree)
    with f.frame("Outline"):
        r = f.input("Radius") + noise * f.input("Noise Amplitude")

Values wrap output sockets; operators make Math or Vector Math nodes. Each frame gets a Group Input node of its own, so
that no wire crosses the whole tree, and everything is placed from left to right by what it depends on.
"""

from contextlib import contextmanager
from functools import cache

NODE_GAP, FRAME_GAP = 45, 110
WRAP = 14  # columns in a row: the 27 steps of the search make two


class Value:
    """An output socket with arithmetic. Operands are values, numbers or (for vectors) tuples of three numbers."""

    def __init__(self, formula: "Formula", socket):
        self.formula, self.socket = formula, socket

    @property
    def is_vector(self) -> bool:
        return self.socket.type in ("VECTOR", "RGBA")

    def named(self, label: str) -> "Value":
        """Write this label on the node that makes the value."""
        self.socket.node.label = label
        return self

    def __add__(self, other):
        return self.formula.math("ADD", self, other)

    def __sub__(self, other):
        return self.formula.math("SUBTRACT", self, other)

    def __mul__(self, other):
        if self.is_vector and isinstance(other, Value) and not other.is_vector:
            return self.formula.scale(self, other)  # a number linked to a vector socket would need a conversion
        return self.formula.math("MULTIPLY", self, other)

    def __truediv__(self, other):
        return self.formula.math("DIVIDE", self, other)

    def __pow__(self, other):
        return self.formula.math("POWER", self, other)

    def __gt__(self, other):
        return self.formula.math("GREATER_THAN", self, other)

    def __lt__(self, other):
        return self.formula.math("LESS_THAN", self, other)

    def __rtruediv__(self, other):
        return self.formula.math("DIVIDE", other, self)

    def __rsub__(self, other):
        return self.formula.math("SUBTRACT", other, self)

    __radd__, __rmul__ = __add__, __mul__


class Formula:
    """Writes nodes into a tree, which it empties first."""

    def __init__(self, tree):
        self.tree, self._frame = tree, None
        tree.nodes.clear()
        self._output = self.node("NodeGroupOutput")
        self._inputs: dict[str, object] = {}  # frame name -> its Group Input node

    def input(self, name: str) -> Value:
        """An input of the group, within a frame."""
        frame = self._frame.name
        if frame not in self._inputs:
            self._inputs[frame] = self.node("NodeGroupInput")
        return Value(self, _socket(self._inputs[frame].outputs, name))

    def output(self, name: str, value: Value) -> None:
        self.tree.links.new(value.socket, _socket(self._output.inputs, name))

    @contextmanager
    def frame(self, label: str):
        """Nodes made within go into a labelled frame."""
        self._frame = self.tree.nodes.new("NodeFrame")
        self._frame.label, self._frame.label_size = label, 32
        try:
            yield self._frame
        finally:
            self._frame = None

    def node(self, kind: str, label: str = "", **properties):
        """A bare node in the present frame, properties set in the given order."""
        node = self.tree.nodes.new(kind)
        node.parent = self._frame
        node.label = label
        for name, value in properties.items():
            setattr(node, name, value)
        return node

    def group(self, tree, label: str = "", **inputs):
        """A node of another group. Keywords are socket names with ``_`` for a space."""
        node = self.node("ShaderNodeGroup", label, node_tree=tree)
        for name, operand in inputs.items():
            self.feed(_socket(node.inputs, name.replace("_", " ")), operand)
        return node

    def feed(self, socket, operand) -> None:
        """Link a value, or set a constant."""
        if isinstance(operand, Value):
            self.tree.links.new(operand.socket, socket)
        elif hasattr(socket.default_value, "__len__") and isinstance(operand, int | float):
            socket.default_value = (operand,) * 3
        else:
            socket.default_value = operand

    def value(self, node, output: str) -> Value:
        return Value(self, _socket(node.outputs, output))

    def math(self, operation: str, *operands) -> Value:
        """A Math node, or a Vector Math node if any operand is a vector; numbers then count for all three axes."""
        vector = any(isinstance(x, tuple) or (isinstance(x, Value) and x.is_vector) for x in operands)
        node = self.node("ShaderNodeVectorMath" if vector else "ShaderNodeMath", operation=operation)
        for socket, operand in zip(node.inputs, operands, strict=False):
            self.feed(socket, operand)
        scalar = operation in ("DISTANCE", "LENGTH", "DOT_PRODUCT")
        return Value(self, node.outputs["Value" if scalar or not vector else "Vector"])

    def minimum(self, a, b) -> Value:
        return self.math("MINIMUM", a, b)

    def distance(self, a, b) -> Value:
        return self.math("DISTANCE", a, b)

    def scale(self, vector: Value, factor: Value) -> Value:
        """A vector times a number."""
        node = self.node("ShaderNodeVectorMath", operation="SCALE")
        self.feed(node.inputs[0], vector)
        self.feed(node.inputs["Scale"], factor)
        return Value(self, node.outputs["Vector"])

    def combine(self, x, y, z=0.0) -> Value:
        """A vector of three numbers."""
        node = self.node("ShaderNodeCombineXYZ")
        for axis, operand in zip("XYZ", (x, y, z), strict=True):
            self.feed(node.inputs[axis], operand)
        return Value(self, node.outputs["Vector"])

    def multiply_add(self, a, b, c) -> Value:
        return self.math("MULTIPLY_ADD", a, b, c)

    def floor(self, x) -> Value:
        """Floor, with -0.0 made 0.0, since the hash takes the bits. Cycles would fold a plain "+ 0" away."""
        return self.multiply_add(self.math("FLOOR", x), 1.0, 0.0)

    def arrange(self) -> None:
        """Place the nodes: frames from left to right by what they depend on, nodes within a frame likewise."""
        for node in self._inputs.values():
            for socket in node.outputs:
                socket.hide = not socket.is_linked
        frames = [node for node in self.tree.nodes if node.type == "FRAME"]
        nodes = {frame: [node for node in self.tree.nodes if node.parent == frame] for frame in frames}
        left = 0.0
        for column in _columns(frames, self.tree.links, owner=lambda node: node.parent):
            top, widest = 0.0, 0.0
            for frame in column:
                width, height = _place(_columns(nodes[frame], self.tree.links), left, top)
                widest, top = max(widest, width), top - height - FRAME_GAP
            left += widest + FRAME_GAP
        self._output.location = (left, 0.0)


def _place(columns: list[list], left: float, top: float) -> tuple[float, float]:
    """Place the columns of one frame, wrapped where a chain is long; returns the width and height they take."""
    bottom, widest = top, 0.0
    for start in range(0, len(columns), WRAP):
        x, lowest = left, bottom
        for column in columns[start : start + WRAP]:
            y = bottom
            for node in column:
                node.location = (x, y)
                y -= _height(node) + NODE_GAP
            lowest = min(lowest, y)
            x += max(node.width for node in column) + NODE_GAP
        bottom, widest = lowest, max(widest, x - left)
    return widest, top - bottom


def _height(node) -> float:
    """A guess at the drawn height, which Blender knows only once a window has drawn the node."""
    open_vectors = sum(s.type == "VECTOR" and not s.is_linked and not s.hide_value for s in node.inputs)
    sockets = sum(not s.hide and s.enabled for s in [*node.inputs, *node.outputs])
    return 70 + 22 * sockets + 63 * open_vectors


def _columns(nodes, links, owner=lambda node: node) -> list[list]:
    """Nodes (or frames, as owners of nodes) by the length of the longest chain before them."""
    before = {node.name: set() for node in nodes}
    for link in links:
        source, target = owner(link.from_node), owner(link.to_node)
        if source != target and source in nodes and target in nodes:
            before[target.name].add(source.name)

    @cache
    def depth(name: str) -> int:
        return 1 + max(map(depth, before[name]), default=-1)

    columns: list[list] = [[] for _ in range(1 + max((depth(node.name) for node in nodes), default=-1))]
    for node in nodes:
        columns[depth(node.name)].append(node)
    return columns


def _socket(sockets, name: str):
    """A socket by its name among those that are switched on."""
    for socket in sockets:
        if socket.name == name and socket.enabled:
            return socket
    raise KeyError(f"no socket {name!r} among {[socket.name for socket in sockets]}")
