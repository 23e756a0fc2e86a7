# SPDX-License-Identifier: Apache-2.0
"""Pictures of the panel in a real Blender window, into docs/gallery/panel_*.png; part of `make gallery`.

    python tools/gallery/panel.py [--out DIR] [--blender EXECUTABLE]

Builds the zip, installs it into a Blender with a user folder of its own, on a display of its own (Xvfb), and lets
`tools/gallery/panel_window.py` press the buttons there.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WINDOW = Path(__file__).with_name("panel_window.py")
TIMEOUT_S = 580
SIZES = {"all_panels": (1000, 2900), "story": (1500, 1000)}
"""Part of the session -> size of its window; the first is tall enough for every panel."""


@contextlib.contextmanager
def display(width: int, height: int) -> Iterator[str]:
    """A virtual display on a free number: its name."""
    reader, writer = os.pipe()
    screen = ["-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(["Xvfb", "-displayfd", str(writer), *screen], pass_fds=[writer],
                              stderr=subprocess.DEVNULL)
    try:
        os.close(writer)
        with os.fdopen(reader) as said:
            yield ":" + said.readline().strip()
    finally:
        server.terminate()
        server.wait()


def play(part: str, blender: str, archive: Path, out: Path) -> int:
    """Run one part of the session in a window of its own; the exit code of Blender."""
    width, height = SIZES[part]
    with tempfile.TemporaryDirectory(prefix="gallery_panel_") as user, display(width, height) as name:
        folders = {f"BLENDER_USER_{kind}": f"{user}/{kind.lower()}" for kind in ("CONFIG", "SCRIPTS", "EXTENSIONS")}
        environment = {**os.environ, **folders, "BLENDER_USER_RESOURCES": user, "HOME": user, "DISPLAY": name,
                       "LIBGL_ALWAYS_SOFTWARE": "1", "PATH": "/usr/bin:/bin"}
        size = ["-p", "0", "0", str(width), str(height)]
        command = [blender, "--factory-startup", "--enable-event-simulate", *size, "--python-exit-code", "1",
                   "-P", WINDOW, "--", archive, out.resolve(), part]
        result = subprocess.run(command, env=environment, timeout=TIMEOUT_S, text=True, errors="replace",
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = result.stdout.splitlines()
    print("\n".join(line for line in lines if line.startswith("GALLERY")))
    if result.returncode:
        print(f"{part} failed:", *lines[-30:], sep="\n", file=sys.stderr)
    return result.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "gallery")
    parser.add_argument("--blender", default=os.environ.get("BLENDER") or shutil.which("blender", path="/usr/bin:/bin"))
    parser.add_argument("--part", choices=tuple(SIZES), help="only this part of the session")
    arguments = parser.parse_args()
    for tool, there in (("a Blender executable (--blender)", arguments.blender), ("Xvfb", shutil.which("Xvfb"))):
        if not there:
            print(f"tools/gallery/panel.py: skipped, {tool} is not here", file=sys.stderr)
            return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gallery_panel_zip_") as folder:
        subprocess.run([sys.executable, ROOT / "tools" / "build_addon.py", "--out", folder], check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.zip")
        parts = [arguments.part] if arguments.part else list(SIZES)
        return max(play(part, arguments.blender, archive, arguments.out) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
