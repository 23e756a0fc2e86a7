# SPDX-License-Identifier: Apache-2.0
"""Pictures as cameras and people leave them: pages, animations, turned greys, few bits in many, very large ones."""

import io
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.photographs import decode_image, load_photograph, picture_size
from sequential_patchcore.runtime.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
from tiff_by_hand import tiff

SIZE = (12, 16)


def grey(seed: int = 0, deep: bool = False) -> np.ndarray:
    top = 65536 if deep else 256
    return np.random.default_rng(seed).integers(0, top, SIZE, dtype=np.uint16 if deep else np.uint8)


def tiff_of(pages: list[np.ndarray], photometric: int = 1, **more) -> bytes:
    rows = [page.astype(page.dtype.newbyteorder("<")).tobytes() for page in pages]
    return tiff(rows, pages[0].shape, 8 * pages[0].dtype.itemsize, photometric, **more)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `import labelme s --out d`; the folder `s` is there."""
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()
    return lambda *options: cli.main(["import", "labelme", "s", "--out", "d", *options])


def frames(kind: str, count: int = 2) -> bytes:
    images = [Image.fromarray(grey(seed)) for seed in range(count)]
    if kind == "MPO":
        images = [image.convert("RGB") for image in images]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "suffix"), [
    ("TIFF", "tif"), ("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png"), ("MPO", "jpg"), ("AVIF", "avif")])
def test_a_file_with_several_pictures_is_never_its_first_alone(run, capsys, kind, suffix):
    Path(f"s/a.{suffix}").write_bytes(frames(kind))
    assert run() == 2
    assert f"s/a.{suffix} holds 2 pictures (pages, an animation or a stack)" in capsys.readouterr().err
    with pytest.raises(UserError, match="holds 2 pictures"):
        load_photograph(Path(f"s/a.{suffix}"))


@pytest.mark.parametrize("deep", [False, True])
def test_pages_can_be_taken_as_images(run, deep):
    pages = [grey(seed, deep) for seed in range(3)]
    Path("s/x.tif").write_bytes(tiff_of(pages))
    Image.fromarray(grey(9)).save("s/y.png")
    assert run("--pages") == 0
    dataset = open_dataset("d")
    assert [(s.id, s.group) for s in dataset.samples] == [
        ("x_page1", "x"), ("x_page2", "x"), ("x_page3", "x"), ("y", "y")]
    for sample, page in zip(dataset.samples, pages, strict=False):
        np.testing.assert_array_equal(dataset.image(sample)[..., 0] * np.iinfo(page.dtype).max, page)


def test_a_labelled_file_with_pages_is_refused(run, capsys):
    Path("s/x.tif").write_bytes(tiff_of([grey(0), grey(1)]))
    shape = {"label": "dent", "shape_type": "rectangle", "points": [[2, 2], [6, 6]]}
    Path("s/x.json").write_text(json.dumps({"shapes": [shape], "imagePath": "x.tif"}))
    Image.fromarray(grey(9)).save("s/y.png")
    assert run("--pages") == 2
    assert "holds 2 pages, and its labels do not say to which they belong" in capsys.readouterr().err
    assert run("--pages", "--skip-bad") == 4
    assert [s.id for s in open_dataset("d").samples] == ["y"]


def test_a_smaller_copy_within_a_file_is_no_page(run):
    """Previews: a TIFF's reduced page, and the small second picture of a telephone's JPEG."""
    first, small = grey(0), grey(1)
    Path("s/a.tif").write_bytes(tiff_of([first, small], more=[{254: 0}, {254: 1}]))
    buffer = io.BytesIO()
    large = Image.fromarray(np.repeat(np.repeat(first, 4, 0), 4, 1)).convert("RGB")
    large.save(buffer, "MPO", save_all=True, append_images=[large.resize((16, 12))])
    Path("s/b.jpg").write_bytes(buffer.getvalue())
    assert Image.open("s/b.jpg").n_frames == 2
    assert run() == 0
    dataset = open_dataset("d")
    assert [s.id for s in dataset.samples] == ["a", "b"]
    np.testing.assert_array_equal(dataset.image(dataset.samples[0])[..., 0] * 255, first)


def test_a_stack_in_one_page_is_refused(run, capsys):
    image = Image.fromarray(grey())
    image.save("s/a.tif", description="ImageJ=1.53t\nimages=40\nslices=40\n")
    assert run() == 2
    assert "s/a.tif holds a stack of 40 pictures in one page" in capsys.readouterr().err


@pytest.mark.parametrize("bits", [1, 4, 8, 12, 16])
def test_white_is_zero_is_turned_over_at_every_depth(bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, SIZE)
    digits = (values[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    rows = np.packbits(digits.reshape(SIZE[0], -1), axis=1).tobytes()
    if bits == 16:
        rows = values.astype("<u2").tobytes()
    black, white = (decode_image(tiff([rows], SIZE, bits, photometric), "a")[0].astype(int) for photometric in (1, 0))
    top = {1: 255, 4: 255, 8: 255, 12: 4095 << 4, 16: 65535}[bits]
    np.testing.assert_array_equal(white, top - black)
    np.testing.assert_allclose(black / top, values / (2**bits - 1), atol=1e-9)


@pytest.mark.parametrize("largest", [1, 15, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_portable_pixmap_says_what_white_is(largest, channels):
    values = np.random.default_rng(0).integers(0, largest + 1, (*SIZE, channels))
    values[0, 0] = largest
    data = f"P{5 if channels == 1 else 6}\n# a comment\n{SIZE[1]} {SIZE[0]}\n{largest}\n".encode()
    read, _ = decode_image(data + values.astype(">u2" if largest > 255 else "u1").tobytes(), "a.ppm")
    top = np.iinfo(read.dtype).max
    assert read.dtype == (np.uint16 if largest > 255 else np.uint8)
    np.testing.assert_allclose(read.reshape(values.shape) / top, values / largest, atol=0.51 / top)


def test_few_bits_in_files_of_many_are_said_and_can_be_scaled(run, capsys):
    values = np.random.default_rng(0).integers(0, 4096, SIZE, dtype=np.uint16)
    values[0, 0] = 4095
    Image.fromarray(values).save("s/a.png")
    Image.fromarray(grey()).save("s/b.png")
    assert run() == 0
    said = capsys.readouterr().err
    assert "1 images have 16 bits a channel, and none has a value above 4095 (12 bits; the first: s/a.png)" in said
    assert "--bit-depth 12 scales them" in said
    assert open_dataset("d").image(open_dataset("d").samples[0]).max() < 0.07
    assert run("--bit-depth", "12", "--overwrite") == 0
    assert "16 bits a channel" not in capsys.readouterr().err
    dataset = open_dataset("d")
    np.testing.assert_allclose(dataset.image(dataset.samples[0])[..., 0], values / 4095, atol=1e-5)
    np.testing.assert_array_equal(dataset.image(dataset.samples[1])[..., 0] * 255, grey())
    assert run("--bit-depth", "10", "--overwrite") == 2
    assert "s/a.png: the value 4095 needs 12 bits, --bit-depth says 10" in capsys.readouterr().err
    Image.fromarray(grey(3, deep=True)).save("s/c.png")
    assert run("--overwrite") == 0
    assert "16 bits a channel" not in capsys.readouterr().err  # one uses them all


def test_a_limit_of_the_decoder_is_none_of_ours(run, monkeypatch, capsys):
    """Pillow refuses pictures of more than twice this limit as bombs."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    for kind in ("png", "jpg", "tif", "webp", "gif", "bmp"):
        Image.fromarray(grey()).save(f"s/{kind}.{kind}")
    shape = {"label": "dent", "shape_type": "rectangle", "points": [[2, 2], [6, 6]]}
    Path("s/png.json").write_text(json.dumps({"shapes": [shape], "imagePath": "png.png"}))
    assert run() == 0
    dataset = open_dataset("d")
    assert len(dataset.samples) == 6 and sum(np.count_nonzero(dataset.mask(s)) for s in dataset.samples) == 16
    assert Image.MAX_IMAGE_PIXELS == 20
    assert run("--memory-budget", "1kiB", "--check-only") == 2
    assert "has 16 x 12 pixels (0 megapixels); reading it takes about" in capsys.readouterr().out


def test_a_line_scan_of_180_megapixels_is_read():
    rows = np.random.default_rng(0).integers(0, 256, (1, 1200), dtype=np.uint8)
    whole = np.repeat(rows, 150_100, axis=0)
    data = cv2.imencode(".png", whole, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    assert picture_size(data) == (150_100, 1200)
    read, _ = decode_image(data, "a.png")
    assert read.shape == whole.shape and (read[::1000] == rows).all()


@pytest.mark.parametrize("suffix", ["webp", "gif", "jp2", "ppm", "pgm", "jfif", "avif", "dib"])
def test_pictures_of_rarer_kinds_are_read(run, suffix):
    smooth = cv2.resize(grey()[:3, :4], SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    kind = {"jp2": "JPEG2000", "jfif": "JPEG", "pgm": "PPM"}.get(suffix, suffix.upper())
    Image.fromarray(smooth).save(f"s/a.{suffix}", kind, quality=95)
    assert run() == 0
    dataset = open_dataset("d")
    assert np.abs(dataset.image(dataset.samples[0])[..., 0] * 255 - smooth).max() <= 12


@pytest.mark.parametrize(("content", "found"), [
    (b"", "an empty file"), (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "a HEIC photograph"), (b"%PDF-1.4", "a PDF document"),
    (b"\n<!DOCTYPE html>", "a web page"), (b"PK\x03\x04", "a ZIP archive"), (b"v/1\x01", "floating-point values"),
    (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"), (b"hello", "it cannot be decoded")])
def test_what_is_no_picture_is_called_by_its_name(content, found):
    with pytest.raises(UserError, match=rf"a\.jpg: expected a picture \(PNG, JPEG, BMP or TIFF\), .*{found}"):
        decode_image(content, "a.jpg")


@pytest.mark.parametrize(("kind", "more"), [
    ("float", {339: 3}), ("signed", {339: 2}), ("two channels", {}), ("five", {})])
def test_stacks_and_depth_maps_in_tiff_are_refused(kind, more):
    samples = {"two channels": 2, "five": 5}.get(kind, 1)
    dtype = {"float": "<f4", "signed": "<i2"}.get(kind, "<u2")
    rows = np.full((*SIZE, samples), 1000).astype(dtype).tobytes()
    with pytest.raises(UserError, match=r"a\.tif: "):
        decode_image(tiff([rows], SIZE, 32 if kind == "float" else 16, 1, samples, more=[more]), "a.tif")
