"""Train the unfinished runs of a protocol within a given time, the most important first.

    uv run python workflow/scripts/campaign.py --minutes 15 --share 3

Runs are in the order of the protocol's key `only`. Each call of Snakemake makes as many runs as may
train at the same time (--share), with their evaluations. Trainings that are not finished when the
time is up save their states and continue in the next call of this script. Finished runs are copied
to --release, in the layout of results/reference/runs. The script may be killed at any time and
started again.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

_GRACE_SECONDS = 90.0  # for trainings to save their states


@dataclass(frozen=True)
class Run:
    """One seed of one experiment.

    Args:
        folder: of the run.
        files: names of the files that exist once the run is finished and scored.
    """

    folder: Path
    files: tuple[str, ...]

    @property
    def targets(self) -> list[str]:
        """The run's files as targets of Snakemake."""
        return [str(self.folder / file) for file in self.files]

    @property
    def finished(self) -> bool:
        """Whether all files exist."""
        return all((self.folder / file).exists() for file in self.files)

    def released(self, out: Path) -> bool:
        """Whether `out` has this training of the run, with these scores."""
        copy = out.joinpath(*self.folder.parts[-3:])
        return all(
            (copy / file).exists() and filecmp.cmp(copy / file, self.folder / file, shallow=False)
            for file in ("run.json", *self.files)
        )


def runs_of(configfile: Path, changes: Sequence[str]) -> list[Run]:
    """All runs of a protocol in the order of its key `only`, seeds of an experiment together.

    Args:
        configfile: the protocol.
        changes: KEY=VALUE with values in YAML, as for Snakemake.

    Raises:
        SystemExit: with one line, for a protocol or a change with a mistake in it.
    """
    place = str(configfile)
    try:
        protocol = yaml.safe_load(configfile.read_text(encoding="utf-8"))
        for key, _, value in (change.partition("=") for change in changes):
            place = f"--config {key}"
            update_config(protocol, {key: yaml.safe_load(value)})
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())  # in one line
        sys.exit(f"campaign: {place}: expected readable YAML, got {reason}")
    command = ["denf", "experiments", "--configfile", str(configfile), "--protocol", "-"]
    text = yaml.safe_dump(protocol)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    known: dict[str, dict[str, Any]] = {
        e["name"]: e for e in json.loads(done.stdout)["experiments"]
    }
    runs = []
    for e in (known[name] for name in protocol.get("only") or known if name in known):
        folder = Path("results/runs", protocol["datasets"][e["dataset"]]["id"], e["name"])
        files = ("metrics.json", "panels.npz", "scores.csv", *["fid.json"] * (2 in e["tables"]))
        runs += [Run(folder / f"seed-{seed}", files) for seed in e["seeds"]]
    return runs


def portions(runs: Sequence[Run], size: int) -> Iterator[list[Run]]:
    """The runs in portions of `size`, each of which trains at the same time."""
    for start in range(0, len(runs), size):
        yield list(runs[start : start + size])


def call_snakemake(runs: Sequence[Run], options: argparse.Namespace, deadline: float) -> bool:
    """Make the files of some runs; False if the time was up before."""
    targets = [target for run in runs for target in run.targets]
    command = ["snakemake", *targets, "--configfile", str(options.configfile)]
    command += ["--cores", str(options.cores), "--resources", f"gpu={options.share}"]
    # Run folders have their own locks, and --unlock must not be necessary after a kill.
    command += ["--nolock", "--rerun-incomplete", "--keep-going", "--quiet", "all"]
    command += ["--config", *options.config] if options.config else []
    environment = {**os.environ, "DENF_GPU_SHARE": str(options.share)}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        stop(process)
        return False
    except BaseException:  # Ctrl-C or SIGTERM: the trainings save their states too
        stop(process)
        raise
    return True


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask Snakemake and its jobs to end, and wait until they have saved their states.

    Snakemake ends before its trainings do, since the shells between them end at once.
    """
    end = time.monotonic() + _GRACE_SECONDS
    with suppress(ProcessLookupError):  # the last process of the group has ended
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < end:
            process.poll()  # collects it, so that it no longer counts
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def release(runs: Sequence[Run], out: Path | None) -> None:
    """Copy finished runs that were not copied yet to the folder for publication.

    `denf release` says which it refuses; the others are copied all the same.
    """
    for run in runs:
        if out is not None and run.finished and not run.released(out):
            command = ["denf", "release", str(run.folder), "--out", str(out)]
            subprocess.run(command, check=False)


def count(text: str) -> int:
    """A whole number of 1 or more, as the type of an option."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return int(text)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--configfile", type=Path, default=Path("config/reference.yaml"))
    parser.add_argument("--config", nargs="*", default=[], help="KEY=VALUE, as for Snakemake")
    parser.add_argument("--minutes", type=float, required=True, help="total time")
    parser.add_argument("--cores", type=count, default=os.cpu_count() or 1)
    parser.add_argument("--share", type=count, default=1, help="number of trainings at a time")
    parser.add_argument("--release", type=Path, help="folder for finished runs")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until the time is up or nothing is left; 0 when all runs are finished."""
    options = parse(arguments)
    deadline = time.monotonic() + 60 * options.minutes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs = runs_of(options.configfile, options.config)
    release(runs, options.release)  # those of earlier calls
    for portion in portions([run for run in runs if not run.finished], options.share):
        print("campaign:", *(run.folder for run in portion), flush=True)
        in_time = call_snakemake(portion, options, deadline)
        release(portion, options.release)
        if not in_time:
            break
    missing = [run for run in runs if not run.finished]
    for run in missing:
        print(f"campaign: not finished: {run.folder}", flush=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
