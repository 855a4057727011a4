"""`denf experiments` and `denf train`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_protocol
from denf.cli.options import Data, Protocol, Seed, Share, output_folder
from denf.errors import DivergenceError

app = typer.Typer()


@app.command()
def experiments(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of experiment files; default: the protocol's.")
    ] = None,
    protocol: Protocol = None,
    configfile: Annotated[
        list[Path] | None,
        typer.Option(help="File of the protocol, checked for repeated keys; repeatable."),
    ] = None,
    plan: Annotated[Path, typer.Option(help="Folder of the resolved experiments.")] = Path(
        "results/.plan"
    ),
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="Do not look for the files of data sets.")
    ] = False,
) -> None:
    """Resolve and check all experiment files, and write the resolved ones to --plan.

    Prints the plan as JSON, with a hash of the source files that each command depends on.
    """
    from denf.harness.plan import make_plan
    from denf.harness.protocol import effective_protocol

    values, where = effective_protocol(protocol, configfile or [], sys.stdin)
    found = make_plan(folder, values, plan, where=where, elsewhere=elsewhere)
    typer.echo(json.dumps(found))


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="An experiment file.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run.", callback=output_folder)],
    seed: Seed = 0,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--restart",
            help="Continue from the last saved state, or start over; without either, a training "
            "that has a saved state is refused.",
        ),
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="Change of a value, key.subkey=value; repeatable.")
    ] = [],  # noqa: B006
    protocol: Protocol = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Run to start from, for an experiment with the key `weights`."),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="Prepared scenes, with masks, for the learning curve of foreground ARI."),
    ] = None,
    validation_scenes: Annotated[
        int, typer.Option(help="Number of scenes of --validation, from the first on.", min=1)
    ] = 32,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Stop after this many minutes and save the state.", min=0),
    ] = None,
    keep_diverged: Annotated[
        bool, typer.Option(help="Exit with 0 if a loss is not finite; run.json records it.")
    ] = False,
    inputs_hash: Annotated[
        str | None,
        typer.Option(
            help="Refuse an experiment with another hash than this one of `denf experiments`."
        ),
    ] = None,
    share: Share = 1,
) -> None:
    """Train one experiment with one seed.

    Writes model.safetensors, experiment.yaml, history.csv and run.json, and prints run.json. The
    state is saved every few minutes, on SIGTERM or Ctrl-C, and after --max-minutes. --resume
    continues from it, with the same result as an uninterrupted run, and leaves a finished run as it
    is. The state is in `.state` beside the run folder and may be copied to another machine. A run
    of other settings in --out is replaced when the training has finished.
    """
    from denf.data.prepared import open_verified
    from denf.harness.earlier import check_run_folder
    from denf.harness.experiment import load_experiment
    from denf.harness.learning_curve import choose_scenes
    from denf.harness.lease import gpu_lease
    from denf.harness.plan import check_inputs

    check_run_folder(out, weights)
    resolved = load_experiment(experiment, read_protocol(protocol), set_)
    if inputs_hash is not None:
        check_inputs(resolved, inputs_hash, where=str(experiment))
    prepared = open_verified(data)
    scored = None
    if validation is not None:
        scored = choose_scenes(open_verified(validation), validation_scenes, training=prepared)
    with gpu_lease(share=share):
        from denf.harness.train import train as run_training

        try:
            run_training(
                resolved,
                prepared,
                out,
                seed=seed,
                resume=resume,
                weights=weights,
                validation=scored,
                max_minutes=max_minutes,
            )
        except DivergenceError as error:
            if not keep_diverged:
                raise
            typer.echo(f"denf: {error}", err=True)
    typer.echo((out / "run.json").read_text().strip())
