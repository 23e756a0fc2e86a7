# SPDX-License-Identifier: Apache-2.0
"""The wheel as a user gets it: built from the source archive, installed into an empty environment, used from there."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "training" / "sequential_patchcore"
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff",
           "CONTRIBUTING.md", "constraints", "docs", "training", "tests/training")

pytestmark = pytest.mark.slow


def run(*command: object, folder: Path) -> str:
    """Standard output; in `folder`, where the checkout is not at hand."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env=environment,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Built:
    """The two archives, and what the wheel says of itself."""

    source: Path
    wheel: Path

    def names(self) -> set[str]:
        return set(zipfile.ZipFile(self.wheel).namelist())

    def about(self) -> Message:
        (name,) = (name for name in self.names() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(zipfile.ZipFile(self.wheel).read(name))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """From a copy: building leaves folders beside its sources, and takes in those that an earlier one left."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "gallery")
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            shutil.copy(source, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy, folder=out)
    return Built(*out.glob("*.tar.gz"), *out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment that holds the wheel; its libraries are lent by the environment of the tests."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder.parent)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", built.wheel,
        folder=folder.parent)
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder.parent).strip()
    lent = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    # Of a folder named in a .pth file, the .pth files are not read: the checkout, which one of them names, stays away.
    (Path(where) / "lent.pth").write_text("\n".join(lent) + "\n")
    return folder / "bin"


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(built: Built) -> None:
    files = {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert {"sequential_patchcore/py.typed", "sequential_patchcore/report/report.html"} <= files
    assert {name for name in built.names() if ".dist-info/" not in name} == files
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in built.names())


def test_the_source_archive_holds_what_the_wheel_is_made_of_and_the_documents(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "constraints/lowest.txt", "docs/coreset.md"}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("blender_addon", "out", ".venv"))]


def test_the_description_renders_by_itself(built: Built) -> None:
    from readme_renderer.markdown import render

    about = built.about()
    assert about["Description-Content-Type"] == "text/markdown"
    html = render(about.get_payload(decode=True).decode("utf-8"))
    assert html and "<h1" in html
    targets = re.findall(r'(?:href|src)="([^"]*)"', html)
    assert targets and all(target.startswith(("https://", "#")) for target in targets), targets


def test_the_metadata_say_whose_it_is_and_where_it_runs(built: Built) -> None:
    about = built.about()
    assert about["Author"] and about["License-Expression"] == "Apache-2.0"
    assert any("arxiv.org/abs/2501.09579" in url for url in about.get_all("Project-URL"))
    classifiers = about.get_all("Classifier")
    assert all(f"Programming Language :: Python :: 3.{minor}" in classifiers for minor in (11, 12, 13))
    assert not [line for line in about.get_all("Requires-Dist") if "<" in line or "==" in line.split(";")[0]]


def test_every_library_that_is_imported_is_asked_for(built: Built) -> None:
    imported: set[str] = set()
    archive = zipfile.ZipFile(built.wheel)
    for name in built.names():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(archive.read(name))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    imported.add(node.module.split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"sequential_patchcore"}
    assert {"torch", "numpy", "cv2", "PIL", "ray"} <= foreign
    asked = {_plain(re.match(r"[\w.-]+", line)[0]) for line in built.about().get_all("Requires-Dist")}
    distributions = metadata.packages_distributions()
    unasked = {name for name in foreign if not asked & {_plain(each) for each in distributions.get(name, [name])}}
    assert not unasked


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_package_is_imported_from_the_environment_and_knows_its_version(built: Built, installed: Path) -> None:
    code = (
        "import importlib.metadata as m, sequential_patchcore as s; "
        "print(s.__file__, s.__version__, m.version('sequential-patchcore'))"
    )
    file, *versions = run(installed / "python", "-c", code, folder=installed).split()
    assert Path(file).is_relative_to(installed.parent)
    assert versions == [built.about()["Version"]] * 2


def test_the_command_helps(built: Built, installed: Path) -> None:
    command = installed / "sequential-patchcore"
    assert run(command, "--version", folder=installed).strip() == built.about()["Version"]
    told = run(command, "--help", folder=installed)
    assert all(name in told for name in ("train", "calibrate", "evaluate", "predict", "import"))


def test_from_photographs_to_a_report_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Training, and the page of `evaluate`, which needs the files that are no Python."""
    rng = np.random.default_rng(0)
    for place, count in (("train/good", 3), ("test/good", 1), ("test/scratch", 1), ("ground_truth/scratch", 1)):
        folder = tmp_path / "plate" / place
        folder.mkdir(parents=True)
        for number in range(count):
            picture = rng.normal(140, 6, (64, 96))
            if "scratch" in place:
                picture[30:34, 20:60] = 20
            if "ground_truth" in place:
                Image.fromarray(np.where(picture == 20, 255, 0).astype(np.uint8)).save(folder / f"{number:03}_mask.png")
            else:
                Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / f"{number:03}.png")
    command = installed / "sequential-patchcore"
    run(command, "import", "mvtec", "plate", "--out", "data", folder=tmp_path)
    options = ("--backbone", "filters", "--coreset-size", 16, "--epochs", 1)
    run(command, "train", "--data", "data", "--out", "m.h5", *options, folder=tmp_path)
    assert "16" in run(command, "info", "m.h5", folder=tmp_path)
    run(command, "calibrate", "--model", "m.h5", "--threshold", 1, folder=tmp_path)
    run(command, "evaluate", "--model", "m.h5", "--data", "data", "--out", "results", folder=tmp_path)
    assert "<style>" in (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
