"""The training loop of every method: batches, logging, states, a resume that changes nothing.

No training framework wraps the modules: a method owns its optimisers and its backward passes
(adversarial ones have two) and each run has one device, so that launchers, strategies and hooks
would have nothing to do.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm

from denf.data.prepared import Prepared
from denf.errors import DenfError, DivergenceError, InterruptionError
from denf.files import write_atomically
from denf.harness import provenance
from denf.harness.batches import batch_indices, loader, noise_seed
from denf.harness.checkpoint import (
    StateStore,
    best_device,
    build,
    save_weights,
    start_from,
    tensors_sha256,
    write_experiment,
)
from denf.harness.experiment import Experiment, Training
from denf.harness.learning_curve import can_be_scored, is_due, validation_ari
from denf.harness.method import Method, Step
from denf.harness.progress import Progress
from denf.harness.registry import Purpose, code_hash
from denf.locks import locked
from denf.run_folder import VALIDATION_ARI
from denf.settings import as_plain

LOCK_SECONDS = 30.0  # a training whose workflow was killed saves its state and ends meanwhile


def train(
    experiment: Experiment,
    data: Prepared,
    out: Path,
    *,
    seed: int,
    resume: bool = False,
    weights: Path | None = None,
    validation: Prepared | None = None,
    max_minutes: float | None = None,
) -> None:
    """Train a method and write `model.safetensors`, `experiment.yaml`, `history.csv`, `run.json`.

    Args:
        experiment: resolved.
        data: the training split; masks are never read.
        out: the run folder; files of an earlier run in it are replaced.
        seed: of parameters, batches and every random draw.
        resume: continue from the newest saved state of the same settings, code, data, seed and
            first weights.
        weights: the run whose weights are the first ones; asked for by `experiment.weights`.
        validation: other scenes, with masks, whose foreground ARI goes into `history.csv` now and
            then; nothing is chosen by it. Methods that do not segment leave it out.
        max_minutes: of this call, after which it stops with its state saved; None: all steps.

    Raises:
        DenfError: when `weights` and `experiment.weights` do not go together or do not fit, or
            another process trains into `out`.
        DivergenceError: at a loss or parameter that is not finite, with the batch's indices. The
            files are written, with the weights of the last check that found all finite.
        InterruptionError: after SIGTERM, Ctrl-C or `max_minutes`, with the state saved.
    """
    deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    lock = out.parent / ".state" / f"{out.name}.lock"
    with (
        locked(lock, f"run folder {out}", wait=LOCK_SECONDS),
        _threads(experiment.training.threads),
    ):
        _train(experiment, data, out, seed, resume, weights, validation, deadline)


def start_training(method: Method, device: torch.device) -> Method:
    """Move a method to its device, set it to training, and make its optimisers there."""
    method.to(device).train()
    method.optimizers = method.make_optimizers()
    return method


def _train(
    experiment: Experiment,
    data: Prepared,
    out: Path,
    seed: int,
    resume: bool,
    weights: Path | None,
    validation: Prepared | None,
    deadline: float,
) -> None:
    started = provenance.now()
    device = best_device()
    method = build(experiment, seed)
    first = _first_weights(method, experiment, weights)
    experiment = experiment.changed(settings=as_plain(method.settings))  # with all defaults
    start_training(method, device)
    sources = code_hash(Purpose.TRAIN, experiment.method, aided=bool(experiment.aids))
    key = "-".join((experiment.fingerprint(), sources, data.sha256[:16], str(seed)))
    key += "" if first is None else f"-{first[:16]}"
    if validation is not None and not can_be_scored(method):
        validation = None
    if validation is not None:  # a history has scores of one set of scenes
        key += f"-{len(validation)}x{validation.sha256[:16]}"
    store, progress = StateStore(out, key), Progress()
    if resume:
        store.restore(lambda state: progress.restore(state, method))
    else:
        store.clear()
    out.mkdir(parents=True, exist_ok=True)

    error: DivergenceError | None = None
    progress.keep(method)
    try:
        _loop(progress, method, experiment, data, validation, seed, store, deadline)
    except DivergenceError as diverged:
        error = diverged
        progress.rewind(method)
    if device.type == "cuda":
        torch.cuda.synchronize(device)

    images = progress.step * experiment.training.batch_size
    record = {
        "status": "finished" if error is None else "diverged",
        "reason": None if error is None else str(error),
        "notes": method.notes(progress.history),
        "seed": seed,
        "steps": progress.step,
        "started": started,
        "ended": provenance.now(),
        "seconds": round(progress.seconds, 2),
        "images_per_second": round(images / progress.seconds, 2) if progress.seconds else None,
        "peak_memory_bytes": provenance.peak_memory(device),
        "parameters": sum(p.numel() for p in method.parameters()),
        "aids": dict(experiment.aids),
        "first_weights_sha256": first,
        "weights_sha256": tensors_sha256(method.state_dict()),
        **provenance.describe_code(sources),
        **provenance.describe_machine(device),
        "data": {**{k: data.info.get(k) for k in ("name", "split", "count", "size")},
                 "sha256": data.sha256},
        "validation": None if validation is None else {
            "count": len(validation), "sha256": validation.sha256},
    }  # fmt: skip
    write_experiment(experiment, out / "experiment.yaml")
    write_atomically(out / "history.csv", progress.as_csv())
    write_atomically(out / "run.json", json.dumps(record, indent=2) + "\n")
    save_weights(method, experiment, out / "model.safetensors")
    if error is not None:
        raise error
    store.clear()


def _first_weights(method: Method, experiment: Experiment, run: Path | None) -> str | None:
    """Load them where the experiment takes them from another run; SHA-256 of their file."""
    if (run is None) != (experiment.weights is None):
        raise DenfError(
            f"{experiment.name}: first weights",
            expected="none" if experiment.weights is None else f"a run of {experiment.weights}",
            got=run or "none",
            fix="Set the experiment's key `weights` and give `--weights RUN`, or neither.",
        )
    return None if run is None else start_from(method, run)


def _loop(
    progress: Progress,
    method: Method,
    experiment: Experiment,
    data: Prepared,
    validation: Prepared | None,
    seed: int,
    store: StateStore,
    deadline: float,
) -> None:
    settings, device = experiment.training, method.device
    steps = settings.total_steps(len(data))
    generator = torch.Generator(device)
    load = loader(data, device)
    saved, began = time.monotonic(), time.monotonic() - progress.seconds
    with (
        _stop_requests() as stop_requested,
        tqdm(
            total=steps, initial=progress.step, desc=experiment.name, unit="step", disable=None
        ) as bar,
    ):
        while progress.step < steps:
            indices = batch_indices(seed, progress.step, len(data), settings.batch_size)
            generator.manual_seed(noise_seed(seed, progress.step))
            scalars = method.training_step(load(indices), Step(progress.step, steps, generator))
            progress.pending.append(scalars)
            progress.step += 1
            bar.update()
            due = progress.step == steps or progress.step % settings.log_every == 0
            # read once: what follows must see one answer
            stop = stop_requested() or time.monotonic() >= deadline
            if not (due or stop):
                continue
            _check(progress, method, seed, len(data), settings.batch_size)
            progress.seconds = time.monotonic() - began
            if due:
                _report(bar, progress, progress.log()["loss"])
                before = time.monotonic()
                _validate(progress, method, settings, validation, steps)
                began += time.monotonic() - before  # no time of training
            if stop or time.monotonic() - saved >= settings.save_minutes * 60:
                store.save(progress.state(method), progress.step)
                saved = time.monotonic()
            if stop and progress.step < steps:
                raise InterruptionError(
                    f"{experiment.name}: stopped at step {progress.step} of {steps}, state in "
                    f"{store.folder}. Repeat the command with --resume to continue."
                )
            progress.keep(method)


def _report(bar: tqdm[Any], progress: Progress, loss: float) -> None:
    """Show the loss beside the bar, or, where output is no terminal, print a line."""
    bar.set_postfix(loss=f"{loss:.4g}")
    if bar.disable:
        per_step = progress.seconds / progress.step
        line = f"step {progress.step} of {bar.total}: loss {loss:.4g}, {per_step:.3g} s per step"
        print(line, file=sys.stderr, flush=True)


def _check(progress: Progress, method: Method, seed: int, images: int, batch_size: int) -> None:
    """Stop when a loss since the last log, or a weight after the last step, is not finite."""
    first = progress.step - len(progress.pending)
    losses = torch.stack([scalars["loss"].float() for scalars in progress.pending]).cpu()
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = first + int(bad[0])
        what = f"a finite loss, got {float(losses[step - first])}"
    else:
        weights = [v for v in method.state_dict().values() if v.is_floating_point()]
        if not weights or bool(torch.stack([torch.isfinite(v).all() for v in weights]).all()):
            return
        step, what = progress.step - 1, "finite weights after the update, got NaN or infinite ones"
    indices = batch_indices(seed, step, images, batch_size).tolist()
    raise DivergenceError(
        f"step {step}: expected {what}; images {indices}. Lower the learning rate or the "
        "gradient clip."
    )


def _validate(
    progress: Progress, method: Method, settings: Training, scenes: Prepared | None, steps: int
) -> None:
    """Add the foreground ARI of validation scenes to the newest row, where it is due."""
    before = int(progress.history[-2]["step"]) if len(progress.history) > 1 else 0
    if scenes is None or not is_due(progress.step, before, steps=steps, times=settings.validations):
        return
    score = validation_ari(method, scenes, settings.batch_size)
    if score is not None:
        progress.history[-1][VALIDATION_ARI] = score


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many CPU threads of torch, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and Ctrl-C into a flag that the loop reads between steps."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    before = {s: signal.signal(s, ask) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
