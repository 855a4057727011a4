"""The commands of the suite: thin, typed, and quick to start (torch is imported late).

Results go to standard output as JSON, progress and warnings to standard error. Exit status: 0,
1 for a failure of the machine (a full disk), 2 for a mistake the user can mend, 3 for a training
that diverged, 130 after an interruption.
"""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denf.border import border
from denf.errors import DenfError, DivergenceError
from denf.reading import read_json

if TYPE_CHECKING:
    import torch

    from denf.data.multi_objects import ObjectsFile

app = typer.Typer(
    help="DeNF: unsupervised scene decomposition with normalizing flows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
data_app = typer.Typer(
    help="Bring data into the prepared format, or render it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")

Out = Annotated[Path, typer.Option(help="Folder to make; must not exist.")]
OutFile = Annotated[Path, typer.Option(help="File to write.")]
Run = Annotated[Path, typer.Argument(help="A run folder, results/reference/<name> included.")]
Data = Annotated[Path, typer.Option(help="A prepared folder.")]
Size = Annotated[int, typer.Option(help="Side of the square images in pixels.", min=8)]
Licence = Annotated[str, typer.Option(help="Licence of the images, kept in dataset.json.")]
SplitRecords = Annotated[
    str | None, typer.Option(help="Records of this split.", metavar="START:STOP[:SCENES]")
]
Tfrecord = Annotated[Path, typer.Option(help="The published file, gzipped or not.")]
Splits = Annotated[Path, typer.Option(help="Folder of the splits.")]
PublishedSize = Annotated[
    int | None, typer.Option(help="Side in pixels; default: the set's own.", min=8)
]
Workers = Annotated[int, typer.Option(help="Threads; any number gives the same files.", min=1)]
Protocol = Annotated[
    Path | None, typer.Option(help="Configuration whose overrides apply, as config/config.yaml.")
]

Runs = Annotated[Path, typer.Option(help="Folder of runs.")]
Listing = Annotated[
    Path | None,
    typer.Option(help="JSON list of the rows to show; default: whatever was run."),
]


class SceneKind(StrEnum):
    """Embedded scenes."""

    CLEVR6 = "clevr6"
    TRAFFIC = "traffic"


class SpritesName(StrEnum):
    """Variants of Multi-dSprites."""

    BINARIZED = "binarized"
    COLORED_ON_GRAYSCALE = "colored_on_grayscale"
    COLORED_ON_COLORED = "colored_on_colored"


class RoomName(StrEnum):
    """Files of Objects Room."""

    TRAIN = "train"
    EMPTY_ROOM = "empty_room"
    SIX_OBJECTS = "six_objects"
    IDENTICAL_COLOR = "identical_color"


class ClevrtexName(StrEnum):
    """CLEVRTEX and its variants."""

    FULL = "full"
    OUTD = "outd"
    PBG = "pbg"
    VBG = "vbg"
    GRASSBG = "grassbg"
    CAMO = "camo"


class CropName(StrEnum):
    """What is kept of a picture."""

    CENTRE = "centre"
    WHOLE = "whole"


class ExtractorName(StrEnum):
    """Feature spaces of the Fréchet distance."""

    INCEPTION = "inception-v3-compat"
    RANDOM_CONV = "random-conv-v1"


class BenchCase(StrEnum):
    """What `denf bench` can time."""

    ALL = "all"
    UNION = "union"
    ARI = "ari"
    RENDER = "render"
    CLEVR6 = "clevr6"
    METHODS = "methods"


@data_app.command()
def render(
    kind: Annotated[SceneKind, typer.Argument(help="Which scenes.")],
    count: Annotated[int, typer.Option(help="Number of scenes.", min=1)],
    out: Out,
    size: Size = 64,
    seed: Annotated[int, typer.Option(help="With the scene's number, its only seed.")] = 0,
    split: Annotated[str, typer.Option(help="Name of the split in dataset.json.")] = "train",
    workers: Annotated[int, typer.Option(help="Processes; any number gives one set.")] = 1,
    empty: Annotated[
        bool, typer.Option("--empty", help="Render each scene without its objects as well.")
    ] = False,
) -> None:
    """Render embedded scenes with exact masks and factors."""
    from denf.data.scenes.render import render as render_scenes

    render_scenes(
        kind.value,
        count=count,
        size=size,
        seed=seed,
        out=out,
        split=split,
        workers=workers,
        empty=empty,
    )


@data_app.command()
def clevr6(
    tfrecord: Tfrecord,
    out: Splits,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare CLEVR6 from the published CLEVR (with masks) file.

    Every split takes a range of records, START:STOP or START:STOP:SCENES, or the word none. By
    default, records 0:70000 train, the first 320 scenes of 70000:85000 test, 85000: validate.
    """
    from denf.data.multi_objects_files import CLEVR6

    _prepare_objects(CLEVR6, tfrecord, out, size, (train, val, test), workers)


@data_app.command()
def clevr10(
    tfrecord: Tfrecord,
    out: Splits,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare CLEVR10: as CLEVR6, scenes of more than six objects included."""
    from denf.data.multi_objects_files import CLEVR10

    _prepare_objects(CLEVR10, tfrecord, out, size, (train, val, test), workers)


@data_app.command("multi-dsprites")
def multi_dsprites(
    tfrecord: Tfrecord,
    out: Splits,
    variant: Annotated[SpritesName, typer.Option(help="Which of the files.")],
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare a variant of Multi-dSprites from its published file.

    By default, records 0:60000 train, the first 320 of 60000:62000 test, 62000:64000 validate.
    """
    from denf.data.multi_objects_files import MULTI_DSPRITES, Sprites

    file = MULTI_DSPRITES[Sprites(variant.value)]
    _prepare_objects(file, tfrecord, out, size, (train, val, test), workers)


@data_app.command()
def tetrominoes(
    tfrecord: Tfrecord,
    out: Splits,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare Tetrominoes from its published file; splits as of multi-dsprites."""
    from denf.data.multi_objects_files import TETROMINOES

    _prepare_objects(TETROMINOES, tfrecord, out, size, (train, val, test), workers)


@data_app.command("objects-room")
def objects_room(
    tfrecord: Tfrecord,
    out: Splits,
    variant: Annotated[RoomName, typer.Option(help="Which of the files.")] = RoomName.TRAIN,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare Objects Room from one of its published files.

    Splits as of multi-dsprites; every file but the training one is all test. Sky, floor and walls
    are background.
    """
    from denf.data.multi_objects_files import OBJECTS_ROOM, Room

    file = OBJECTS_ROOM[Room(variant.value)]
    _prepare_objects(file, tfrecord, out, size, (train, val, test), workers)


@data_app.command()
def clevrtex(
    source: Annotated[Path, typer.Option(help="Folder of the unpacked archives, or a zip of it.")],
    out: Splits,
    variant: Annotated[ClevrtexName, typer.Option(help="Which of the sets.")] = ClevrtexName.FULL,
    size: Size = 128,
    workers: Workers = 1,
) -> None:
    """Prepare CLEVRTEX: the first tenth tests, the second validates; outd is all test."""
    from denf.data.clevrtex import Variant, prepare_clevrtex

    prepare_clevrtex(source, out, variant=Variant(variant.value), size=size, workers=workers)


@data_app.command("real-traffic")
def real_traffic(
    source: Annotated[Path, typer.Option(help="Folder or zip of the videos' frames.")],
    out: Splits,
    size: Size = 128,
    workers: Workers = 1,
    gap: Annotated[int, typer.Option(help="Frames left out at the splits' border.", min=0)] = 0,
    train_videos: Annotated[
        int | None, typer.Option(help="With --test-videos; default: the paper's, or 80 %.", min=1)
    ] = None,
    test_videos: Annotated[
        int | None, typer.Option(help="The last so many videos test.", min=1)
    ] = None,
    name: Annotated[str, typer.Option(help="Of the data set.")] = "real-traffic",
    licence: Licence = "not stated by its authors",
) -> None:
    """Prepare Real-Traffic, or any fixed-camera footage cut into clips."""
    from denf.data.real_traffic import VideoSplit, prepare_real_traffic

    split = None
    if train_videos is not None and test_videos is not None:
        split = VideoSplit(train_videos, test_videos)
    elif train_videos is not None or test_videos is not None:
        raise DenfError(
            "--train-videos and --test-videos",
            expected="both or none",
            got="one of them",
            fix="Give the other number too.",
        )
    prepare_real_traffic(
        source, out, size=size, split=split, gap=gap, workers=workers, name=name, licence=licence
    )


@data_app.command()
def folder(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    out: Out,
    masks: Annotated[Path | None, typer.Option(help="Folder of label images, same names.")] = None,
    size: Annotated[int | None, typer.Option(help="Side in pixels; default: as it is.")] = None,
    crop: Annotated[
        CropName, typer.Option(help="The centred square, or the whole frame squeezed to one.")
    ] = CropName.CENTRE,
    first: Annotated[
        int, typer.Option(help="Number of the first image; negative: from the end.")
    ] = 0,
    count: Annotated[int | None, typer.Option(help="So many images; default: the rest.")] = None,
    max_objects: Annotated[int, typer.Option(help="Highest label in a mask.")] = 254,
    split: Annotated[str, typer.Option(help="Name of the split in dataset.json.")] = "train",
    name: Annotated[
        str | None, typer.Option(help="Of the data set; default: the folder's.")
    ] = None,
    licence: Licence = "not stated",
) -> None:
    """Prepare your own images, with masks where you have them."""
    from denf.data.folder import prepare_folder

    prepare_folder(
        images,
        out,
        masks=masks,
        size=size,
        crop=crop.value,
        first=first,
        count=count,
        max_objects=max_objects,
        split=split,
        name=name,
        licence=licence,
    )


@data_app.command()
def fetch(
    url: Annotated[str, typer.Argument(help="Address of the file.")],
    out: OutFile,
    sha256: Annotated[
        str | None, typer.Option(help="Expected checksum; default: as it was first fetched.")
    ] = None,
    size: Annotated[int | None, typer.Option("--bytes", help="Expected length.", min=0)] = None,
    mirror: Annotated[
        str | None, typer.Option(help="Folder, file or address to take it from instead.")
    ] = None,
) -> None:
    """Download a file: resumable, checked, renamed when complete.

    Without --sha256 the first fetch writes checksum and length to OUT.pinned.json, and every later
    one must give the same file. A file of this machine is linked, not copied.
    """
    from denf.data.download import download

    download(url, out, sha256=sha256, size=size, mirror=mirror)


@data_app.command()
def card(
    folders: Annotated[list[Path], typer.Argument(help="Prepared splits of one data set.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
) -> None:
    """Draw the card of a data set: facts, counts, mean images, examples.

    Examples are of the first folder; prints the file's name.
    """
    from denf.report.card import write_card

    typer.echo(write_card(folders, out))


@app.command()
def experiments(
    folder: Annotated[Path, typer.Argument(help="Folder of experiment files.")],
    protocol: Protocol = None,
    cache: Annotated[Path, typer.Option(help="Folder that remembers checked settings.")] = Path(
        "results/.validated"
    ),
) -> None:
    """Resolve and check all experiment files.

    Prints them as JSON, with a hash of the source files that each command depends on.
    """
    from denf.harness.experiment import load_experiments
    from denf.harness.lease import count_cards
    from denf.harness.registry import Purpose, code_hash

    resolved = load_experiments(folder, _read_protocol(protocol), cache)
    methods = sorted({e.method for e in resolved})
    code: dict[str, Any] = {
        purpose.name.lower(): {m: code_hash(purpose, m) for m in methods}
        for purpose in (Purpose.TRAIN, Purpose.EVALUATE, Purpose.FID)
    }
    for purpose in (Purpose.RENDER, Purpose.TABLES, Purpose.FIGURES, Purpose.CARD):
        code[purpose.name.lower()] = code_hash(purpose)
    listing = {
        "experiments": [e.as_dict() for e in resolved],
        "code": code,
        "cards": count_cards(),
    }
    typer.echo(json.dumps(listing))


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="An experiment file.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Run folder.")],
    seed: Annotated[int, typer.Option(help="Of parameters, batches and noise.", min=0)] = 0,
    resume: Annotated[bool, typer.Option(help="Continue from the last saved state.")] = False,
    set_: Annotated[list[str], typer.Option("--set", help="key.subkey=value, repeatable.")] = [],  # noqa: B006
    protocol: Protocol = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Run to start from, for an experiment with the key `weights`."),
    ] = None,
    keep_diverged: Annotated[
        bool, typer.Option(help="Exit with 0 when a loss is not finite; run.json says so.")
    ] = False,
) -> None:
    """Train one experiment with one seed.

    Writes model.safetensors, experiment.yaml, history.csv and run.json, and prints the last. The
    state is saved every few minutes and on SIGTERM or Ctrl-C; --resume continues from it with the
    result of an uninterrupted run.
    """
    from denf.data.prepared import open_verified
    from denf.harness.experiment import load_experiment
    from denf.harness.lease import gpu_lease

    resolved = load_experiment(experiment, _read_protocol(protocol), set_)
    prepared = open_verified(data)
    with gpu_lease():
        from denf.harness.train import train as run_training

        try:
            run_training(resolved, prepared, out, seed=seed, resume=resume, weights=weights)
        except DivergenceError as error:
            if not keep_diverged:
                raise
            typer.echo(f"denf: {error}", err=True)
    typer.echo((out / "run.json").read_text().strip())


@app.command()
def evaluate(
    run: Run,
    data: Data,
    out: OutFile,
    scores: Annotated[Path | None, typer.Option(help="CSV of scores, one row a scene.")] = None,
    panels: Annotated[Path | None, typer.Option(help="NPZ of arrays for the figures.")] = None,
    panel_count: Annotated[int, typer.Option(help="Scenes in --panels.", min=1)] = 8,
    batch_size: Annotated[int, typer.Option(help="Scenes at a time.", min=1)] = 32,
) -> None:
    """Score a run: ARI, boxes, numbers of objects, backgrounds, reconstructions, density.

    The adjusted Rand index comes in three forms: ari_fg (true objects, no predicted background),
    ari_fg_strict (true objects, a predicted background counts as a segment), ari (all pixels).
    Backgrounds are compared with the same scenes without their objects, where the data have these
    (`denf data render --empty`). Statistics are over scenes.
    """
    from denf.data.prepared import open_verified
    from denf.files import write_atomically
    from denf.harness import evaluate as room
    from denf.harness.checkpoint import load_run

    prepared = open_verified(data)
    method, _ = load_run(run, _device())
    summary, rows = room.evaluate(method, prepared, batch_size=batch_size)
    if panels is not None:
        panels.parent.mkdir(parents=True, exist_ok=True)
        room.save_panels(room.panels(method, prepared, panel_count), panels)
    if scores is not None:
        scores.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(scores, room.rows_as_csv(rows))
    about = {**room.describe_run(run, method), "data": room.describe_data(prepared)}
    _publish({**summary, **about}, out)


@app.command()
def fid(
    run: Run,
    data: Annotated[Path, typer.Option(help="Prepared test images, the reference.")],
    out: OutFile,
    source: Annotated[
        Path | None, typer.Option(help="Prepared training images: to recompose, and for the floor.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Number of images on each side.", min=2)] = 10000,
    extractor: Annotated[
        ExtractorName, typer.Option(help="random-conv-v1 needs no weights.")
    ] = ExtractorName.INCEPTION,
    weights: Annotated[Path | None, typer.Option(help="Inception weights, if not cached.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.", min=0)] = 0,
) -> None:
    """Measure the Fréchet distance of samples to test images.

    Samples come from the prior or, where a method's paper generates so (DeNF), are the images of
    --source with a random subset of their objects kept. Beside the distance stand those of parts
    of the samples and of the source itself, the kernel distance, precision and recall. Numbers of
    different extractors do not compare.
    """
    from denf.data.prepared import open_verified
    from denf.harness import evaluate as room
    from denf.harness.checkpoint import load_run
    from denf.metrics.features import Extractor
    from denf.metrics.generation import compare

    reference = open_verified(data)
    start = None if source is None else open_verified(source)
    device = _device()
    method, _ = load_run(run, device)
    begin = start if method.starts_from_images else None
    images, mode = room.generate(method, samples, source=begin, seed=seed)
    result = compare(
        images,
        reference.images[:samples],
        training=None if start is None else start.images,
        extractor=Extractor(extractor.value),
        weights=weights,
        device=device,
    )
    described = {
        **dataclasses.asdict(result),
        "mode": mode.value,
        "seed": seed,
        **room.describe_run(run, method),
        "data": room.describe_data(reference),
        "recomposed_from": None if begin is None else room.describe_data(begin),
    }
    _publish(described, out)


@app.command()
def sample(
    run: Run,
    count: Annotated[int, typer.Option(help="Number of images.", min=1)],
    out: Out,
    source: Annotated[
        Path | None, typer.Option(help="Prepared images to recompose; default: the prior.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.", min=0)] = 0,
) -> None:
    """Write generated images as PNG files."""
    from PIL import Image

    from denf.data.prepared import open_verified
    from denf.harness import evaluate as room
    from denf.harness.checkpoint import load_run

    _refuse_existing(out)
    start = None if source is None else open_verified(source)
    method, _ = load_run(run, _device())
    images, mode = room.generate(method, count, source=start, seed=seed)
    out.mkdir(parents=True)
    for k, image in enumerate(images):
        Image.fromarray(image).save(out / f"{k:06d}.png")
    typer.echo(json.dumps({"count": len(images), "mode": mode.value, "out": str(out)}))


@app.command()
def decompose(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Pictures to decompose.")],
    out: Annotated[Path, typer.Option(help="Folder; one subfolder per picture.")],
) -> None:
    """Decompose your own pictures into background and objects.

    Writes an overlay of outlines and boxes, a label map, the background, one picture of each object
    on it, and objects.json; prints what was found as JSON. The largest centred square of a picture
    is taken.
    """
    from denf.harness.checkpoint import load_run
    from denf.pictures import decompose_pictures

    method, _ = load_run(run, _device())
    typer.echo(json.dumps(decompose_pictures(method, images, out), indent=2))


@app.command()
def tables(
    runs: Runs = Path("results/runs"),
    listing: Listing = None,
    literature: Annotated[Path, typer.Option(help="Reported numbers.")] = Path(
        "baselines/literature.yaml"
    ),
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("results/tables"),
) -> None:
    """Write Tables 1-3, reported beside reproduced.

    Each as CSV, Markdown and LaTeX; prints the files' names.
    """
    from denf.report.tables import write_tables

    for path in write_tables(runs, literature, out, experiments=_read_listing(listing)):
        typer.echo(path)


@app.command()
def figures(
    runs: Runs = Path("results/runs"),
    listing: Listing = None,
    out: Annotated[Path, typer.Option(help="Folder of the figures.")] = Path("results/figures"),
    name: Annotated[list[str] | None, typer.Option(help="One figure; default: all.")] = None,
) -> None:
    """Draw figures 3-6, training curves and ARI distributions.

    Each as PNG and PDF; prints the files' names.
    """
    from denf.report.figures import write_figures

    for path in write_figures(runs, out, names=name, experiments=_read_listing(listing)):
        typer.echo(path)


@app.command()
def bench(
    case: Annotated[BenchCase, typer.Argument(help="What to time.")] = BenchCase.ALL,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    tfrecord: Annotated[
        Path | None, typer.Option(help="CLEVR (with masks) for clevr6; default: a synthetic file.")
    ] = None,
    experiments: Annotated[Path, typer.Option(help="Experiment files for methods.")] = Path(
        "config/experiments"
    ),
    protocol: Annotated[
        Path, typer.Option(help="Their settings and image sizes; config/paper.yaml on a GPU.")
    ] = Path("config/config.yaml"),
) -> None:
    """Time and weigh what must be fast; one JSON line a case, or a method.

    The case methods times a training step of every method: images a second, and memory.
    """
    from denf.bench import run_cases

    lines = run_cases(
        case.value,
        threads,
        tfrecord=tfrecord,
        experiments=experiments,
        protocol=_read_protocol(protocol),
        device=_device(),
    )
    for line in lines:
        typer.echo(json.dumps(line))


def main() -> None:
    """Entry point: errors become one line and an exit status; see `denf.border`."""
    with border():
        app(prog_name="denf")


def _device() -> torch.device:
    from denf.harness.checkpoint import best_device

    return best_device()


def _prepare_objects(
    file: ObjectsFile,
    tfrecord: Path,
    out: Path,
    size: int | None,
    records: tuple[str | None, str | None, str | None],
    workers: int,
) -> None:
    from denf.data.multi_objects import prepare_objects
    from denf.data.record_splits import RecordRange

    ranges = {
        split: None if text == "none" else RecordRange.parse(text)
        for split, text in zip(("train", "val", "test"), records, strict=True)
        if text is not None
    }
    prepare_objects(file, tfrecord, out, size=size, ranges=ranges, workers=workers)


def _read_protocol(path: Path | None) -> dict[str, Any]:
    from denf.yaml_reader import read_mapping

    if path is None:
        return {}
    values = read_mapping(path, what="configuration", fix="See config/README.md.")
    if "protocol" not in values:
        raise _unreadable(path, "a configuration with the key `protocol`", sorted(map(str, values)))
    return values


def _read_listing(path: Path | None) -> list[dict[str, Any]] | None:
    if path is None:
        return None
    expected = "a list of experiments in JSON"
    rows = read_json(path, expected=expected, fix="Check the path and the file.")
    if not isinstance(rows, list) or not all(isinstance(r, dict) and "name" in r for r in rows):
        raise _unreadable(path, expected, type(rows).__name__)
    return rows


def _unreadable(path: Path, expected: str, got: object) -> DenfError:
    return DenfError(str(path), expected=expected, got=got, fix="Check the path and the file.")


def _refuse_existing(out: Path) -> None:
    """Said before the work, not after it."""
    if out.exists():
        raise DenfError(
            f"output folder {out}",
            expected="a path that does not exist",
            got="an existing one",
            fix="Choose another --out or remove it.",
        )


def _publish(result: dict[str, Any], out: Path) -> None:
    from denf.files import write_atomically

    text = json.dumps(result, indent=2) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text)
    typer.echo(text.strip())
