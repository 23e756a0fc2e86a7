# SPDX-License-Identifier: Apache-2.0
"""The one thing that pyproject.toml cannot say: README.md as a package index shows it, where no file lies beside it."""

import re
from pathlib import Path

from setuptools import setup

# The address below which the repository's files can be read, with a slash at the end, once it has one. Until then a
# link to a file becomes the file's name, and the picture is left out.
FILES = ""


def standalone(text: str, files: str = FILES) -> str:
    """README.md without relative links: they lead to `files`, or are no links any more.

    `[words](docs/page.md)` becomes "words (`docs/page.md`)"; a picture goes, and the caption below it. Whoever reads it
    there installs by name.
    """
    relative = r"(?!https?:|mailto:|#)"
    text = text.replace('pip install ".[', 'pip install "sequential-patchcore[')
    if files:
        return re.sub(rf"\]\({relative}", f"]({files}", text)
    text = re.sub(rf"!\[[^]]*\]\({relative}[^)]*\)\n(?:\n\*[^*]+\*\n)?", "", text)
    text = re.sub(rf"\[([^]]+)\]\({relative}([^)#]+)[^)]*\)", _named, text)
    return re.sub(r"\n{3,}", "\n\n", text)


def _named(link: re.Match) -> str:
    words, file = link[1], link[2]
    return f"`{file}`" if words.strip("`") == file else f"{words} (`{file}`)"


setup(
    long_description=standalone((Path(__file__).parent / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
