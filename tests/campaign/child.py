# SPDX-License-Identifier: Apache-2.0
"""One command of the product in a child of a process that has imported all: a case costs what it computes.

The child is a process of its own, so that a crash of a library, a hang or a full memory is seen from outside.
"""

import importlib
import os
import resource
import select
import signal
import sys
import time
import traceback
import zlib
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 10
"""Of processor time. The clock may take six times that: other programs run on the machine too."""
SPACE = 12 << 30
"""Bytes of address space; what asks for more gets none, as on a machine that has no more."""


@dataclass
class Ended:
    """How a child ended.

    Attributes:
        code: exit code; negative, the signal that ended it.
        hung: it was ended by us.
        seconds: by the clock.
        peak: most bytes resident, those of the parent included.
        out, err: what it said.
        deeds: what its audit hook saw that it must not do.
        lines: numbers of the product's lines that ran, as hashes; for guided changes.
    """

    code: int
    hung: bool
    seconds: float
    peak: int
    out: str
    err: str
    deeds: list[str] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)


def preload(repository: Path) -> dict:
    """Import all that commands need, and compile the rule; returns the programs by name."""
    for place in (repository / "tools", repository):
        sys.path.insert(0, str(place))
    import cv2
    import h5py  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import onnxruntime  # noqa: F401
    import torch
    import yaml  # noqa: F401

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    from reproduction.command import main as reproduce
    from sequential_patchcore.cli.parser import main as patchcore
    from sequential_patchcore.coreset.engine import compile_rule

    from blender_addon.render.command import main as render

    compile_rule()
    sys.dont_write_bytecode = True
    package = Path(sys.modules["sequential_patchcore"].__file__).parent
    for module in sorted(package.rglob("[a-z]*.py")):
        importlib.import_module(".".join(("sequential_patchcore", *module.relative_to(package).with_suffix("").parts)))
    return {"patchcore": patchcore, "render": render, "reproduce": lambda arguments: reproduce(arguments, repository)}


def run(
    main, arguments: list[str], work: Path, may_write: list[Path], package: str | None, seconds: int = SECONDS
) -> Ended:
    """Run `main(arguments)` in a child whose working directory is `work`.

    Args:
        may_write: folders and files that it may write in; any other is a deed.
        package: folder of which the lines that run are kept, or None for none.
    """
    said = [work / "stdout", work / "stderr"]
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_child(main, arguments, work, may_write, package, said, writing, seconds)
    os.close(writing)
    told, hung = _watch(child, reading, began + 6 * seconds, seconds)
    _, status, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    hung = hung or code == -signal.SIGXCPU
    first, _, rest = told.partition(b"\0\0")
    lines = {int.from_bytes(rest[n : n + 8], "little", signed=True) for n in range(0, len(rest) - 7, 8)}
    texts = [path.read_bytes().decode("utf-8", "replace") if path.exists() else "" for path in said]
    deeds = [line for line in first.decode("utf-8", "replace").split("\n") if line]
    return Ended(code, hung, time.monotonic() - began, used.ru_maxrss * 1024, *texts, deeds, lines)


def _worked(child: int) -> float:
    """Seconds of processor time that a child has taken."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _watch(child: int, reading: int, until: float, seconds: int) -> tuple[bytes, bool]:
    """What the child tells, until it ends; it is ended when its time is over, or when it waits for what never comes."""
    told, hung = b"", False
    while True:
        now = time.monotonic()
        ready, _, _ = select.select([reading], [], [], max(0.0, min(1.0, until - now)))
        if not ready and now < until and (now < until - 5 * seconds or _worked(child) > 0.1 * seconds):
            continue
        if not ready:
            os.killpg(child, signal.SIGKILL) if os.getpgid(child) == child else os.kill(child, signal.SIGKILL)
            hung = True
            break
        part = os.read(reading, 1 << 20)
        if not part:
            break
        told += part
    os.close(reading)
    return told, hung


def _be_child(main, arguments, work, may_write, package, said, writing, seconds) -> None:
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(work)
        for number, path in ((0, os.devnull), (1, said[0]), (2, said[1])):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(path, flags, 0o644)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
        spent = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(spent.ru_utime + spent.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        deeds = _deeds(may_write)
        lines = _lines(package)
        try:
            code = main(arguments) or 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.settrace(None)
        sys.stdout.flush()
        sys.stderr.flush()
        told = "\n".join(deeds).encode("utf-8", "replace").replace(b"\0", b"") + b"\0\0"
        told += b"".join(hash(line).to_bytes(8, "little", signed=True) for line in lines)
        while told:
            told = told[os.write(writing, told) :]
    finally:
        os._exit(code)


def _lines(package: str | None) -> set:
    seen: set = set()
    if package is None:
        return seen

    def local(frame, event, argument):
        if event == "line":
            seen.add((frame.f_lineno, names[frame.f_code]))
        return local

    names: dict = {}

    def enter(frame, event, argument):
        code = frame.f_code
        inside = names.get(code)
        if inside is None:
            inside = names[code] = code.co_filename.startswith(package) and zlib.crc32(code.co_filename.encode())
        return local if inside else None

    sys.settrace(enter)
    return seen


_RUNNING = (
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "subprocess.Popen",
    "pty.spawn",
    "socket.connect",
    "socket.bind",
)


def _deeds(may_write: list[Path]) -> list[str]:
    """What must not be done, as it is done: programs started, pickles loaded, files written elsewhere."""
    roots = [os.path.realpath(path) for path in may_write]
    deeds: list[str] = []
    busy = []

    def allowed(path) -> bool:
        if isinstance(path, int) or path is None:
            return True
        text = os.fsdecode(path)
        if text in (os.devnull, "/dev/tty") or text.startswith(("/dev/shm/", "/proc/self/")):
            return True
        real = os.path.join(os.path.realpath(os.path.dirname(text) or "."), os.path.basename(text))
        return any(real == root or real.startswith(root + "/") for root in roots)

    def hook(event: str, arguments: tuple) -> None:
        if busy:
            return
        busy.append(1)
        try:
            if event in _RUNNING or (
                event == "pickle.find_class" and arguments[0] in ("os", "posix", "subprocess", "builtins")
            ):
                deeds.append(f"{event} {arguments!r}"[:300])
            elif event == "open":
                path, _mode, flags = arguments
                writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else False
                if writes and not allowed(path):
                    deeds.append(f"writes {path!r}")
            elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "os.chmod"):
                path = arguments[0]
                if event != "os.truncate" and arguments[-1] not in (-1, None) and isinstance(path, str):
                    path = os.path.join(os.readlink(f"/proc/self/fd/{arguments[-1]}"), path)
                if not allowed(path):
                    deeds.append(f"{event} {path!r}")
            elif event in ("os.rename", "os.link", "os.symlink") and not allowed(arguments[1]):
                deeds.append(f"{event} to {arguments[1]!r}")
        finally:
            busy.pop()

    sys.addaudithook(hook)
    return deeds
