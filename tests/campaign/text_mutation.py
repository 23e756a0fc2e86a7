# SPDX-License-Identifier: Apache-2.0
"""Tables, TOML, YAML, XML and label lines changed by structure: lines, numbers, texts, nesting, encodings, entities."""

import random
import re

from . import odd_values

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r'"[^"\n]*"')
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9.-]*")
_ELEMENT = re.compile(r"<(\w+)[^<>]*>[^<>]*</\1>|<\w+[^<>]*/>")


def mutate_text(data: bytes, rng: random.Random, canary: str) -> bytes:
    """One to three changes of lines and tokens."""
    text = data.decode("utf-8", "replace")
    for _ in range(rng.randint(1, 3)):
        text = rng.choice((_number, _number, _quoted, _word, _line, _line, _nested))(text, rng, canary)
    return _encoded(text, rng)


def mutate_xml(data: bytes, rng: random.Random, canary: str) -> bytes:
    """The same, and elements gone, doubled, nested, entities that grow or that name files."""
    text = data.decode("utf-8", "replace")
    act = rng.randrange(8)
    if act < 4:
        return mutate_text(data, rng, canary)
    found = list(_ELEMENT.finditer(text))
    if act < 6 and found:
        one = rng.choice(found)
        put = rng.choice(("", one[0] * 2, one[0] * 5000, "<a>" * 50_000 + "</a>" * 50_000, f"<b>{one[0]}</b>", "&x;"))
        return _encoded(text[: one.start()] + put + text[one.end() :], rng)
    head, sep, body = text.rpartition("?>")
    grow = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10))
    doctype = rng.choice(
        (
            f'<!DOCTYPE a [<!ENTITY x0 "ha">{grow}<!ENTITY x "&x9;">]>',
            f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{canary}">]>',
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE a [<!ENTITY x "&x;">]>',
            '<!DOCTYPE a SYSTEM "/dev/zero">',
        )
    )
    return _encoded(
        f"{head}{sep}{doctype}" + (re.sub(r">([^<>]+)<", ">&x;<", body, count=1) if rng.random() < 0.8 else body), rng
    )


def _replaced(pattern: re.Pattern, text: str, rng: random.Random, new: str) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text + new
    one = rng.choice(found)
    return text[: one.start()] + new + text[one.end() :]


def _number(text: str, rng: random.Random, canary: str) -> str:
    return _replaced(_NUMBER, text, rng, rng.choice(odd_values.NUMBERS))


def _quoted(text: str, rng: random.Random, canary: str) -> str:
    return _replaced(_QUOTED, text, rng, '"' + rng.choice(odd_values.texts(canary)) + '"')


def _word(text: str, rng: random.Random, canary: str) -> str:
    words = _WORD.findall(text) or ["a"]
    return _replaced(_WORD, text, rng, rng.choice((rng.choice(words), *odd_values.texts(canary))))


def _line(text: str, rng: random.Random, canary: str) -> str:
    lines = text.split("\n")
    place, act = rng.randrange(len(lines)), rng.randrange(6)
    if act == 0:
        del lines[place]
    elif act == 1:
        lines.insert(place, lines[rng.randrange(len(lines))])
    elif act == 2:
        other = rng.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    elif act == 3:
        lines[place:place] = [lines[place]] * rng.choice((3, 5000))
    elif act == 4:
        lines[place] = lines[place] * rng.choice((2, 2000))
    else:
        lines[place] = lines[place][: rng.randrange(len(lines[place]) + 1)]
    return "\n".join(lines)


def _nested(text: str, rng: random.Random, canary: str) -> str:
    deep = rng.choice((50, 2000, 50_000))
    return _replaced(
        _NUMBER,
        text,
        rng,
        rng.choice(
            (
                "[" * deep + "]" * deep,
                "[" * deep,
                "{a=" * deep + "1" + "}" * deep,
                "a." * deep + "a = 1",
                "- " * deep,
                "&a [*a, *a]",
            )
        ),
    )


def _encoded(text: str, rng: random.Random) -> bytes:
    act = rng.randrange(12)
    if act == 0:
        return text.encode("utf-16", "surrogatepass")
    if act == 1:
        return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
    if act == 2:
        return text.encode("latin-1", "replace") + b"\xe9"
    if act == 3:
        return text.replace("\n", "\r\n").encode("utf-8", "surrogatepass")
    return text.encode("utf-8", "surrogatepass")
