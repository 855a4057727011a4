"""The case "step": variants of DeNF's training step side by side, each in a process of its own.

A variant that fails or does not end gives a line with its error. A GPU that a variant leaves in a
bad state, or memory that it holds, does not affect the next variant.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from denf.bench.variants import REFERENCE, VARIANTS, Workload, measure
from denf.errors import DenfError

LIMIT = 240.0  # seconds for one variant


def bench_step(names: str, work: Workload) -> Iterator[dict[str, Any]]:
    """One line per variant, the reference first.

    Args:
        names: of variants, separated by commas, or "all".
        work: see `Workload`.

    Yields:
        the workload; ms per step (forward, backward and optimiser) and images per second; the
        reference's number of operations divided by the time of a step, as a fraction of the rate
        of a matrix product; ms of `encode` alone; peak memory; relative differences of the losses
        from the reference's, the largest and that of the mean over the last quarter. The
        reference's own differences are those of a second training with other noise. After a
        failure, `error` in place of all of these.

    Raises:
        DenfError: for an unknown variant.
    """
    chosen = _chosen(names)
    reference: dict[str, Any] = {}
    for name in [REFERENCE, *(name for name in chosen if name != REFERENCE)]:
        print(f"bench step: {name}", file=sys.stderr, flush=True)
        found = _apart(name, work)
        if name == REFERENCE:
            reference = found
        yield {"case": "step", "variant": name, **asdict(work), **_line(found, reference)}


def _chosen(names: str) -> Sequence[str]:
    chosen = list(VARIANTS) if names == "all" else names.split(",")
    unknown = [name for name in chosen if name not in VARIANTS]
    if unknown:
        raise DenfError(
            "--variants",
            expected=f"all, or some of {', '.join(VARIANTS)}",
            got=", ".join(unknown),
            fix="Separate names by commas.",
        )
    return chosen


def _apart(name: str, work: Workload) -> dict[str, Any]:
    """`measure` in a new process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(name, work, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(LIMIT):
            return {"error": f"not finished after {LIMIT:.0f} s"}
        return receiver.recv()
    except EOFError:
        process.join()
        return {"error": f"the process ended with status {process.exitcode}"}
    finally:
        process.kill()
        process.join()
        receiver.close()


def _child(name: str, work: Workload, sender: Connection) -> None:
    try:
        sender.send(measure(name, work))
    except Exception as error:
        traceback.print_exc()
        sender.send({"error": f"{type(error).__name__}: {error}"[:500]})


def _line(found: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """The figures of one variant, compared with those of the reference."""
    if "error" in found:
        return found
    line = {k: v for k, v in found.items() if k not in ("losses", "losses_with_other_noise")}
    line["last_loss"] = found["losses"][-1]
    if "error" in reference:
        return line
    operations, rate = reference["flop_per_step"], reference["matrix_flops"]
    line["fraction_of_matrix_rate"] = operations / (found["ms_per_step"] / 1000) / rate
    losses = found.get("losses_with_other_noise", found["losses"])
    expected = reference["losses"]
    line["loss_difference"] = max(
        abs(a - b) / abs(b) for a, b in zip(losses, expected, strict=True)
    )
    quarter = max(1, len(expected) // 4)
    ours, theirs = sum(losses[-quarter:]), sum(expected[-quarter:])
    line["loss_difference_last_quarter"] = abs(ours - theirs) / abs(theirs)
    return line
