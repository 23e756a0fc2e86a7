# SPDX-License-Identifier: Apache-2.0
"""What several files say in their own ways is the same: the version, the lower bounds, the links of the README."""

import re
import runpy
import tomllib
from pathlib import Path
from unittest import mock

import pytest
import sequential_patchcore
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(text_of("pyproject.toml"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OF_TRAINING = [*PROJECT["dependencies"], *EXTRAS["train"], *EXTRAS["review"]]


def test_one_version_everywhere() -> None:
    """The package's is the one; Blender and citation managers read theirs without running anything."""
    (numbers,) = re.findall(r'^    "version": \((\d+), (\d+), (\d+)\),$', text_of("blender_addon/__init__.py"), re.M)
    said = {
        "blender_manifest.toml": tomllib.loads(text_of("blender_addon/blender_manifest.toml"))["version"],
        "bl_info": ".".join(numbers),
        "CITATION.cff": re.findall(r"^version: (.+)$", text_of("CITATION.cff"), re.M)[0],
        "CHANGELOG.md": re.findall(r"^## (\d\S*)", text_of("CHANGELOG.md"), re.M)[0],
    }
    assert said == dict.fromkeys(said, sequential_patchcore.__version__)
    assert "version" in PROJECT["dynamic"], "the metadata take it from the package"


def test_the_lower_bounds_are_those_that_were_tried() -> None:
    lines = (line.split("#")[0].strip() for line in text_of("constraints/lowest.txt").splitlines())
    tried = dict(line.split("==") for line in lines if line)
    for requirement in map(Requirement, OF_TRAINING):
        (bound,) = requirement.specifier
        assert bound.operator == ">=", f"{requirement}: an upper bound shuts out whoever has a newer one"
        assert re.match(rf"{re.escape(bound.version)}(\.|$)", tried[requirement.name]), requirement


@pytest.mark.parametrize("name", ["training", "rendering"])
def test_what_the_groups_ask_for_is_fixed_by_the_constraints(name: str) -> None:
    groups = tomllib.loads(text_of("pyproject.toml"))["dependency-groups"]
    asked = [*OF_TRAINING, *groups["test"]] if name == "training" else groups["render"]
    lines = (line.split("#")[0].strip() for line in text_of(f"constraints/{name}.txt").splitlines())
    fixed = [Requirement(line) for line in lines if line]
    for minor in (11, 12, 13):
        here = {"python_version": f"3.{minor}"}
        versions = {_plain(one.name): next(iter(one.specifier)).version for one in fixed
                    if one.marker is None or one.marker.evaluate(here)}
        for requirement in map(Requirement, asked):
            if requirement.marker is None or requirement.marker.evaluate(here):
                assert requirement.specifier.contains(versions[_plain(requirement.name)]), (requirement, minor)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_link_of_the_first_pages_leads_to_a_file() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text_of(name)):
            assert (REPOSITORY / target).exists(), f"{name}: {target}"


@pytest.fixture
def standalone():
    """The function of setup.py, without setting anything up."""
    with mock.patch("setuptools.setup"):
        return runpy.run_path(str(REPOSITORY / "setup.py"))["standalone"]


def test_relative_links_become_names_and_others_stay(standalone) -> None:
    text = (
        "See [the page](docs/page.md#part), [`docs/x.md`](docs/x.md), [there](https://example.org/a.md), [up](#a).\n\n"
        "![A plate](docs/plate.jpg)\n\n*A caption ([docs/x.md](docs/x.md)).\nMade by hand.*\n\n"
        "More.\n\n```sh\npip install \".[train]\"\n```\n"
    )
    assert standalone(text) == (
        "See the page (`docs/page.md`), `docs/x.md`, [there](https://example.org/a.md), [up](#a).\n\n"
        "More.\n\n```sh\npip install \"sequential-patchcore[train]\"\n```\n"
    )


def test_with_an_address_relative_links_lead_there(standalone) -> None:
    files = "https://example.org/files/"
    text = standalone("![A plate](docs/plate.jpg), [page](docs/page.md), [up](#a)", files)
    assert text == f"![A plate]({files}docs/plate.jpg), [page]({files}docs/page.md), [up](#a)"
