"""The training loop of every method: batches, logging, states, a resume that changes nothing.

No training framework wraps the modules: a method owns its optimisers and its backward passes
(adversarial ones have two) and each run has one device, so that launchers, strategies and hooks
would have nothing to do.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from denf.data.prepared import Prepared
from denf.errors import DenfError, DivergenceError, InterruptionError
from denf.files import write_atomically
from denf.harness import provenance
from denf.harness.batches import batch_indices, loader, noise_seed
from denf.harness.checkpoint import (
    best_device,
    build,
    save_weights,
    start_from,
    tensors_sha256,
    write_experiment,
)
from denf.harness.earlier import (
    check_no_state,
    is_finished,
    opening_lines,
    remove_scores_of_others,
)
from denf.harness.experiment import Experiment, Training
from denf.harness.learning_curve import can_be_scored, is_due, validation_ari
from denf.harness.method import Method, Step
from denf.harness.process import stop_requests, torch_threads
from denf.harness.progress import Progress, check_finite
from denf.harness.sources import Purpose, code_hash
from denf.harness.states import StateKey, StateStore
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
    resume: bool | None = None,
    weights: Path | None = None,
    validation: Prepared | None = None,
    max_minutes: float | None = None,
) -> None:
    """Train a method and write `model.safetensors`, `experiment.yaml`, `history.csv`, `run.json`.

    Args:
        experiment: resolved.
        data: the training split; masks are never read.
        out: the run folder. Files of an earlier run in it are replaced at the end; scores of other
            weights are removed.
        seed: of parameters, batches and every random draw.
        resume: True continues from the newest saved state of the same settings, code, data, seed,
            first weights and validation scenes, from step 0 where there is none, and does nothing
            where `out` holds this training, finished. False starts over. None trains from step 0,
            and is refused where there is such a state.
        weights: the run whose weights are the first ones; asked for by `experiment.weights`.
        validation: other scenes, with masks, whose foreground ARI goes into `history.csv` now and
            then; nothing is chosen by it. Methods that do not segment leave it out.
        max_minutes: of this call, after which it stops with its state saved; None: all steps.

    Raises:
        DenfError: when `weights` and `experiment.weights` do not go together or do not fit,
            another process trains into `out`, or a saved state would be lost.
        DivergenceError: at a loss or parameter that is not finite, with the batch's indices. The
            files are written, with the weights of the last check that found all finite.
        InterruptionError: after SIGTERM, Ctrl-C or `max_minutes`, with the state saved.
    """
    deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    lock = out.parent / ".state" / f"{out.name}.lock"
    with (
        locked(lock, f"run folder {out}", wait=LOCK_SECONDS),
        torch_threads(experiment.training.threads),
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
    resume: bool | None,
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
    if validation is not None and not can_be_scored(method):
        validation = None
    key = StateKey(
        experiment.fingerprint(),
        sources,
        data.sha256[:16],
        seed,
        None if first is None else first[:16],
        None if validation is None else f"{len(validation)}x{validation.sha256[:16]}",
    )
    store, progress = StateStore(out, key), Progress()
    resumed = False
    if resume is None:
        check_no_state(out, store)
    elif resume:
        if is_finished(out, store, experiment):
            _tell(f"{out} holds this training, finished: nothing to do. --restart repeats it.")
            return
        resumed = store.restore(lambda state: progress.restore(state, method))
    opening = list(opening_lines(out, store, asked=bool(resume), resumed=resumed))
    out.mkdir(parents=True, exist_ok=True)

    error: DivergenceError | None = None
    progress.keep(method)
    try:
        _loop(progress, method, experiment, data, validation, seed, store, opening, deadline)
    except DivergenceError as diverged:
        error = diverged
        progress.rewind(method)
    if device.type == "cuda":
        torch.cuda.synchronize(device)

    for line in opening:  # without steps
        _tell(line)
    weights_sha256 = tensors_sha256(method.state_dict())
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
        "weights_sha256": weights_sha256,
        "key": str(key),
        **provenance.describe_code(sources),
        **provenance.describe_machine(device),
        "data": {**{k: data.info.get(k) for k in ("name", "split", "count", "size")},
                 "sha256": data.sha256},
        "validation": None if validation is None else {
            "count": len(validation), "sha256": validation.sha256},
    }  # fmt: skip
    removed = remove_scores_of_others(out, weights_sha256)
    if removed:
        _tell(f"{out}: removed {', '.join(removed)}, measured on the weights before")
    write_experiment(experiment, out / "experiment.yaml")
    write_atomically(out / "history.csv", progress.as_csv())
    write_atomically(out / "run.json", json.dumps(record, indent=2) + "\n")
    save_weights(method, experiment, out / "model.safetensors")
    if error is not None:
        raise error
    store.clear()


def _first_weights(method: Method, experiment: Experiment, run: Path | None) -> str | None:
    """Load them where the experiment takes them from another run; SHA-256 of its tensors."""
    if (run is None) != (experiment.weights is None):
        raise DenfError(
            f"experiment {experiment.name}: first weights",
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
    opening: list[str],
    deadline: float,
) -> None:
    settings, device = experiment.training, method.device
    steps = settings.total_steps(len(data))
    generator = torch.Generator(device)
    load = loader(data, device)

    def batch(step: int) -> np.ndarray:
        return batch_indices(seed, step, len(data), settings.batch_size)

    saved, began = time.monotonic(), time.monotonic() - progress.seconds
    with (
        stop_requests() as stop_requested,
        tqdm(
            total=steps, initial=progress.step, desc=experiment.name, unit="step", disable=None
        ) as bar,
    ):
        while progress.step < steps:
            generator.manual_seed(noise_seed(seed, progress.step))
            step = Step(progress.step, steps, generator)
            progress.pending.append(method.training_step(load(batch(progress.step)), step))
            while opening:  # the first step has shown that the method takes these images
                _tell(opening.pop(0))
            progress.step += 1
            bar.update()
            due = progress.step == steps or progress.step % settings.log_every == 0
            # read once: what follows must see one answer
            stop = stop_requested() or time.monotonic() >= deadline
            if not (due or stop):
                continue
            check_finite(progress, method, batch)
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
                    f"experiment {experiment.name}: stopped at step {progress.step} of {steps}, "
                    f"state in {store.folder}. Repeat the command with --resume to continue."
                )
            progress.keep(method)


def _tell(text: str) -> None:
    """Print a line on standard error, above the bar where there is one."""
    tqdm.write(f"denf: {text}", file=sys.stderr)


def _report(bar: tqdm[Any], progress: Progress, loss: float) -> None:
    """Show the loss beside the bar, or, where output is no terminal, print a line."""
    bar.set_postfix(loss=f"{loss:.4g}")
    if bar.disable:
        per_step = progress.seconds / progress.step
        line = f"step {progress.step} of {bar.total}: loss {loss:.4g}, {per_step:.3g} s per step"
        print(line, file=sys.stderr, flush=True)


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
