# SPDX-License-Identifier: Apache-2.0
"""Something else where a file is expected: a folder, a link, a pipe, a device, nothing."""

import os
import random
import socket
from pathlib import Path


def _linked(target: str):
    return lambda path: path.symlink_to(target)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name[:90])
    finally:
        os.chdir(here)


def _sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(300 << 20)


FORMS = {
    "a folder": Path.mkdir,
    "a link to nothing": _linked("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to its folder": _linked("."),
    "a link to the root": _linked("/"),
    "a link to /dev/zero": _linked("/dev/zero"),
    "a link to /dev/null": _linked("/dev/null"),
    "a link to /dev/tty": _linked("/dev/tty"),
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "nothing at all": lambda path: None,
    "an empty file": Path.touch,
    "300 MB of zeros": _sparse,
}


def put(path: Path, rng: random.Random) -> str:
    """Replace the file; returns what stands there now."""
    name = rng.choice(sorted(FORMS))
    path.unlink()
    FORMS[name](path)
    return name
