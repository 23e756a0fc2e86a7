# SPDX-License-Identifier: Apache-2.0
"""File names made of what people call things: whole where a file system can hold them, and no two alike."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 180
"""Bytes of a name by default: with what writers add (".4711.part", "_mask.png") it stays below the usual limit, 255."""

# What Windows, Linux or macOS forbid in a name; lone surrogates stand for bytes that are no text.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]+')
# Devices on Windows, with any ending: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?= *(\.|$))", re.IGNORECASE)


def safe_name(text: str, longest: int = LONGEST) -> str:
    """The text as the name of a file, without its ending.

    Letters of all scripts, spaces and signs stay. Replaced by "_" is only what some file system forbids; dots and
    spaces at the ends go (a leading dot hides a file, Windows drops the trailing ones); a name that Windows keeps for
    a device gets a "_"; accents are composed (NFC), so that one name has one spelling.

    Args:
        longest: bytes of the result in UTF-8, at most.
    """
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).lstrip(". ")
    device = _RESERVED.match(name)
    if device:
        name = f"{device[0]}_{name[device.end():]}"
    whole_letters = name.encode()[:longest].decode(errors="ignore")
    return whole_letters.rstrip(". ") or "_"


def unique_names(texts: Sequence[str], taken: Iterable[str] = (), longest: int = LONGEST) -> list[str]:
    """A safe name for each text, in order; "-2", "-3", … tell apart what is equal but for upper case.

    Args:
        taken: names that are in use already.
        longest: bytes of a name in UTF-8, at most.
    """
    used = {name.casefold() for name in taken}
    names = []
    for text in texts:
        name, number = safe_name(text, longest), 2
        while name.casefold() in used:
            ending = f"-{number}"
            name, number = safe_name(text, longest - len(ending)) + ending, number + 1
        used.add(name.casefold())
        names.append(name)
    return names


def printable(name: str) -> str:
    """A file's name or path as text: what of it is no UTF-8, such as of an old archive, with backslashes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
