# SPDX-License-Identifier: Apache-2.0
"""Names of files: people's own wherever a file system can hold them."""

import unicodedata

import pytest
from sequential_patchcore.runtime.file_names import safe_name, unique_names


@pytest.mark.parametrize("name", ["表面", "Plätte", "a b", "x#1%", "naïve (2)+", "пластина", "a.b", "🙂", "console"])
def test_a_name_that_every_file_system_holds_stays(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(("name", "expected"), [
    ("a/b\\c", "a_b_c"), ('x<>:"|?*y', "x_y"), ("tab\tnew\nline\0", "tab_new_line_"), (".hidden", "hidden"),
    ("dots..", "dots"), ("blank ", "blank"), ("", "_"), ("...", "_"), ("CON", "CON_"), ("nul.txt", "nul_.txt"),
    ("com1 .a", "com1_ .a"), ("LPT\u00b9", "LPT\u00b9_"), ("U\u0308", "Ü"),
    (b"r\xe4der".decode(errors="surrogateescape"), "r_der"),
])
def test_what_a_file_system_forbids_is_replaced(name, expected):
    assert safe_name(name) == expected


@pytest.mark.parametrize("text", ["x" * 500, "ä" * 500, "表" * 500, "🙂" * 500, "a" + "表" * 500, ". " * 500])
@pytest.mark.parametrize("longest", [20, 100, 180])
def test_a_name_is_bounded_in_bytes_and_ends_with_a_whole_letter(text, longest, tmp_path):
    name = safe_name(text, longest)
    assert longest - 4 < len(name.encode()) <= longest or not text.strip(". ")
    (tmp_path / name).write_text("")
    names = unique_names([text] * 12, longest=longest)
    assert len(set(names)) == 12 and max(len(n.encode()) for n in names) <= longest


def test_names_that_differ_by_case_or_by_the_spelling_of_accents_are_told_apart():
    assert unique_names(["a", "A", "ü", "U\u0308", "a-2", "b"]) == ["a", "A-2", "ü", "Ü-2", "a-2-2", "b"]
    assert unique_names(["a", "b"], taken=["A"]) == ["a-2", "b"]
    names = unique_names(["x/y", "x:y", "X_y", "straße", "STRASSE"])
    assert len({unicodedata.normalize("NFC", n).casefold() for n in names}) == len(names)
