# SPDX-License-Identifier: Apache-2.0
"""JSON and JSON lines changed by structure: keys gone, doubled, renamed; values swapped, odd, deep, many."""

import json
import random
from typing import Any

from . import odd_values

_RAW = "@@raw@@{}@@"


def mutate_json(data: bytes, rng: random.Random, canary: str) -> bytes:
    """One to three changes of a JSON text."""
    tree, raw = json.loads(data), []
    for _ in range(rng.randint(1, 3)):
        tree = _changed(tree, rng, canary, raw)
    return _written(tree, raw).encode("utf-8", "surrogatepass")


def mutate_lines(data: bytes, rng: random.Random, canary: str) -> bytes:
    """A line changed as JSON, or lines gone, doubled, swapped, repeated, cut, joined."""
    lines = data.split(b"\n")
    place = rng.randrange(max(1, len(lines) - 1))
    act = rng.randrange(8)
    if act < 4 and lines[place].strip():
        lines[place] = mutate_json(lines[place], rng, canary)
    elif act == 4:
        del lines[place]
    elif act == 5:
        lines.insert(rng.randrange(len(lines)), lines[place])
    elif act == 6:
        lines = lines * rng.choice((2, 500))
    else:
        lines[place] = lines[place][: rng.randrange(len(lines[place]) + 1)] + rng.choice(
            (b"", b"\r", b"\0", b"}{", b" " * 2**21)
        )
    return b"\n".join(lines)


def _written(tree: Any, raw: list[str]) -> str:
    text = json.dumps(tree)
    for number, each in enumerate(raw):
        text = text.replace(json.dumps(_RAW.format(number)), each)
    return text


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key or index) of every value below the root."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            found.append((node, key))
            waiting.append(node[key])
    return found


def _changed(tree: Any, rng: random.Random, canary: str, raw: list[str]) -> Any:
    places = _places(tree)
    act = rng.randrange(10)
    if not places or (act == 0 and rng.random() < 0.2):
        raw.append(odd_values.value(rng, canary))
        return _RAW.format(len(raw) - 1)
    node, key = rng.choice(places)
    if act < 4:
        raw.append(odd_values.value(rng, canary))
        node[key] = _RAW.format(len(raw) - 1)
    elif act == 4:
        del node[key]
    elif act == 5:
        other, at = rng.choice(places)
        node[key], other[at] = json.loads(json.dumps(other[at])), json.loads(json.dumps(node[key]))
    elif act == 6 and isinstance(node, dict):  # the same key twice
        raw.append(f"{_written(node[key], raw)}, {json.dumps(key)}: {odd_values.value(rng, canary)}")
        node[key] = _RAW.format(len(raw) - 1)
    elif act == 7 and isinstance(node, dict):
        node[rng.choice((key.upper(), "", key + " ", *list(node)))] = node.pop(key)
    elif act == 8 and isinstance(node, list):
        node.extend([node[key]] * rng.choice((1, 3, 20_000)))
    else:
        node[key] = rng.choice(([node[key]], {"a": node[key]}, str(node[key]), [node[key]] * 3))
    return tree
