# SPDX-License-Identifier: Apache-2.0
"""`make campaign`: arguments -> parts -> docs/campaign.md. Finished cases are kept; the same command goes on."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .page import write_page

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("files",)


def main(arguments: Sequence[str]) -> int:
    """Run the parts that are asked for; 1 where a fault of the product was found."""
    parsed = _parser().parse_args(arguments)
    out = Path(parsed.out).absolute()
    _quiet(out)
    for part in parsed.part or PARTS:
        PART[part](parsed, out)
    write_page(out, parsed.seed, Path(parsed.page))
    return 0


def _quiet(out: Path) -> None:
    """Settings of this process and all that it starts: one thread, no other's cache."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    cache = out / "work" / "cache"
    for name in ("SEQUENTIAL_PATCHCORE_CACHE", "MPLCONFIGDIR", "TMPDIR"):
        place = cache / name.lower()
        place.mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(place)
    os.environ["HF_HUB_OFFLINE"] = "1"


def _files(parsed: argparse.Namespace, out: Path) -> None:
    from .child import preload
    from .damaged_files import Campaign
    from .kinds import KINDS
    from .material import CannotMake, make
    from .store import Store

    store = Store(out / "files.jsonl")
    programs = preload(REPOSITORY)
    material = make(out / "material", REPOSITORY)
    import gc

    gc.freeze()
    campaign = Campaign(programs, material, out / "work", str(REPOSITORY), parsed.seed)
    rounds = [*range(50, parsed.cases, 50), parsed.cases]
    for cases, kind in ((cases, kind) for cases in rounds for kind in KINDS):
        if parsed.only and kind.name not in parsed.only:
            continue
        began = time.monotonic()
        try:
            campaign.run(kind, cases, store)
        except CannotMake as error:  # said, and no reason to leave the other kinds out
            print(f"{kind.name}: not run, its sound file is not read: {error}", file=sys.stderr, flush=True)
        mine = [record["outcome"] for record in store.records if record["kind"] == kind.name]
        counts = ", ".join(f"{mine.count(outcome)} {outcome}" for outcome in dict.fromkeys(mine))
        print(
            f"{kind.name}: {len(mine)} cases, {counts}; {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
        )


PART = {"files": _files}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("make campaign", description=__doc__)
    parser.add_argument("--part", action="append", choices=sorted(PART), help="only this; repeat it for several")
    parser.add_argument("--only", action="append", metavar="KIND", help="files: only this kind")
    parser.add_argument(
        "--cases", type=int, default=1000, metavar="N", help="files: of each kind (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--out", default=str(REPOSITORY / "out" / "campaign"), metavar="DIR", help="(default: out/campaign)"
    )
    parser.add_argument("--page", default=str(REPOSITORY / "docs" / "campaign.md"), help="(default: docs/campaign.md)")
    return parser
