# SPDX-License-Identifier: Apache-2.0
"""Files with several pages: each page as an image of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..pages import count_pages
from .findings import Findings
from .items import Item


def pages_as_items(items: Sequence[Item], group_by: str | None, findings: Findings) -> list[Item]:
    """Each page of a file with several becomes an item NAME_page1, NAME_page2, …; of one plate without `group_by`.

    Labels belong to a file, and nobody knows to which of its pages: such a file is a problem.
    """
    single: list[Item] = []
    names = {item.name for item in items}
    for item in items:
        count = 1
        if isinstance(item.image, Path):
            with findings.catch(item.name):
                count = count_pages(item.image)
        pages = [item] if count == 1 else _pages(item, count, group_by)
        if count > 1 and item.labels:
            findings.problem(f"{item.where} holds {count} pages, and its labels do not say to which they belong: "
                             "save the labelled page as a file of its own", *(page.name for page in pages))
        for page in pages if count > 1 else ():
            if page.name in names:
                findings.problem(f"{page.where}: another image has the name {page.name}", page.name)
        single += pages
    return single


def _pages(item: Item, count: int, group_by: str | None) -> list[Item]:
    path = PurePosixPath(item.name)
    plate = item.group or (None if group_by else path.with_suffix("").as_posix())
    return [
        replace(item, name=path.with_name(f"{path.stem}_page{page}{path.suffix}").as_posix(),
                where=f"{item.where}, page {page}", page=page, group=plate)
        for page in range(1, count + 1)
    ]
