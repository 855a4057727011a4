"""`denf evaluate`, `denf fid` and `denf sample`: scores and samples of a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import publish
from denf.cli.options import Data, Out, OutFile, Run, Seed, Share, output_file
from denf.errors import DenfError
from denf.metrics.extractor import Extractor

app = typer.Typer()
OtherSize = Annotated[
    bool,
    typer.Option("--other-size", help="Allow scenes of another size than the run was trained on."),
]


@app.command()
def evaluate(
    run: Run,
    data: Data,
    out: OutFile,
    scores: Annotated[
        Path | None,
        typer.Option(help="CSV file for the scores of every scene.", callback=output_file),
    ] = None,
    panels: Annotated[
        Path | None,
        typer.Option(help="NPZ file for the arrays of the figures.", callback=output_file),
    ] = None,
    panel_count: Annotated[int, typer.Option(help="Number of scenes in --panels.", min=1)] = 8,
    batch_size: Annotated[int, typer.Option(help="Scenes per batch.", min=1)] = 32,
    other_size: OtherSize = False,
    share: Share = 1,
) -> None:
    """Score a run: ARI, boxes, numbers of objects, backgrounds, reconstructions, density.

    The adjusted Rand index has three forms: ari_fg (pixels of true objects, no predicted
    background), ari_fg_strict (pixels of true objects, a predicted background is one more cluster),
    ari (all pixels). Backgrounds are compared with the same scenes without their objects, if the
    data have these (`denf data render --empty`). Statistics are over scenes. Tables refuse scores
    at another size than that of the training.
    """
    from denf.data.prepared import open_verified
    from denf.files import write_atomically
    from denf.harness import evaluate as evaluation
    from denf.harness import measured
    from denf.harness import panels as pictures
    from denf.harness.checkpoint import best_device, load_run
    from denf.harness.lease import gpu_lease

    _check_outputs(
        run,
        [data],
        {
            "--out": (out, "metrics.json"),
            "--scores": (scores, "scores.csv"),
            "--panels": (panels, "panels.npz"),
        },
    )
    prepared = open_verified(data)
    if not other_size:
        measured.check_size(run, prepared)
    with gpu_lease(share=share):
        method, _ = load_run(run, best_device())
        summary, rows = evaluation.evaluate(method, prepared, batch_size=batch_size)
        if panels is not None:
            panels.parent.mkdir(parents=True, exist_ok=True)
            pictures.save_panels(pictures.panels(method, prepared, panel_count), panels)
    if scores is not None:
        scores.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(scores, evaluation.rows_as_csv(rows))
    about = {**measured.describe_run(run, method), "data": measured.describe_data(prepared)}
    publish({**summary, **about}, out)


@app.command()
def fid(
    run: Run,
    data: Annotated[Path, typer.Option(help="Prepared test images, the reference.")],
    out: OutFile,
    source: Annotated[
        Path | None, typer.Option(help="Prepared training images, to recompose and to compare.")
    ] = None,
    samples: Annotated[
        int,
        typer.Option(help="Number of samples, and of test images (evenly spread) at most.", min=2),
    ] = 10000,
    extractor: Annotated[
        Extractor, typer.Option(help="Feature space; random-conv-v1 needs no weights.")
    ] = Extractor.INCEPTION,
    weights: Annotated[
        Path | None, typer.Option(help="File of the Inception weights; default: cache or download.")
    ] = None,
    seed: Seed = 0,
    other_size: OtherSize = False,
    share: Share = 1,
) -> None:
    """Measure the Fréchet distance of samples to test images.

    Samples come from the prior. For methods whose paper generates by recomposition (DeNF), they are
    the images of --source with a random subset of their objects. The result also has the distances
    for fewer samples and for the images of --source, the kernel distance, precision and recall.
    Values of different extractors cannot be compared.
    """
    from denf.data.prepared import open_verified
    from denf.evenly import some_of
    from denf.harness import measured
    from denf.harness.checkpoint import best_device, load_run
    from denf.harness.generate import generate
    from denf.harness.lease import gpu_lease
    from denf.metrics.fid import FeatureSpace
    from denf.metrics.generation import compare

    _check_outputs(run, [data, source, weights], {"--out": (out, "fid.json")})
    if weights is not None and not extractor.reads_weights:
        raise DenfError(
            f"--weights {weights}",
            expected=f"none with --extractor {extractor}",
            got="a file",
            fix=f"Leave --weights out, or choose {Extractor.INCEPTION}.",
        )
    reference = open_verified(data)
    start = None if source is None else open_verified(source)
    if not other_size:
        measured.check_size(run, reference)
        measured.check_size(run, start)
    with gpu_lease(share=share):
        device = best_device()
        method, _ = load_run(run, device)
        # before the samples, which take long, so that missing or damaged weights are found first
        space = FeatureSpace(extractor, weights=weights, device=device)
        begin = start if method.starts_from_images else None
        images, mode = generate(method, samples, source=begin, seed=seed)
        result = compare(
            images,
            some_of(reference.images, samples),
            space=space,
            training=None if start is None else start.images,
        )
    described = {
        **dataclasses.asdict(result),
        "mode": mode.value,
        "seed": seed,
        **measured.describe_run(run, method),
        "data": measured.describe_data(reference),
        "recomposed_from": None if begin is None else measured.describe_data(begin),
    }
    publish(described, out)


@app.command()
def sample(
    run: Run,
    count: Annotated[int, typer.Option(help="Number of images.", min=1)],
    out: Out,
    source: Annotated[
        Path | None, typer.Option(help="Prepared images to recompose; default: sample the prior.")
    ] = None,
    seed: Seed = 0,
    other_size: OtherSize = False,
    share: Share = 1,
) -> None:
    """Write generated images as PNG files."""
    from PIL import Image

    from denf.data.prepared import open_verified
    from denf.files import atomic_path
    from denf.harness import measured
    from denf.harness.checkpoint import best_device, load_run
    from denf.harness.generate import generate
    from denf.harness.lease import gpu_lease

    _check_outputs(run, [source], {"--out": (out, "")})
    start = None if source is None else open_verified(source)
    if not other_size:
        measured.check_size(run, start)
    with gpu_lease(share=share):
        method, _ = load_run(run, best_device())
        images, mode = generate(method, count, source=start, seed=seed)
    out.mkdir(parents=True)
    for k, image in enumerate(images):
        with atomic_path(out / f"{k:06d}.png") as temporary:
            Image.fromarray(image).save(temporary, "PNG")
    typer.echo(json.dumps({"count": len(images), "mode": mode.value, "out": str(out)}))


def _check_outputs(
    run: Path, inputs: Sequence[Path | None], outputs: Mapping[str, tuple[Path | None, str]]
) -> None:
    """Refuse outputs that would replace an input, a file of the run, or one another.

    Args:
        run: the run folder.
        inputs: other files, and folders of prepared data.
        outputs: by option, the path and the only file of a run folder that it may replace.
    """
    from denf.run_folder import SCORED, TRAINED

    written: dict[Path, str] = {}
    for option, (path, own) in outputs.items():
        if path is None:
            continue
        files = [run / name for name in (*TRAINED, *SCORED) if name != own]
        place = path.resolve()
        used = [p for p in (*files, *inputs) if p and p.resolve() in (place, *place.parents)]
        first = written.setdefault(place, option)
        if used or first != option:
            raise DenfError(
                f"{option} {path}",
                expected="a file of its own",
                got=f"that of {first}" if first != option else f"a place in use: {used[0]}",
                fix=f"Choose another {option}.",
            )
