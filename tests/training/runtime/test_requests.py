# SPDX-License-Identifier: Apache-2.0
"""How results that lie there stand to what is wanted now; and the digest of the program's code."""

import pytest
from sequential_patchcore.runtime import requests
from sequential_patchcore.runtime.requests import Request, Standing, code_digest, digest_of


@pytest.mark.parametrize(
    ("written", "standing"),
    [
        ("aa.11", Standing.SAME), ("aa.22", Standing.OTHER_CODE), ("bb.11", Standing.OTHER), ("bb.22", Standing.OTHER),
        ("cc", Standing.EARLIER), ("aa", Standing.OTHER), ("", Standing.OTHER), (None, Standing.OTHER),
        ("cc.11", Standing.OTHER),
    ],
)
def test_what_was_written_beside_a_result_says_how_it_stands(written, standing):
    assert Request("aa", "11", earlier="cc").standing(written) is standing


def test_without_code_the_inputs_alone_decide():
    request = Request("aa")
    assert str(request) == "aa" and request.standing("aa") is Standing.SAME
    assert request.standing("bb") is Standing.OTHER is request.standing(None)


def test_a_digest_is_of_the_value_not_of_the_order_of_its_keys():
    assert digest_of({"a": 1, "b": [2, (3,)]}) == digest_of({"b": [2, [3]], "a": 1}) != digest_of({"a": 1, "b": [3, 2]})


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A package of two folders in place of the program's own."""
    for name, text in (("one/a.py", "1"), ("one/page.html", "2"), ("two/b.py", "3"), ("two/c.py", "4")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(requests, "_PACKAGE", tmp_path)
    code_digest.cache_clear()
    yield tmp_path
    code_digest.cache_clear()


def test_the_digest_of_code_changes_with_what_it_is_of_and_with_nothing_else(program):
    def now() -> str:
        code_digest.cache_clear()
        return code_digest("one", "two/b.py")

    before = now()
    assert code_digest("two/b.py", "one") == before
    (program / "two" / "c.py").write_text("5")
    (program / "one" / "__pycache__").mkdir()
    (program / "one" / "__pycache__" / "a.pyc").write_bytes(b"6")
    assert now() == before
    seen = {before}
    for change in ("one/a.py", "one/page.html", "two/b.py", "one/new.py"):
        (program / change).write_text("7")
        seen.add(now())
    (program / "one" / "new.py").rename(program / "one" / "newer.py")
    seen.add(now())
    assert len(seen) == 6


def test_a_place_that_is_not_there_is_a_fault(program):
    with pytest.raises(ValueError, match="three"):
        code_digest("three")
