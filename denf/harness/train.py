"""The training loop of every method: batches, logging, states, a resume that changes nothing.

No training framework wraps the modules: a method owns its optimisers and its backward passes
(adversarial ones have two) and each run has one device, so that launchers, strategies and hooks
would have nothing to do.
"""

from __future__ import annotations

import csv
import io
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
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
from denf.harness.registry import Purpose, code_hash
from denf.locks import locked
from denf.run_folder import VALIDATION_ARI
from denf.settings import as_plain

LOCK_SECONDS = 30.0  # a training whose workflow was killed saves its state and ends meanwhile


@dataclass
class _Run:
    """What changes during a run."""

    step: int = 0
    seconds: float = 0.0  # of training, over all sessions
    history: list[dict[str, float]] = field(default_factory=list)
    pending: list[Mapping[str, Tensor]] = field(default_factory=list)  # since the last log
    good: _Good | None = None


@dataclass(frozen=True)
class _Good:
    """Weights with finite losses behind them, kept in memory for a divergence."""

    step: int
    seconds: float
    weights: Mapping[str, Tensor]


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
    store, run = StateStore(out, key), _Run()
    if resume:
        store.restore(lambda state: _restore(run, state, method))
    else:
        store.clear()
    out.mkdir(parents=True, exist_ok=True)

    error: DivergenceError | None = None
    _keep(run, method)
    try:
        _loop(run, method, experiment, data, validation, seed, store, deadline)
    except DivergenceError as diverged:
        error = diverged
        _rewind(run, method)
    if device.type == "cuda":
        torch.cuda.synchronize(device)

    images = run.step * experiment.training.batch_size
    record = {
        "status": "finished" if error is None else "diverged",
        "reason": None if error is None else str(error),
        "notes": method.notes(run.history),
        "seed": seed,
        "steps": run.step,
        "started": started,
        "ended": provenance.now(),
        "seconds": round(run.seconds, 2),
        "images_per_second": round(images / run.seconds, 2) if run.seconds else None,
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
    write_atomically(out / "history.csv", _as_csv(run.history))
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
    run: _Run,
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
    saved, began = time.monotonic(), time.monotonic() - run.seconds
    with (
        _stop_requests() as stop_requested,
        tqdm(total=steps, initial=run.step, desc=experiment.name, unit="step", disable=None) as bar,
    ):
        while run.step < steps:
            indices = batch_indices(seed, run.step, len(data), settings.batch_size)
            generator.manual_seed(noise_seed(seed, run.step))
            scalars = method.training_step(load(indices), Step(run.step, steps, generator))
            run.pending.append(scalars)
            run.step += 1
            bar.update()
            due = run.step == steps or run.step % settings.log_every == 0
            # read once: what follows must see one answer
            stop = stop_requested() or time.monotonic() >= deadline
            if not (due or stop):
                continue
            _check(run, method, seed, len(data), settings.batch_size)
            run.seconds = time.monotonic() - began
            if due:
                bar.set_postfix(loss=f"{_log(run)['loss']:.4g}")
                before = time.monotonic()
                _validate(run, method, settings, validation, steps)
                began += time.monotonic() - before  # no time of training
            if stop or time.monotonic() - saved >= settings.save_minutes * 60:
                store.save(_state(run, method), run.step)
                saved = time.monotonic()
            if stop and run.step < steps:
                raise InterruptionError(
                    f"{experiment.name}: stopped at step {run.step} of {steps}, state in "
                    f"{store.folder}. Repeat the command with --resume to continue."
                )
            _keep(run, method)


def _check(run: _Run, method: Method, seed: int, images: int, batch_size: int) -> None:
    """Stop when a loss since the last log, or a weight after the last step, is not finite."""
    first = run.step - len(run.pending)
    losses = torch.stack([scalars["loss"].float() for scalars in run.pending]).cpu()
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = first + int(bad[0])
        what = f"a finite loss, got {float(losses[step - first])}"
    else:
        weights = [v for v in method.state_dict().values() if v.is_floating_point()]
        if not weights or bool(torch.stack([torch.isfinite(v).all() for v in weights]).all()):
            return
        step, what = run.step - 1, "finite weights after the update, got NaN or infinite ones"
    indices = batch_indices(seed, step, images, batch_size).tolist()
    raise DivergenceError(
        f"step {step}: expected {what}; images {indices}. Lower the learning rate or the "
        "gradient clip."
    )


def _log(run: _Run) -> dict[str, float]:
    """Move the pending scalars to the host at once and add their mean to the history."""
    names = list(run.pending[0])
    table = torch.stack([torch.stack([s[n].float() for n in names]) for s in run.pending]).cpu()
    run.pending.clear()
    row = {"step": float(run.step), **dict(zip(names, table.mean(0).tolist(), strict=True))}
    run.history.append(row)
    return row


def _validate(
    run: _Run, method: Method, settings: Training, scenes: Prepared | None, steps: int
) -> None:
    """Add the foreground ARI of validation scenes to the newest row, where it is due."""
    before = int(run.history[-2]["step"]) if len(run.history) > 1 else 0
    if scenes is None or not is_due(run.step, before, steps=steps, times=settings.validations):
        return
    score = validation_ari(method, scenes, settings.batch_size)
    if score is not None:
        run.history[-1][VALIDATION_ARI] = score


def _keep(run: _Run, method: Method) -> None:
    weights = {name: value.clone() for name, value in method.state_dict().items()}
    run.good = _Good(run.step, run.seconds, weights)


def _rewind(run: _Run, method: Method) -> None:
    if run.good is not None:
        method.load_state_dict(run.good.weights)
        run.step, run.seconds = run.good.step, run.good.seconds


def _state(run: _Run, method: Method) -> dict[str, Any]:
    return {
        "method": method.state_dict(),
        "optimizers": {name: o.state_dict() for name, o in method.optimizers.items()},
        "step": run.step,
        "seconds": run.seconds,
        "history": run.history,
        "pending": run.pending,
    }


def _restore(run: _Run, state: Mapping[str, Any], method: Method) -> None:
    """Take over a state; one that does not fit raises and changes nothing."""
    before = {name: value.clone() for name, value in method.state_dict().items()}
    try:
        method.load_state_dict(state["method"])
        for name, optimizer in method.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
            _check_shapes(name, optimizer)
        step, seconds = int(state["step"]), float(state["seconds"])
        history = [dict(row) for row in state["history"]]
        pending: list[Mapping[str, Tensor]] = []
        pending += [{n: v.to(method.device) for n, v in s.items()} for s in state["pending"]]
    except Exception:
        method.load_state_dict(before)
        method.optimizers = method.make_optimizers()
        raise
    run.step, run.seconds, run.history, run.pending = step, seconds, history, pending


def _check_shapes(name: str, optimizer: Optimizer) -> None:
    """Refuse averages of another shape than their parameter, which the next step would meet."""
    for parameter, averages in optimizer.state.items():
        for key, value in averages.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                raise ValueError(
                    f"optimiser {name}, {key}: expected {tuple(parameter.shape)}, "
                    f"got {tuple(value.shape)}"
                )


def _as_csv(history: list[dict[str, float]]) -> str:
    text = io.StringIO()
    names = dict.fromkeys(name for row in history for name in row) or ["step", "loss"]
    writer = csv.DictWriter(text, fieldnames=list(names))
    writer.writeheader()
    writer.writerows({**row, "step": int(row["step"])} for row in history)
    return text.getvalue()


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
