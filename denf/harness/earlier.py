"""What lies in a run folder before a training: what it may replace, continue or leave as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from denf.errors import DenfError
from denf.harness.checkpoint import check_weights
from denf.harness.experiment import Experiment, load_experiment
from denf.harness.states import StateStore
from denf.run_folder import SCORED, TRAINED, read_record

_MEASURED_BY = {"metrics.json": ("metrics.json", "scores.csv", "panels.npz"),
                "fid.json": ("fid.json",)}  # fmt: skip


def check_run_folder(out: Path, weights: Path | None = None) -> None:
    """Refuse a folder whose own files a run would replace or mix with.

    Args:
        out: the folder to train into: a new or an empty one, or that of a run.
        weights: the run whose weights are the first ones.

    Raises:
        DenfError: names what is there.
    """
    place = out.resolve()
    names = {p.name for p in out.iterdir() if p.name[0] != "."} if out.is_dir() else set()
    prepared = [f for f in (place, *place.parents) if (f / "dataset.json").is_file()]
    if out.name in ("", ".."):
        got = f"{str(out)!r}, which has no name"
    elif out.exists() and not out.is_dir():
        got = "a file"
    elif prepared:
        got = f"the prepared data in {prepared[0]}"
    elif weights is not None and weights.resolve() == place:
        got = "the run of --weights"
    elif names and not names & {*TRAINED, *SCORED, "train.log"}:
        got = f"one with other files: {', '.join(sorted(names)[:3])}"
    else:
        return
    raise DenfError(
        f"run folder {out}",
        expected="a new folder, or that of a run",
        got=got,
        fix="Choose another --out.",
    )


def is_finished(out: Path, store: StateStore, experiment: Experiment) -> bool:
    """Whether the folder holds this very training, finished, with all that it wrote."""
    with suppress(DenfError):  # a file that is missing or damaged: it is trained again
        record = read_record(out, "run.json")
        if record.get("status") == "finished" and record.get("key") == str(store.key):
            check_weights(out)
            written = load_experiment(out / "experiment.yaml")
            return written.inputs_hash() == experiment.inputs_hash()
    return False


def check_no_state(out: Path, store: StateStore) -> None:
    """Refuse a new training where the same one can be continued.

    Raises:
        DenfError: names the step.
    """
    step = store.newest_step()
    if step is not None:
        raise DenfError(
            f"run folder {out}",
            expected="no saved state of the same training",
            got=f"one of step {step}",
            fix="Continue it with --resume, or start over with --restart.",
        )


def opening_lines(out: Path, store: StateStore, *, asked: bool, resumed: bool) -> Iterator[str]:
    """What a training tells when it begins, of the folder's run and of saved states.

    Args:
        out: the run folder.
        store: of the training's states.
        asked: whether the training was to be resumed.
        resumed: whether it was.
    """
    status = read_record(out, "run.json").get("status")
    differing = store.others_differ_in()
    if not resumed and status:
        yield f"{out} holds a {status} run: the training starts over"
    elif not resumed and asked:
        yield f"{out} has no saved state of this training, which starts at step 0"
    if differing:
        yield (
            f"{out} has saved states of another training, which differs in "
            f"{' and '.join(differing)}; they are removed when this one has finished"
        )


def remove_scores_of_others(out: Path, weights_sha256: str) -> list[str]:
    """Remove scores and pictures that were not measured on these weights; returns their names."""
    removed = []
    for file, names in _MEASURED_BY.items():
        with suppress(DenfError):  # an unreadable file has no scores of these weights
            if read_record(out, file).get("run_weights_sha256") == weights_sha256:
                continue
        removed += [name for name in names if (out / name).exists()]
    for name in removed:
        (out / name).unlink()
    return removed
