# SPDX-License-Identifier: Apache-2.0
"""Build the add-on's zip: build/surface_impurities-VERSION.zip, the same bytes for the same sources.

    python tools/build_addon.py [--out DIR] [--validator BLENDER_EXT_PY]

One folder in the zip holds the package with `shaders/`, `scenes/` and the licence staged in; Blender 4.2 and later
install it as an extension, earlier ones as a legacy add-on. Blender's own `blender_ext.py validate` checks it where the
bpy module brings that tool or `--validator` names it.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "blender_addon"
STAGED = {"shaders": (".osl", ".h"), "scenes": (".toml",)}
EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip cannot say "no date"; this is the first one it can


def manifest() -> dict:
    return tomllib.loads((PACKAGE / "blender_manifest.toml").read_text(encoding="utf-8"))


def contents() -> Iterator[tuple[str, Path]]:
    """(path inside the package, source file), sorted."""
    files = {"LICENSE": ROOT / "LICENSE-GPL-3.0", "blender_manifest.toml": PACKAGE / "blender_manifest.toml"}
    files |= {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    for folder, endings in STAGED.items():
        found = (path for path in (ROOT / folder).rglob("*") if path.suffix in endings)
        files |= {path.relative_to(ROOT).as_posix(): path for path in found}
    yield from sorted(files.items())


def build(out: Path) -> Path:
    """Write the zip into `out`, beside and then renamed; returns its path."""
    about = manifest()
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{about['id']}-{about['version']}.zip"
    beside = target.with_suffix(f".{os.getpid()}.part")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, source in contents():
                entry = zipfile.ZipInfo(f"{about['id']}/{name}", EARLIEST)
                entry.create_system, entry.external_attr = 3, 0o100644 << 16  # Unix, whatever built it
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, source.read_bytes())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return target


def find_validator() -> Path | None:
    """`blender_ext.py` of the bpy module, without loading Blender."""
    spec = importlib.util.find_spec("bpy")
    folders = [Path(spec.origin).parent] if spec and spec.origin else []
    found = [file for folder in folders for file in folder.glob("**/bl_pkg/cli/blender_ext.py")]
    return found[0] if found else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder of the zip (default build/)")
    parser.add_argument("--validator", type=Path, help="Blender's blender_ext.py")
    arguments = parser.parse_args()
    validator = arguments.validator or find_validator()
    if arguments.validator and not arguments.validator.is_file():
        parser.error(f"--validator {arguments.validator}: no such file")
    try:
        target = build(arguments.out)
    except OSError as error:
        parser.error(f"cannot write into {arguments.out}: {error.strerror or error}")
    print(target)
    if validator is None:
        print("not validated: no blender_ext.py here (run with the bpy module, or give --validator)", file=sys.stderr)
        return 0
    command = [sys.executable, str(validator), "validate", str(target)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if result.returncode:
        print(f"{target} is not valid:\n{result.stdout}{result.stderr}", file=sys.stderr)
        return 1
    print("validated by blender_ext.py", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
