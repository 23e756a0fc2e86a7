# SPDX-License-Identifier: GPL-3.0-or-later
"""Node groups that read like their formulas.

    f = Formula(tree)
    with f.frame("Outline"):
        r = f.input("Radius") + noise * f.input("Noise Amplitude")

Values wrap output sockets; operators make Math or Vector Math nodes. Nodes are placed in columns by what they depend
on, each frame a band of its own.
"""

from contextlib import contextmanager

COLUMN, ROW, BAND_GAP, WRAP = 190, 190, 120, 9


class Value:
    """An output socket with arithmetic. Operands are values, numbers or (for vectors) tuples of three numbers."""

    def __init__(self, formula: "Formula", socket):
        self.formula, self.socket = formula, socket

    @property
    def is_vector(self) -> bool:
        return self.socket.type == "VECTOR"

    def named(self, label: str) -> "Value":
        """Write this label on the node that makes the value."""
        self.socket.node.label = label
        return self

    def __add__(self, other):
        return self.formula.math("ADD", self, other)

    def __sub__(self, other):
        return self.formula.math("SUBTRACT", self, other)

    def __mul__(self, other):
        return self.formula.math("MULTIPLY", self, other)

    def __truediv__(self, other):
        return self.formula.math("DIVIDE", self, other)

    def __pow__(self, other):
        return self.formula.math("POWER", self, other)

    def __gt__(self, other):
        return self.formula.math("GREATER_THAN", self, other)

    def __lt__(self, other):
        return self.formula.math("LESS_THAN", self, other)

    def __rsub__(self, other):
        return self.formula.math("SUBTRACT", other, self)

    __radd__, __rmul__ = __add__, __mul__


class Formula:
    """Writes nodes into a tree, which it empties first."""

    def __init__(self, tree):
        self.tree, self._frame = tree, None
        tree.nodes.clear()
        self._input = self.node("NodeGroupInput")
        self._output = self.node("NodeGroupOutput")

    def input(self, name: str) -> Value:
        return Value(self, _socket(self._input.outputs, name))

    def output(self, name: str, value: Value) -> None:
        self.tree.links.new(value.socket, _socket(self._output.inputs, name))

    @contextmanager
    def frame(self, label: str):
        """Nodes made within go into a labelled frame."""
        self._frame = self.tree.nodes.new("NodeFrame")
        self._frame.label = label
        yield
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

    def multiply_add(self, a, b, c) -> Value:
        return self.math("MULTIPLY_ADD", a, b, c)

    def floor(self, x) -> Value:
        """Floor, with -0.0 made 0.0, since the hash takes the bits. Cycles would fold a plain "+ 0" away."""
        return self.multiply_add(self.math("FLOOR", x), 1.0, 0.0)

    def arrange(self) -> None:
        """Inputs left, outputs right, each frame a band; columns by dependence, wrapped where a chain is long."""
        frames = [node for node in self.tree.nodes if node.type == "FRAME"]
        top, widest = 0, 0
        for frame in frames:
            columns = _columns([node for node in self.tree.nodes if node.parent == frame], self.tree.links)
            bottom = top
            for start in range(0, len(columns), WRAP):
                row = columns[start : start + WRAP]
                for x, column in enumerate(row):
                    for y, node in enumerate(column):
                        node.location = (x * COLUMN, bottom - y * ROW)
                widest = max(widest, len(row))
                bottom -= ROW * max(len(column) for column in row)
            top = bottom - BAND_GAP
        self._input.location = (-2 * COLUMN, 0)
        self._output.location = ((widest + 1) * COLUMN, 0)


def _columns(nodes, links) -> list[list]:
    """Nodes by the length of the longest chain before them; nodes come in the order in which they were made."""
    before = {node.name: set() for node in nodes}
    for link in links:
        if link.from_node.name in before and link.to_node.name in before:
            before[link.to_node.name].add(link.from_node.name)
    depth: dict[str, int] = {}
    for node in nodes:  # a node is made after those that it depends on
        depth[node.name] = 1 + max((depth[name] for name in before[node.name]), default=-1)
    columns: list[list] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for node in nodes:
        columns[depth[node.name]].append(node)
    return columns


def _socket(sockets, name: str):
    """A socket by its name among those that are switched on."""
    for socket in sockets:
        if socket.name == name and socket.enabled:
            return socket
    raise KeyError(f"no socket {name!r} among {[socket.name for socket in sockets]}")
