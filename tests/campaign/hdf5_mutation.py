# SPDX-License-Identifier: Apache-2.0
"""An HDF5 file changed by structure: parts gone, of another kind, linked elsewhere, larger than they are."""

import os
import random
import resource
import shutil
from pathlib import Path

import h5py
import numpy as np

from . import odd_values
from .tree_mutation import mutate_json


def mutate(source: Path, target: Path, rng: random.Random, canary: str) -> None:
    """Write a copy with one to three changes, made by a child, which a change may cost its life."""
    shutil.copyfile(source, target)
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
            with h5py.File(target, "r+") as file:
                for _ in range(rng.randint(1, 3)):
                    (_attribute if rng.random() < 0.5 else _part)(file, rng, canary)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _names(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visit(names.append)
    return sorted(names)


def _attribute(file: h5py.File, rng: random.Random, canary: str) -> None:
    places = [file, *(file[name] for name in _names(file) if name in file)]
    places = [place for place in places if len(place.attrs)] or [file]
    place = rng.choice(places)
    name = rng.choice(sorted(place.attrs) or ["format"])
    act = rng.randrange(8)
    old = place.attrs.get(name)
    if act < 3 and isinstance(old, str) and old[:1] in "[{":
        text = mutate_json(old.encode(), rng, canary)[:60_000]
        place.attrs[name] = text.decode("utf-8", "replace").replace("\0", "")
    elif act == 3:
        del place.attrs[name]
    else:
        place.attrs[name] = rng.choice(
            (
                -1,
                2**63 - 1,
                1.5,
                float("nan"),
                float("inf"),
                -float("inf"),
                True,
                "",
                "x" * 60_000,
                np.bytes_(b"\xff\xfe"),
                b"\xff",
                np.zeros(0),
                np.zeros((2, 3)),
                h5py.Empty("f"),
                h5py.Empty(h5py.string_dtype()),
                file.ref,
                np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
                np.array(["a", "b"], dtype=h5py.string_dtype()),
                1e300,
                np.float16(1),
                np.uint64(2**64 - 1),
                np.complex64(1j),
                np.void(b"abc"),
                rng.choice(odd_values.texts(canary))
                .replace("\0", "")
                .encode("utf-8", "replace")
                .decode("utf-8", "replace"),
            )
        )


def _part(file: h5py.File, rng: random.Random, canary: str) -> None:
    names = _names(file)
    if not names:
        file["a"] = 1
        return
    name, other = rng.choice(names), rng.choice(names)
    old = file[name]
    small = isinstance(old, h5py.Dataset) and old.nbytes < 1 << 20
    data = old[()] if small else np.zeros((2, 2), np.float32)
    shape, dtype = np.shape(data), np.asarray(data).dtype
    number = dtype.kind in "fiu"
    length = max(1, shape[0] if shape else 1)
    act = rng.randrange(16)
    if act == 0 and number and np.size(data):
        flat = np.array(data, copy=True).reshape(-1)
        values = (np.nan, np.inf, -np.inf, 3e38) if dtype.kind == "f" else (np.iinfo(dtype).max, np.iinfo(dtype).min)
        flat[rng.randrange(flat.size)] = rng.choice(values)
        old[...] = flat.reshape(shape)
        return
    if act == 1:  # another data set's contents
        second = file[other]
        del file[name]
        if name not in other.split("/") and isinstance(second, h5py.Dataset):
            file.copy(second, name)
        return
    del file[name]
    if act == 2:
        return
    if act == 3:
        file[name] = h5py.SoftLink(rng.choice((f"/{name}", "/", f"/{other}", "/nowhere")))
    elif act == 4:
        file[name] = h5py.ExternalLink(rng.choice((canary, "/etc/passwd", "other.h5", "/dev/zero", file.filename)), "/")
    elif act == 5:
        file[name] = file["/"]  # a circle
    elif act == 6:
        file.create_group(name)
    elif act == 7 and number:
        file[name] = np.asarray(data).astype(
            rng.choice((np.float64, np.int8, np.uint16, np.float16, ">f4", np.complex64))
        )
    elif act == 8:
        file.create_dataset(
            name, shape=(rng.choice((2**20, 2**31, 2**40)), *shape[1:]), dtype=dtype if number else "f4", chunks=True
        )
    elif act == 9:
        file.create_dataset(name, shape=(*shape, 2**16)[:3], dtype="f4", chunks=True, compression="gzip", fillvalue=1.0)
    elif act == 10:
        file.create_dataset(name, shape=(4096,), dtype="u1", external=[(rng.choice(("/etc/passwd", canary)), 0, 4096)])
    elif act == 11:
        layout = h5py.VirtualLayout(shape=(length, 4), dtype="f4")
        layout[:] = h5py.VirtualSource(canary, "a", shape=(length, 4))
        file.create_virtual_dataset(name, layout)
    elif act == 12:
        file[name] = np.array(["\0", "x" * 5000, "../a", ""][:length] * (length // 4 + 1), dtype=h5py.string_dtype())[
            :length
        ]
    elif act == 13:
        file.create_dataset(name, shape=(length,), dtype=h5py.vlen_dtype(np.int32))
    elif act == 14:
        file[name] = np.asarray(data)[:0] if shape else 0
    else:
        file[name] = rng.choice(
            (1, "text", np.zeros((1,) * 8), np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]), h5py.Empty("f4"))
        )
