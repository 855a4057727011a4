"""`denf experiments` and `denf train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_protocol
from denf.cli.options import Data, Protocol, Share
from denf.errors import DivergenceError

app = typer.Typer()


@app.command()
def experiments(
    folder: Annotated[Path, typer.Argument(help="Folder of experiment files.")],
    protocol: Protocol = None,
    configfile: Annotated[
        list[Path] | None,
        typer.Option(help="File that the protocol was read from, checked for repeated keys."),
    ] = None,
    plan: Annotated[Path, typer.Option(help="Folder of the resolved experiments.")] = Path(
        "results/.plan"
    ),
) -> None:
    """Resolve and check all experiment files, and write the resolved ones to --plan.

    Prints them as JSON, with a hash of the source files that each command depends on.
    """
    from denf.harness.plan import make_plan

    for file in configfile or []:
        read_protocol(file)
    files = configfile or ([protocol] if protocol else [])
    typer.echo(
        json.dumps(
            make_plan(folder, read_protocol(protocol), plan, where=", ".join(map(str, files)))
        )
    )


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="An experiment file.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Run folder.")],
    seed: Annotated[int, typer.Option(help="Seed of parameters, batches and noise.", min=0)] = 0,
    resume: Annotated[bool, typer.Option(help="Continue from the last saved state.")] = False,
    set_: Annotated[list[str], typer.Option("--set", help="key.subkey=value, repeatable.")] = [],  # noqa: B006
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
        int, typer.Option(help="Number of validation scenes, the first ones.", min=1)
    ] = 32,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Save the state and stop after this many minutes.", min=0),
    ] = None,
    keep_diverged: Annotated[
        bool, typer.Option(help="Exit with 0 when a loss is not finite; run.json records it.")
    ] = False,
    inputs_hash: Annotated[
        str | None, typer.Option(help="Refuse an experiment with another hash (denf experiments).")
    ] = None,
    share: Share = 1,
) -> None:
    """Train one experiment with one seed.

    Writes model.safetensors, experiment.yaml, history.csv and run.json, and prints run.json. The
    state is saved every few minutes, on SIGTERM or Ctrl-C and after --max-minutes; --resume
    continues from it with the result of an uninterrupted run. The state is in `.state` beside the
    run folder and may be moved to another machine.
    """
    from denf.data.prepared import open_verified
    from denf.harness.changes import check_changes
    from denf.harness.experiment import load_experiment
    from denf.harness.learning_curve import choose_scenes
    from denf.harness.lease import gpu_lease
    from denf.harness.plan import check_inputs
    from denf.run_folder import read_record

    check_changes(set_)
    resolved = load_experiment(experiment, read_protocol(protocol), set_)
    if inputs_hash is not None:
        check_inputs(resolved, inputs_hash, where=str(experiment))
    prepared = open_verified(data)
    scored = None
    if validation is not None:
        scored = choose_scenes(open_verified(validation), validation_scenes, size=prepared.size)
    status = read_record(out, "run.json").get("status")
    if status == "finished" or (status and not resume):
        typer.echo(f"denf: {out} holds a {status} run: the training starts over", err=True)
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
