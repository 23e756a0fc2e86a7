# SPDX-License-Identifier: Apache-2.0
"""The patches that a decision was about, kept beside the journal, so that it can be replayed when the image is gone."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
import torch

from ..coreset.search import NearestSearch
from ..extractors.grid import Grid
from ..runtime.errors import UserError
from ..runtime.files import make_folder
from ..runtime.requests import digest_of
from ..scoring.anomaly_map import anomaly_map
from .journal import sync_folder

FOLDER = "patches"
_MARGIN = 2  # cells around the taught ones, so that the blurred map at the region is that of the whole image
_THUMBNAIL = 160  # pixels


@dataclass(frozen=True)
class RegionPatches:
    """A block of an image's feature grid around a region.

    Attributes:
        vectors: (h, w, D) float32, the block.
        taught: (h, w) bool, the cells that the region touches and their neighbours.
        corner: (y, x) of the block on the image's grid.
        box: (x, y, width, height) of the region, in pixels.
        pixels: (height, width) bool, which pixels of the box are the region's.
        grid: of the whole image.
        blur_sigma: of the map, in pixels.
        thumbnail: JPEG of the region with its surroundings.
        extractor: `extractor_digest` of what made the vectors.
    """

    vectors: np.ndarray
    taught: np.ndarray
    corner: tuple[int, int]
    box: tuple[int, int, int, int]
    pixels: np.ndarray
    grid: Grid
    blur_sigma: float
    thumbnail: bytes
    extractor: str

    @classmethod
    def of(
        cls, vectors: np.ndarray, grid: Grid, blur_sigma: float, image: np.ndarray, inside: np.ndarray,
        extractor: str,
    ) -> "RegionPatches":
        """Those of a region.

        Args:
            vectors: (h, w, D) float32 of the whole image.
            image: (H, W, 3) float32 RGB in [0, 1].
            inside: (H, W) bool, at least one pixel.
            extractor: `extractor_digest` of what made the vectors.
        """
        box = box_of(inside)
        x, y, width, height = box
        touched = grid.touched_by(inside)
        taught = cv2.dilate(touched.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        rows, columns = (np.flatnonzero(taught.any(axis)) for axis in (1, 0))
        top, left = max(0, rows[0] - _MARGIN), max(0, columns[0] - _MARGIN)
        block = slice(top, rows[-1] + _MARGIN + 1), slice(left, columns[-1] + _MARGIN + 1)
        return cls(np.array(vectors[block], np.float32), taught[block].copy(), (int(top), int(left)), box,
                   inside[y : y + height, x : x + width].copy(), grid, blur_sigma, _thumbnail(image, box), extractor)

    @property
    def taught_vectors(self) -> np.ndarray:
        """(n, D) float32, row by row."""
        return np.ascontiguousarray(self.vectors[self.taught])

    @property
    def taught_cells(self) -> np.ndarray:
        """(n, 2) int64, (y, x) of the same on the image's grid."""
        return np.argwhere(self.taught) + np.array(self.corner)

    @property
    def touched_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, D) float32 and (n, 2) int64 cells of the patches that the region itself touches, without neighbours."""
        inside = np.zeros(self.grid.size, bool)
        x, y, width, height = self.box
        inside[y : y + height, x : x + width] = self.pixels
        top, left = self.corner
        rows, columns = self.vectors.shape[:2]
        own = self.grid.touched_by(inside)[top : top + rows, left : left + columns]
        return np.ascontiguousarray(self.vectors[own]), np.argwhere(own) + np.array(self.corner)

    def peak(self, search: NearestSearch) -> float:
        """The region's highest score in the anomaly map that a memory makes of the image."""
        return float(self.scores(search).max())

    def scores(self, search: NearestSearch) -> np.ndarray:
        """(n,) float32: the same of each pixel of the region, row by row."""
        with torch.inference_mode():
            flat = torch.from_numpy(self.vectors.reshape(-1, self.vectors.shape[-1])).to(search.device)
            block = search.distances(flat).cpu().numpy().reshape(self.vectors.shape[:2])
        distances = np.zeros(self.grid.cells, np.float32)
        y, x = self.corner
        distances[y : y + block.shape[0], x : x + block.shape[1]] = block
        left, top, width, height = self.box
        scores = anomaly_map(distances, self.grid, self.blur_sigma)
        return scores[top : top + height, left : left + width][self.pixels]


def extractor_digest(extractor: Mapping[str, Any]) -> str:
    """Of a model's feature extractor, without what is measured anew on each machine: vectors of equal ones compare."""
    return digest_of({name: value for name, value in extractor.items() if name not in ("weights", "offset")})


def box_of(inside: np.ndarray) -> tuple[int, int, int, int]:
    """(x, y, width, height) of the pixels (H, W) bool that are set."""
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    return (int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1))


def _thumbnail(image: np.ndarray, box: tuple) -> bytes:
    x, y, width, height = box
    margin = max(16, max(width, height) // 2)
    part = image[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin]
    scale = min(1.0, _THUMBNAIL / max(part.shape[:2]))
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    coded, data = cv2.imencode(".jpg", np.rint(np.clip(small, 0, 1)[..., ::-1] * 255).astype(np.uint8))
    return data.tobytes() if coded else b""


def patches_file(folder: Path, entry_id: str) -> Path:
    return folder / FOLDER / f"{entry_id}.npz"


def save_patches(patches: RegionPatches, folder: Path, entry_id: str) -> None:
    """Write the file and wait until it is on the disk; before the journal's line, which counts on it.

    Raises:
        UserError: it cannot be written.
    """
    path, grid = patches_file(folder, entry_id), patches.grid
    data = io.BytesIO()
    np.savez(
        data, vectors=patches.vectors, taught=patches.taught, corner=np.array(patches.corner),
        box=np.array(patches.box), pixels=patches.pixels, blur_sigma=patches.blur_sigma,
        grid=np.array([*grid.size, *grid.cells, grid.stride]), scale=np.array([grid.offset, grid.image_scale]),
        thumbnail=np.frombuffer(patches.thumbnail, np.uint8), extractor=np.array(patches.extractor),
    )
    beside = path.with_name(f".{path.name}.part")
    try:
        make_folder(path.parent)
        with open(beside, "wb") as file:
            file.write(data.getvalue())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; the decision is not kept") from error


def load_patches(folder: Path, entry_id: str) -> RegionPatches:
    """
    Raises:
        UserError: the file is gone or damaged.
    """
    path = patches_file(folder, entry_id)
    try:
        with np.load(path, allow_pickle=False) as kept:
            height, width, rows, columns, stride = (int(value) for value in kept["grid"])
            offset, scale = (float(value) for value in kept["scale"])
            return RegionPatches(
                kept["vectors"], kept["taught"], tuple(int(v) for v in kept["corner"]),
                tuple(int(v) for v in kept["box"]), kept["pixels"],
                Grid((height, width), (rows, columns), stride, offset, scale),
                float(kept["blur_sigma"]), kept["thumbnail"].tobytes(), str(kept["extractor"]),
            )
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise UserError(
            f"cannot read {path} ({error}): the patches of the decision {entry_id} are needed to replay it; restore "
            f"the file, or take the decision back: `undo` {entry_id}"
        ) from error
