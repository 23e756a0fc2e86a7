# SPDX-License-Identifier: Apache-2.0
"""`tools/environments.py`: which Python and which Blender; what is made anew, what is kept, what is never emptied.

No environment is made here: pip and venv are stand-ins, programs that write down how they were called.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

from installation import environment, folder, torchvision_operators  # noqa: E402
from installation.choice import NotHere, choose, choose_renderer  # noqa: E402
from installation.pythons import Python, candidates, named, probe, pythons  # noqa: E402
from installation.requirements import Kind, requirements  # noqa: E402

LINUX = ("Linux", "x86_64")
PYPROJECT = """
[project]
requires-python = ">=3.11"
dependencies = ["torch>=2"]   # a comment
[project.scripts]
sequential-patchcore = "sequential_patchcore.cli:entry"
[dependency-groups]
test = ["pytest>=8"]
render = ["bpy>=5; python_version == '3.13'", "numpy"]
peers = []
"""


def python(version: str, has_venv: bool = True) -> Python:
    return Python(f"/usr/bin/python{version}", tuple(map(int, version.split("."))), has_venv)


def nothing(program: str) -> None:
    return None


# Which Python, which Blender.


@pytest.mark.parametrize(
    ("here", "chosen"),
    [(["3.13"], "3.13"), (["3.9", "3.12", "3.11"], "3.12"), (["3.14", "3.11"], "3.11"), (["3.11", "3.13"], "3.11")],
)
def test_training_takes_the_first_python_that_suits(here: list[str], chosen: str) -> None:
    found = choose([python(version) for version in here], ((3, 11), (3, 12), (3, 13)))
    assert found.path == f"/usr/bin/python{chosen}"


def test_a_python_without_venv_is_passed_over_or_named_with_the_command_that_helps() -> None:
    bare, whole = python("3.13", has_venv=False), python("3.11")
    assert choose([bare, whole], ((3, 11), (3, 13))) is whole
    with pytest.raises(NotHere, match=r"apt-get install python3\.13-venv"):
        choose([bare], ((3, 11), (3, 13)))


def test_without_a_suitable_python_the_message_says_what_was_found() -> None:
    with pytest.raises(NotHere, match=r"3\.11 or 3\.12 or 3\.13 is needed; found: 3\.9, 3\.14"):
        choose([python("3.9"), python("3.14")], ((3, 11), (3, 12), (3, 13)))


@pytest.mark.parametrize(
    ("here", "blender", "platform", "chosen"),
    [
        (["3.11"], None, LINUX, ("3.11", None)),
        (["3.13"], None, LINUX, ("3.13", None)),
        (["3.12", "3.13"], None, LINUX, ("3.13", None)),
        (["3.13"], "/opt/blender", LINUX, ("3.13", None)),
        (["3.12"], "/opt/blender", LINUX, ("3.12", "/opt/blender")),
        (["3.13"], "/opt/blender", ("Linux", "aarch64"), ("3.13", "/opt/blender")),
    ],
)
def test_rendering_takes_bpy_where_there_is_one_for_the_python_else_an_executable(
    here: list[str], blender: str | None, platform: tuple[str, str], chosen: tuple[str, str | None]
) -> None:
    choice = choose_renderer([python(version) for version in here], platform, blender, nothing)
    assert (choice.python.path, choice.blender) == (f"/usr/bin/python{chosen[0]}", chosen[1])


@pytest.mark.parametrize(
    ("programs", "command"),
    [(("apt-get", "pyenv"), "apt-get install blender python3-numpy"), (("pyenv",), "pyenv install 3.13"),
     ((), "make setup BLENDER=/path/to/blender")],
)
def test_where_nothing_renders_one_command_is_named(programs: tuple[str, ...], command: str) -> None:
    with pytest.raises(NotHere) as refused:
        choose_renderer([python("3.12")], LINUX, None, lambda name: name if name in programs else None)
    assert command in str(refused.value) and "found: 3.12" in str(refused.value)
    assert "make train" in str(refused.value), "training works without, and the message says so"


# The Pythons of a machine.


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """An environment of variables with these programs on the PATH, each a link to this Python or a text of shell."""

    def make(**programs: str | None) -> dict[str, str]:
        place = tmp_path / "bin"
        place.mkdir(exist_ok=True)
        for name, text in programs.items():
            file = place / name.replace("_", ".")
            if text is None:
                file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            else:
                file.write_text(f"#!/bin/sh\n{text}\n")
            file.chmod(0o755)
        return {"PATH": str(place), "HOME": str(tmp_path / "home")}

    return make


def test_the_named_python_comes_first_and_a_shim_that_leads_nowhere_is_passed_over(machine: Callable) -> None:
    environ = machine(python3="exit 127", python3_12=None, mine=None)
    assert [Path(path).name for path in candidates(environ | {"PYTHON": "mine"})] == ["mine", "python3", "python3.12"]
    found = pythons(environ | {"PYTHON": "mine"})
    assert [Path(each.path).name for each in found] == ["mine", "python3.12"]
    assert {each.version for each in found} == {sys.version_info[:2]}


def test_pyenv_s_pythons_are_found_without_a_path(machine: Callable, tmp_path: Path) -> None:
    place = tmp_path / "home" / ".pyenv" / "versions" / "3.13.5" / "bin"
    place.mkdir(parents=True)
    (place / "python").symlink_to(sys.executable)
    assert candidates(machine()) == [str(place / "python")]


def test_python_that_names_nothing_is_an_error_and_no_name_is_none(machine: Callable) -> None:
    environ = machine(python3=None)
    assert named(environ) is None and named(environ | {"PYTHON": ""}) is None
    with pytest.raises(LookupError, match="PYTHON=nowhere"):
        named(environ | {"PYTHON": "nowhere"})


def test_a_python_without_ensurepip_is_known_as_bare(machine: Callable) -> None:
    environ = machine(python3="echo bare; echo 3 13")
    found = probe(str(Path(environ["PATH"]) / "python3"))
    assert found.version == (3, 13) and not found.has_venv


# What is asked for, as a text.


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "constraints").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "constraints" / "training.txt").write_text("# why\ntorch==2.5\n")
    (root / "constraints" / "rendering.txt").write_text("numpy==2.0\n")
    return root


TRAINING = Kind("test", ((3, 11),), package=True, constraints="constraints/training.txt")


def test_pip_is_given_the_group_the_package_and_the_constraints(repository: Path) -> None:
    needs = requirements(TRAINING, repository)
    limits = str(repository / "constraints" / "training.txt")
    assert needs.arguments() == ["--constraint", limits, "--editable", str(repository), "pytest>=8"]
    assert requirements(Kind("render"), repository).without("bpy").wanted == ("numpy",)


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("pyproject.toml", "# a comment", "# another", False),
        ("pyproject.toml", "torch>=2", "torch>=2.1", True),
        ("pyproject.toml", "pytest>=8", "pytest>=9", True),
        ("pyproject.toml", "cli:entry", "cli.main:entry", True),
        ("constraints/training.txt", "# why", "# because", False),
        ("constraints/training.txt", "2.5", "2.6", True),
    ],
)
def test_requirements_are_their_text_without_comments(
    repository: Path, file: str, old: str, new: str, changes: bool
) -> None:
    before = requirements(TRAINING, repository).lines()
    path = repository / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert (requirements(TRAINING, repository).lines() != before) is changes


# Made, kept, made again, refused.


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run. `venv` leaves a Python behind; a pip that is told to fail does."""
    made: list[list[str]] = []

    def call(command: list, **options: object) -> int:
        line = [str(part) for part in command]
        made.append(line)
        if "venv" in line:
            target = Path(line[-1])
            if target.exists():
                shutil.rmtree(target)
            (target / "bin").mkdir(parents=True)
            (target / "bin" / "python").symlink_to(sys.executable)
            (target / "pyvenv.cfg").touch()
        return 1 if "pip" in line and "--fail" in os.environ.get("PIP_TEST", "") else 0

    monkeypatch.setattr(subprocess, "call", call)
    monkeypatch.setattr(torchvision_operators, "provide", lambda python, say: None)
    monkeypatch.setattr(environment.system_libraries, "provide", lambda python, say: None)
    return made


@pytest.fixture
def make(repository: Path, calls: list, machine: Callable) -> Callable[..., list[list[str]]]:
    """Provides an environment; returns the commands of this time."""
    environ = machine(python3=None)

    def provide(kind: str = "training", target: str = ".venv", **more: str) -> list[list[str]]:
        before = len(calls)
        environment.provide(kind, target, str(repository), environ | more, print)
        return calls[before:]

    return provide


def test_an_environment_is_made_once_and_again_when_the_text_changes(make: Callable, repository: Path) -> None:
    assert [line[2] for line in make()] == ["venv", "pip"]
    assert make() == []
    for file in (repository / "pyproject.toml", repository / "constraints" / "training.txt"):
        os.utime(file, (2**32, 2**32))  # newer than the environment, as in a fresh clone
    assert make() == []
    limits = repository / "constraints" / "training.txt"
    limits.write_text("torch==2.6\n")
    assert len(make()) == 2
    assert make() == []


def test_an_interrupted_set_up_is_done_again(
    make: Callable, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TEST", "--fail")
    with pytest.raises(NotHere, match="pip could not install"):
        make()
    assert (repository / ".venv" / "pyvenv.cfg").is_file() and not (repository / ".venv" / ".done").exists()
    monkeypatch.delenv("PIP_TEST")
    assert len(make()) == 2
    # Cut off while it was made anew: the old stamp must not vouch for the new rest.
    (repository / "constraints" / "training.txt").write_text("torch==2.7\n")
    monkeypatch.setenv("PIP_TEST", "--fail")
    with pytest.raises(NotHere):
        make()
    (repository / "constraints" / "training.txt").write_text("# why\ntorch==2.5\n")
    monkeypatch.delenv("PIP_TEST")
    assert len(make()) == 2


def test_an_empty_stamp_and_a_python_that_is_gone_are_not_believed(make: Callable, repository: Path) -> None:
    make()
    stamp = repository / ".venv" / ".done"
    stamp.write_text("")
    assert len(make()) == 2
    (repository / ".venv" / "bin" / "python").unlink()
    (repository / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    assert len(make()) == 2


def test_a_moved_checkout_makes_its_environment_again(
    make: Callable, calls: list, repository: Path, tmp_path: Path, machine: Callable
) -> None:
    """The scripts of an environment name its own path."""
    make()
    calls.clear()
    repository.rename(tmp_path / "moved")
    for _ in range(2):
        environment.provide("training", ".venv", str(tmp_path / "moved"), machine(python3=None), print)
    assert len(calls) == 2


def test_a_python_named_later_replaces_another_one(make: Callable, repository: Path, machine: Callable) -> None:
    make()
    version = ".".join(map(str, sys.version_info[:2]))
    stamp = repository / ".venv" / ".done"
    other = "3.12" if version != "3.12" else "3.13"
    stamp.write_text(stamp.read_text().replace(f"Python {version}", f"Python {other}"))
    assert make() == [], "no name: whatever suitable Python is in it"
    assert len(make(PYTHON=sys.executable)) == 2
    machine(old="echo 3 9")
    with pytest.raises(NotHere, match=r"PYTHON=old is Python 3\.9; expected one of 3\.11, 3\.12, 3\.13"):
        make(PYTHON="old")


def test_rendering_with_an_executable_needs_no_bpy(
    make: Callable, machine: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(NotHere, match="riscv64"):
        make("rendering", ".venv-blender")
    machine(blender="exit 0")
    commands = make("rendering", ".venv-blender")
    assert commands[1][-1] == "numpy" and not any("bpy" in part for part in commands[1])
    assert make("rendering", ".venv-blender") == []
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert make("rendering", ".venv-blender") == [], "what renders goes on rendering"


def test_what_a_link_leads_to_is_used_and_never_emptied(
    make: Callable, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "bin").mkdir(parents=True)
    (theirs / "bin" / "python").symlink_to(sys.executable)
    (theirs / "precious").write_text("x")
    (repository / ".venv").symlink_to(theirs)
    assert make() == []
    assert "used as it is, though it was not made for all" in capsys.readouterr().out
    assert sorted(path.name for path in theirs.iterdir()) == ["bin", "precious"]
    (theirs / "bin" / "python").unlink()
    with pytest.raises(NotHere, match="never emptied"):
        make()
    assert (theirs / "precious").read_text() == "x"
    assert not (repository / ".venv" / ".done").exists()


def test_a_link_to_an_environment_of_the_same_requirements_is_used_in_silence(
    make: Callable, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    make()
    (repository / ".venv").rename(tmp_path / "theirs")
    (repository / ".venv").symlink_to(tmp_path / "theirs")
    capsys.readouterr()
    assert make() == [] and capsys.readouterr().out == ""


def test_a_link_above_the_environment_counts_too_and_one_above_the_checkout_does_not(
    make: Callable, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "matrix").mkdir()
    (repository / ".venv-matrix").symlink_to(tmp_path / "matrix")
    with pytest.raises(NotHere, match="never emptied"):
        make("training", ".venv-matrix/5.2")
    assert not list((tmp_path / "matrix").iterdir())
    (tmp_path / "alias").symlink_to(repository)
    assert folder.linked_part(Path(".venv"), tmp_path / "alias") is None


@pytest.mark.parametrize("content", ["letter.txt", "src/main.c"])
def test_a_folder_that_is_no_environment_is_left_alone(make: Callable, repository: Path, content: str) -> None:
    file = repository / "mine" / content
    file.parent.mkdir(parents=True)
    file.write_text("x")
    with pytest.raises(NotHere, match="is no environment"):
        make("training", "mine")
    assert file.read_text() == "x"


def test_the_rest_of_a_venv_cut_off_in_its_first_moments_is_made_again(make: Callable, repository: Path) -> None:
    (repository / ".venv" / "bin").mkdir(parents=True)
    assert len(make()) == 2


def test_a_second_make_waits_for_the_first(tmp_path: Path) -> None:
    said, order = [], []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with folder.one_at_a_time(tmp_path, said.append):
            inside.set()
            leave.wait(10)
            order.append("first")

    def second() -> None:
        inside.wait(10)
        with folder.one_at_a_time(tmp_path, lambda text: (said.append(text), leave.set())):
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second"]
    assert len(said) == 1 and "waiting" in said[0]


# The mending of torchvision.


def test_the_declaration_is_appended_once_and_only_runs_without_the_compiled_part(tmp_path: Path) -> None:
    extension = tmp_path / "extension.py"
    extension.write_text("torch = __import__('torch_of_the_test')\n\n\ndef _has_ops():\n    return HERE\n")
    for _ in range(2):
        torchvision_operators.declare(extension)
    text = extension.read_text()
    assert text.count("for _operator in") == 1

    class Library:
        def __init__(self) -> None:
            self.defined: list[str] = []

        def define(self, name: str, schema: str) -> None:
            self.defined.append(name)

    for here, wanted in ((True, []), (False, ["torchvision::nms", "torchvision::qnms"])):
        library = Library()
        body = text.replace("torch = __import__('torch_of_the_test')\n", "")
        exec(body, {"HERE": here, "torch": type("torch", (), {"library": library})})
        assert library.defined == wanted


# The command itself.


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(REPOSITORY / "tools" / "environments.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | environ)


def test_wrong_usage_is_one_line_and_exit_code_2() -> None:
    done = run("sauna", ".venv")
    assert done.returncode == 2 and done.stderr.startswith("setup: usage:") and done.stderr.count("\n") == 1


def test_a_folder_outside_an_environment_is_refused_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    done = run("training", str(tmp_path))
    assert done.returncode == 2 and "thesis.tex" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "thesis.tex").read_text() == "x"


def test_the_groups_of_the_project_are_those_that_are_asked_for() -> None:
    for kind in environment.KINDS.values():
        needs = requirements(kind, REPOSITORY)
        assert needs.wanted
        assert not kind.constraints or needs.constraints[1]
