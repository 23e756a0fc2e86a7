# SPDX-License-Identifier: Apache-2.0
"""`review`: a person decides on alarms in the browser; or what a journal of such decisions is used for."""

from argparse import Namespace
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import UserError
from ..runtime.locks import locked
from ..runtime.progress import say, tell
from .finished_work import weights_override
from .product_command import names_of, product_of

if TYPE_CHECKING:
    from ..model.file import Model


def review(arguments: Namespace) -> None:
    from ..model.file import load_model

    model_path = Path(arguments.model)
    base = load_model(model_path)
    folder = Path(arguments.journal or model_path.with_name(f"{model_path.stem}.review"))
    out = Path(arguments.out or model_path.with_name(f"{model_path.stem}.taught.h5"))
    if out.exists() and out.samefile(model_path):
        raise UserError("the taught model would replace the model that it is made from; give another --out")
    with locked(folder):
        for other in arguments.merge:
            _merge(folder, Path(other), arguments.theirs)
        for entry_id in arguments.undo:
            _undo(folder, entry_id, base.fingerprint, arguments.who or getuser())
        exports = arguments.export_labelme or arguments.export_dataset
        if exports:
            _export(folder, arguments)
        if arguments.replay:
            _replay(base, folder, out)
        elif (arguments.undo or arguments.merge) and out.exists() and (exports or not arguments.images):
            say(f"{out} is as it was before; `--replay` makes it anew from the journal")
        asked = exports or arguments.replay or arguments.undo or arguments.merge
        if not asked or (arguments.images and not exports and not arguments.replay):
            _serve(base, folder, out, arguments)


def _merge(folder: Path, other: Path, theirs: bool) -> None:
    from ..review.merging import merge

    taken, conflicts = merge(folder, other, theirs)
    for conflict in conflicts:
        ours, their = conflict.ours, conflict.theirs
        say(f"conflict at {list(ours.region.get('box', []))} of {ours.image.get('name')}: {ours.who} says "
            f"{' '.join(ours.answer).strip()}, {their.who} says {' '.join(their.answer).strip()}; "
            f"{'theirs' if theirs else 'ours'} counts")
    tell(f"{taken} decision(s) of {other} taken over into {folder}, {len(conflicts)} conflict(s)")


def _undo(folder: Path, entry_id: str, model: str, who: str) -> None:
    from ..review.journal import UNDO, Journal, new_entry

    journal = Journal(folder)
    if entry_id not in {entry.id for entry in journal.effective()}:
        raise UserError(f"{journal.path} holds no decision {entry_id!r} that counts")
    journal.append(new_entry(who, UNDO, model, of=entry_id))
    tell(f"{entry_id} is taken back")


def _export(folder: Path, arguments: Namespace) -> None:
    from ..review.journal import Journal
    from ..review.labels import export_dataset, export_labelme

    entries = Journal(folder).effective()
    if arguments.export_labelme:
        count = export_labelme(entries, Path(arguments.export_labelme))
        tell(f"{arguments.export_labelme}: {count} LabelMe file(s)")
    if arguments.export_dataset:
        count = export_dataset(entries, Path(arguments.export_dataset))
        tell(f"{arguments.export_dataset}: a data set of {count} image(s)")


def _replay(base: "Model", folder: Path, out: Path) -> None:
    from ..model.file import save_model
    from ..review.guard import losses
    from ..review.journal import DEFECT, MISSED, Journal
    from ..review.replay import PatchStore, replay

    entries = Journal(folder).effective()
    store = PatchStore(folder)
    taught = replay(base, entries, store)
    save_model(taught.model, out)
    for note in taught.notes:
        say(note)
    labelled = [entry for entry in entries if entry.decision in (DEFECT, MISSED)]
    confirmed = [loss for entry in entries for loss in entry.confirmed]
    for loss in losses(replay(base, labelled, store), taught, entries):
        if not any(told.startswith(f"{loss.name}:") for told in confirmed):
            say(f"LOST by what was taught, and nobody has confirmed it: {loss}")
    entered = sum(new for new, _ in taught.entered.values())
    tell(f"{out}: {len(entries)} decision(s) replayed, {entered} patch(es) entered the memory")


def _serve(base: "Model", folder: Path, out: Path, arguments: Namespace) -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f'the page needs {error.name}, which is not installed: pip install "sequential-patchcore[review]"'
        ) from error
    from ..data.dataset import open_dataset
    from ..extractors.device import choose_device, use_threads
    from ..metrics.binarize import Rule
    from ..naming.namer import namer_of
    from ..prediction.predictor import find_images
    from ..review.guard import ValidationDefects
    from ..review.review_set import ReviewSet
    from ..review.server import HOST, Review, bound, serve
    from ..review.session import Session
    from ..scoring.scorer import Scorer

    if not arguments.images:
        raise UserError("nothing to review: give folders of photographs, or picture files")
    if base.threshold is None:
        raise UserError(f"{arguments.model} has no threshold: set one with `sequential-patchcore calibrate` first")
    images = find_images(arguments.images)
    names = names_of(arguments)
    told = product_of(arguments, base)
    use_threads(arguments.threads)
    scorer = Scorer(base, path=arguments.model, weights=weights_override(arguments.weights),
                    precision=arguments.precision, engine=arguments.engine, device=choose_device(arguments.device))
    listening = bound(arguments.port)
    rule = Rule(arguments.min_region, arguments.hysteresis)
    review_set = ReviewSet(scorer, images, rule, namer=namer_of(scorer, rule=rule), product_of=told)
    try:
        if not review_set.images:
            raise UserError(f"not one of {len(images)} file(s) could be read")
        validation = None
        if arguments.data is not None:
            validation = ValidationDefects(review_set, open_dataset(arguments.data), arguments.split,
                                           None if names is None else names.of_sample)
        session = Session(base, review_set, folder, out, validation)
        port = listening.getsockname()[1]
        page = Review(session, port, arguments.who or getuser(), scorer.provenance)
        left = session.state()["left"]
        tell(f"{left} to decide in {len(review_set.images)} image(s); Ctrl-C ends the review, and nothing is lost")
        tell(f"open http://{HOST}:{port}/?token={page.token}")
        serve(page, listening)
    finally:
        review_set.close()
        listening.close()
