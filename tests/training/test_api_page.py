# SPDX-License-Identifier: Apache-2.0
"""docs/api.md as a reader uses it: typed in from top to bottom. Its signatures are the code's, no name is missing."""

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import sequential_patchcore

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [
    (TEXT[: found.start()].count("\n") + 2, found[1], found[2])
    for found in re.finditer(r"^```(python|sh)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """An empty folder and an empty session, in which the blocks run one after the other."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("api"))
    yield {"__name__": "__main__"}
    os.chdir(before)


def run_python(code: str, line: int, session: dict) -> None:
    """Run a block; where an expression has `# -> text` behind it, that is how its value is shown."""
    lines = code.splitlines()
    for statement in ast.parse(code).body:
        source = "\n" * (line + statement.lineno - 2) + "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
        _, told, shown = lines[statement.end_lineno - 1].partition("# -> ")
        if told:
            assert str(eval(compile(source.strip("\n"), PAGE.name, "eval"), session)) == shown.strip(), source.strip()
        else:
            exec(compile(source, PAGE.name, "exec"), session)


@pytest.mark.parametrize(("line", "language", "code"), BLOCKS, ids=[f"line {line}" for line, _, _ in BLOCKS])
def test_the_page_runs_from_top_to_bottom(reader, line, language, code):
    if language == "python":
        run_python(code, line, reader)
        return
    for command in code.splitlines():
        program, *arguments = shlex.split(command)
        assert program == "sequential-patchcore"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run([sys.executable, "-m", "sequential_patchcore", *arguments], check=True, env=environment)


def test_every_public_name_has_a_section_and_no_other_has():
    sections = {name for heading in re.findall(r"^## (.+)$", TEXT, re.MULTILINE) for name in heading.split(" and ")}
    assert sections == set(sequential_patchcore.__all__) - {"__version__"}


def signatures() -> list[tuple[str, str]]:
    """(dotted name, text between the brackets) of each indented line of the page that is a call."""
    found, owner = [], ""
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    for indent, name, arguments in re.findall(r"^(    +)(\.?\w+)\((.*)\)$", prose, re.MULTILINE):
        if len(indent) == 4:
            owner = name
        found.append((name if len(indent) == 4 else owner + name, arguments))
    return found


@pytest.mark.parametrize(("name", "arguments"), signatures(), ids=[name for name, _ in signatures()])
def test_the_signatures_are_those_of_the_code(name, arguments):
    thing = sequential_patchcore
    for part in name.split("."):
        thing = getattr(thing, part)
    if name == "UserError":
        assert str(thing("told")) == "told"
        return
    real = [parameter for parameter in inspect.signature(thing).parameters.values() if parameter.name != "self"]
    written = ast.parse(f"def f({arguments}): ...").body[0].args
    names = [argument.arg for argument in (*written.args, *written.kwonlyargs)]
    assert names == [parameter.name for parameter in real]
    assert [argument.arg for argument in written.kwonlyargs] == [
        parameter.name for parameter in real if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    missing = [None] * (len(written.args) - len(written.defaults))
    public = {public: getattr(sequential_patchcore, public) for public in sequential_patchcore.__all__}
    for parameter, default in zip(real, [*missing, *written.defaults, *written.kw_defaults], strict=True):
        if default is None:
            assert parameter.default is inspect.Parameter.empty, parameter.name
        elif ast.unparse(default) != "...":  # which stands for what has no short name
            shown = eval(compile(ast.Expression(default), "default", "eval"), public)
            factory = getattr(thing, "__dataclass_fields__", {}).get(parameter.name)
            real_default = parameter.default
            if factory is not None and callable(factory.default_factory):
                real_default = factory.default_factory()
            assert shown == real_default, parameter.name


def test_every_method_and_attribute_that_the_page_lists_is_there():
    coreset = sequential_patchcore.SequentialCoreset(2).fit([[0.0], [1.0]])
    for attribute in re.findall(r"^\| `(\w+_)` \|", TEXT, re.MULTILINE):
        assert hasattr(coreset, attribute), attribute
    listed = {name for name, _ in signatures()}
    methods = {name for name in vars(sequential_patchcore.SequentialCoreset) if not name.startswith("_")}
    methods = {name for name in methods if callable(getattr(sequential_patchcore.SequentialCoreset, name))}
    assert {f"SequentialCoreset.{name}" for name in methods} <= listed
