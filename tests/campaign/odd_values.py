# SPDX-License-Identifier: Apache-2.0
"""Values that programs trip over, as JSON writes them."""

import json
import random

NUMBERS = (
    "0",
    "-1",
    "1",
    "2",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775808",
    "1e308",
    "1e309",
    "-1e309",
    "1e-320",
    "0.1",
    "-0.0",
    "NaN",
    "Infinity",
    "-Infinity",
    "1" + "0" * 400,
    "9" * 5000,
    "0x10",
    "1_000",
    "01",
    ".5",
)
"""As they stand in a file, so that also what JSON has no number for can be written."""

DEEP = 100_000


def texts(canary: str) -> tuple[str, ...]:
    """Names, paths and payloads; running one of them would make the file `canary`."""
    return (
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\ud800",
        "é",
        "ﷺ" * 100,
        "x" * 70_000,
        "..",
        "../../escape",
        "/etc/passwd",
        "/dev/zero",
        canary,
        ".",
        "CON",
        "a/b",
        "*",
        "%s%n",
        "-1",
        "1e999",
        "NaN",
        "null",
        "true",
        "{}",
        f"__import__('os').system('touch {canary}')",
        f"!!python/object/apply:os.system ['touch {canary}']",
        f"cos\nsystem\n(S'touch {canary}'\ntR.",
        f"$(touch {canary})",
        f"=cmd|'touch {canary}'",
        "<script>",
        "(a+)+$",
        "\u202e",
        "file:///etc/passwd",
        "a" * 255,
        "~",
    )


def value(rng: random.Random, canary: str) -> str:
    """One value as JSON text, which need not be valid JSON."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 6:
        return json.dumps(rng.choice(texts(canary)))
    if kind == 6:
        return rng.choice(("null", "true", "false", "[]", "{}", "[[]]", '{"a": {}}', "[null]", '[1, "a"]', "", "'a'"))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    return opening * DEEP + "1" + closing * (DEEP if rng.random() < 0.5 else 0)
