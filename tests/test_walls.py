# SPDX-License-Identifier: Apache-2.0
"""The walls of docs/architecture.md, drawn from the import statements themselves."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ADDON = REPOSITORY / "blender_addon"
TRAINING = REPOSITORY / "training" / "sequential_patchcore"


def imports(file: Path, package: Path, name: str) -> Iterator[tuple[str, str]]:
    """(module, imported name) of each import statement of a file, relative ones made absolute within `name`."""
    inside = file.relative_to(package).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                kept = inside[: len(inside) - (node.level - 1)]
                module = ".".join((name, *kept, *((node.module,) if node.module else ())))
            else:
                module = node.module or ""
            for alias in node.names:
                yield module, alias.name


def all_imports(package: Path, name: str, below: str = ".") -> list[tuple[str, str, str]]:
    """(file, module, name) of every import statement below a folder of a package."""
    root = package / below
    files = [root] if root.is_file() else sorted(root.rglob("*.py"))
    assert files, f"nothing to check in {root}"
    return [
        (str(file.relative_to(package)), module, imported)
        for file in files
        for module, imported in imports(file, package, name)
    ]


def top(module: str) -> str:
    return module.split(".")[0]


def test_the_mathematics_of_the_addon_knows_no_blender() -> None:
    foreign = {"bpy", "bmesh", "mathutils", "torch", "cv2"}
    found = [each for each in all_imports(ADDON, "blender_addon", "core") if top(each[1]) in foreign]
    assert not found
    upward = [
        each for each in all_imports(ADDON, "blender_addon", "core")
        if each[1].startswith("blender_addon") and not each[1].startswith("blender_addon.core")
    ]
    assert not upward


def test_the_addon_and_the_training_package_do_not_know_each_other() -> None:
    from_addon = all_imports(ADDON, "blender_addon")
    assert not [each for each in from_addon if top(each[1]) in {"sequential_patchcore", "torch"}]
    from_training = all_imports(TRAINING, "sequential_patchcore")
    assert not [each for each in from_training if top(each[1]) in {"blender_addon", "bpy"}]


# Which package of the training package may import which others; `runtime` is open to all, `cli` may import all.
ALLOWED = {
    "runtime": set(),
    "coreset": set(),
    "extractors": set(),
    "data": set(),
    "metrics": set(),
    "model": {"coreset"},
    "fitting": {"coreset", "data", "extractors", "model"},
    "scoring": {"coreset", "data", "extractors", "metrics", "model"},
    "naming": {"coreset", "data", "extractors", "metrics", "model", "scoring"},
    "report": {"metrics", "model", "scoring"},
    "evaluation": {"data", "metrics", "naming", "report", "scoring"},
    "export": {"data", "extractors", "metrics", "model", "scoring"},
    "prediction": {"data", "metrics", "model", "naming", "report", "scoring"},
    "review": {"coreset", "data", "extractors", "metrics", "model", "naming", "report", "scoring"},
}


def package_of(module: str) -> str:
    """The package of the training package that a dotted name lies in; "" for its own names, such as the version."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_packages_import_only_those_below_them() -> None:
    found = set()
    for file, module, name in all_imports(TRAINING, "sequential_patchcore"):
        if top(module) != "sequential_patchcore":
            continue
        here = file.split("/")[0]
        there = package_of(f"{module}.{name}")
        if here in ALLOWED and there in ALLOWED.keys() | {"cli"} and there not in ALLOWED[here] | {here, "runtime"}:
            found.add((file, there))
    assert not found


def test_every_module_of_the_training_package_lies_in_a_package_that_the_list_knows() -> None:
    loose = {file.name for file in TRAINING.glob("*.py")} - {"__init__.py", "__main__.py", "api.py"}
    assert not loose
    assert {folder.name for folder in TRAINING.iterdir() if (folder / "__init__.py").exists()} == {*ALLOWED, "cli"}


@pytest.mark.parametrize("package", ["coreset", "metrics"])
def test_mathematics_knows_no_files(package: str) -> None:
    foreign = {"pathlib", "os", "io", "h5py", "PIL", "tqdm", "shutil", "tempfile"}
    assert not [each for each in all_imports(TRAINING, "sequential_patchcore", package) if top(each[1]) in foreign]


def test_nobody_imports_the_command_line_or_the_panel() -> None:
    in_training = [
        each for each in all_imports(TRAINING, "sequential_patchcore")
        if each[1].startswith("sequential_patchcore") and package_of(f"{each[1]}.{each[2]}") == "cli"
        and not each[0].startswith("cli/") and each[0] != "__main__.py"
    ]
    assert not in_training
    in_addon = [
        each for each in all_imports(ADDON, "blender_addon")
        if (each[1].startswith("blender_addon.ui") or (each[1] == "blender_addon" and each[2] == "ui"))
        and not each[0].startswith("ui/") and each[0] != "__init__.py"
    ]
    assert not in_addon


@pytest.mark.parametrize(("package", "name"), [(ADDON, "blender_addon"), (TRAINING, "sequential_patchcore")])
def test_private_helpers_stay_in_their_room(package: Path, name: str) -> None:
    taken = [
        each for each in all_imports(package, name)
        if each[1].startswith(name) and each[2].startswith("_") and not each[2].startswith("__")
    ]
    assert not taken


@pytest.mark.parametrize(("package", "name"), [(ADDON, "blender_addon"), (TRAINING, "sequential_patchcore")])
def test_no_module_imports_itself_around_a_corner(package: Path, name: str) -> None:
    modules = {
        ".".join((name, *file.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"): file
        for file in package.rglob("*.py")
    }
    edges = {}
    for module, file in modules.items():
        named = {target for source, one in imports(file, package, name) for target in (source, f"{source}.{one}")}
        edges[module] = {target for target in named if target in modules and target != module}
        if file.name == "__init__.py":  # a package may gather its own modules
            edges[module] = {target for target in edges[module] if not target.startswith(module + ".")}
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in finished:
            for target in edges[module]:
                visit(target, (*path, module))
            finished.add(module)

    for module in modules:
        visit(module, ())


ADDON_IMPORTS: dict[str, set[str]] = {
    "": {"ui"},
    "core": set(),
    "core.noise": {"core"},
    "core.inspection": {"core", "core.noise"},
    "core.stain": {"core", "core.noise"},
    "core.features": {"core", "core.noise"},
    "core.mesh": {"core", "core.features"},
    "core.recipe": {"core", "core.inspection", "core.stain", "core.features"},
    "core.labels": {"core", "core.features", "core.recipe"},
    "core.files": {"core"},
    "scene": {"core", "core.noise", "core.inspection", "core.stain", "core.features", "core.mesh", "core.recipe"},
    "materials": {"core", "core.stain", "scene"},
    "render": {
        "core", "core.inspection", "core.stain", "core.features", "core.mesh", "core.recipe", "core.labels",
        "core.files", "scene", "materials",
    },
    "ui": {"core", "core.inspection", "core.stain", "core.features", "core.recipe", "scene", "materials", "render"},
}
"""Each package of the add-on, and the packages that its modules import; "" is the add-on's own `__init__`."""


def addon_package(module: str) -> str:
    """The package of `ADDON_IMPORTS` that holds a module of the add-on: the one with the longest matching name."""
    below = module.removeprefix("blender_addon").removeprefix(".")
    holders = [package for package in ADDON_IMPORTS if package == "" or f"{below}.".startswith(f"{package}.")]
    return max(holders, key=len)


def addon_imports() -> dict[str, set[str]]:
    """Package -> the other packages of the add-on that its modules import."""
    drawn: dict[str, set[str]] = {package: set() for package in ADDON_IMPORTS}
    for file in sorted(ADDON.rglob("*.py")):
        source = addon_package(".".join(("blender_addon", *file.relative_to(ADDON).with_suffix("").parts)))
        for module, name in imports(file, ADDON, "blender_addon"):
            if top(module) == "blender_addon":
                drawn[source].add(addon_package(f"{module}.{name}"))
    return {package: targets - {package} for package, targets in drawn.items()}


def test_the_packages_of_the_addon_import_what_the_list_allows_and_nothing_else() -> None:
    assert addon_imports() == ADDON_IMPORTS


def test_the_page_says_the_same_of_the_packages_of_the_addon() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## blender_addon/$(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    stated = {}
    for package, text in re.findall(r"^### `([^`]+)/`$(.*?)^\| module", section, re.MULTILINE | re.DOTALL):
        (sentence,) = re.findall(r"Imports (.*?)\.\s", text, re.DOTALL)
        stated["" if package == "." else package.replace("/", ".")] = {
            name.strip("`").removesuffix("/").replace("/", ".") for name in re.findall(r"`[^`]+/`", sentence)
        }
    assert stated == ADDON_IMPORTS


def test_the_packages_of_the_addon_form_no_circle() -> None:
    left = {package: set(targets) for package, targets in ADDON_IMPORTS.items()}
    while ground := [package for package, targets in left.items() if not targets & left.keys()]:
        for package in ground:
            del left[package]
    assert not left, "these packages import each other in a circle"
