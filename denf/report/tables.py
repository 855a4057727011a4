"""Tables 1 to 3: reported and reproduced numbers side by side, for programs and for people.

`table<n>.csv` has one line per method and the columns of `COLUMNS`, in full precision;
`table<n>.md` and `table<n>.tex` have one decimal; `columns.csv` explains the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from denf.files import write_atomically
from denf.report.budget import starts_from
from denf.report.lines import SIDE_METRICS, Line, data_of, data_sets, join, lines_of
from denf.report.literature import PaperTable, load_literature
from denf.report.loading import load_rows
from denf.report.markup import spreadsheet_text, to_latex, to_markdown
from denf.report.records import Metric
from denf.report.reference import load_references
from denf.report.sheets import COSTS, GENERATION, SCENE_COUNTS, protocols, provenance, sheet_of

SIDE_MEANINGS: Mapping[Metric, str] = {
    Metric.ARI_FG_STRICT: "foreground ARI with a predicted background as one more cluster",
    Metric.ARI: "ARI over all pixels",
    Metric.ARI_FG_TOUCHING: "foreground ARI, scenes in which two objects come within 2 pixels",
    Metric.ARI_FG_APART: "foreground ARI, all other scenes",
    Metric.BOX_IOU: "overlap of predicted boxes with the visible extents of their objects, × 100",
    Metric.COUNT_RIGHT: "percentage of scenes with the right number of objects",
    Metric.COUNT_TOO_FEW: "percentage of scenes with too few objects",
    Metric.COUNT_TOO_MANY: "percentage of scenes with too many objects",
    Metric.COUNT_ERROR: "absolute error of the number of objects, mean over scenes, in objects",
    Metric.COVERAGE: "percentage of an object's pixels that are not predicted to be background",
    Metric.COVERAGE_WORST_TENTH: "coverage of the tenth of all objects that is covered least, in "
    "percent",
    Metric.BACKGROUND_PSNR: "PSNR of the generated background against the scene rendered without "
    "its objects, in dB, mean over scenes",
    Metric.BACKGROUND_PSNR_POOLED: "the same PSNR of the mean squared error over all scenes, in dB",
    Metric.BACKGROUND_PSNR_OBJECTS: "background_psnr_mean over the pixels of objects only, in dB",
    Metric.BACKGROUND_PSNR_OBJECTS_POOLED: "background_psnr_pooled_mean over the pixels of objects "
    "only, in dB",
    Metric.KID: "kernel distance: squared maximum mean discrepancy, unbiased in the samples",
    Metric.PRECISION: "fraction of the samples within the real images, in [0, 1]",
    Metric.RECALL: "fraction of the real images within the samples, in [0, 1]",
}


def _side_columns(table: Metric) -> dict[str, str]:
    """Columns of a table's further metrics and their meanings."""
    return {
        f"{metric}_{part}": text
        for metric in SIDE_METRICS[table]
        for part, text in (
            ("mean", SIDE_MEANINGS[metric]),
            ("std", "its standard deviation over seeds"),
        )
    }


COLUMNS: Mapping[str, str] = {
    "table": "number of the table",
    "block": "in the paper, not in the paper, or controls",
    "experiment": "name of the experiment",
    "method": "name of the method",
    "framework": "kind of model",
    "dataset": "folder name of the data set in the runs",
    "protocol": "protocol of the runs; only `paper` is compared with reported values",
    "metric": "metric of the line's numbers",
    "unit": "unit of the line's numbers, except in `values` and in columns that state another unit",
    "reported_mean": "the paper's mean",
    "reported_std": "the paper's standard deviation, empty where it gives none",
    "source": "where the reported value was read",
    "citation": "bibtex key in baselines/literature.yaml",
    "reported_protocol": "how the reported value was measured",
    "state": "reproduced, not run, not scored, failed, no segmentation or no sampling",
    "mean": "mean over the seeds with a value",
    "std": "sample standard deviation over these seeds, empty for one seed",
    "n": "number of seeds with a value",
    "ci_low": "lower end of the 95 % t interval, empty below three seeds",
    "ci_high": "upper end of the same interval",
    "difference": "mean minus reported_mean, empty where the two may not be compared",
    "tolerance": "largest difference that is a match",
    "verdict": "match, above, below, not run, or — for no verdict",
    "no_verdict_because": "why values are not compared with reported ones",
    "notes": "notes of the methods on their trainings, such as a discriminator that won",
    "seeds": "all seeds requested or run",
    "failed_seeds": "seeds whose training diverged or whose value is not finite",
    "missing_seeds": "seeds that were not run or not scored, empty where no seed was run",
    "values": "seed=value for each seed with a value, as stored in its file",
    "files": "the files that the values were read from, in the same order",
    "commands": "the commands that made the runs",
    "commits": "code versions of the runs",
    "devices": "devices of the runs",
    "parameters": "numbers that training changes",
    "images_per_second": "speed of training, mean over the runs",
    "seconds": "time of training, mean over the runs",
    "after": "experiment whose weights the training starts from; `seconds` is on top of its time",
    "peak_memory_bytes": "memory of training: of the GPU, or of the process on a CPU, mean over "
    "the runs",
    "data": "data sets that the values were measured on",
    "data_sha256": "hashes of these data sets",
    **_side_columns(Metric.ARI_FG),
    "empty_scenes": "scenes without objects, which are left out of means of the foreground ARI",
    "one_object_scenes": "scenes with one object, whose foreground ARI is 1 where the object has "
    "one label and 0 otherwise",
    **_side_columns(Metric.FID),
    "reference_run_mean": "mean of a reference run, which comes with the repository; its data "
    "and budget may differ",
    "reference_run_n": "number of seeds of the reference run",
    "reference_run_budget": "training time and device of the reference run, which come after the "
    "training of another experiment where one is named",
    "reference_run_data": "data that the reference run was scored on",
    "floor": "FID of training images against the same test images",
    "extractor": "network whose features the FID compares",
    "samples": "number of generated images",
    "reference": "number of real images",
    "mode": "how the images were generated",
}
_SEGMENTATION = (*_side_columns(Metric.ARI_FG), *SCENE_COUNTS)
_GENERATION = (*_side_columns(Metric.FID), "floor", *GENERATION)


def write_tables(
    runs: Path | str,
    literature: Path | str,
    out: Path | str,
    *,
    references: Path | str = "results/reference",
    experiments: Sequence[Mapping[str, Any]] | None = None,
) -> list[Path]:
    """Write every table of the paper with reported and reproduced numbers.

    Args:
        runs: folder with `<dataset>/<experiment>/seed-<k>/`.
        literature: the reported numbers, `baselines/literature.yaml`.
        out: folder for the tables; created when missing.
        references: folder of reference runs; none are shown when it is missing.
        experiments: resolved experiments, one per line, shown even before they were run; see
            `denf.report.loading.load_rows`. None: all runs that exist.

    Returns:
        the files written: csv, md and tex of each table, and columns.csv.
    """
    rows, known = load_rows(runs, experiments), load_references(references)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for table in load_literature(literature):
        lines = lines_of(table, rows, known)
        sheet = sheet_of(table, lines)
        texts = {
            "csv": to_frame(table, lines).to_csv(index=False, lineterminator="\n"),
            "md": "\n".join((to_markdown(sheet), protocols(lines), provenance(lines))),
            "tex": to_latex(sheet),
        }
        for suffix, text in texts.items():
            written.append(out / f"table{table.number}.{suffix}")
            write_atomically(written[-1], text)
    written.append(out / "columns.csv")
    legend = pd.DataFrame(list(COLUMNS.items()), columns=["column", "meaning"])
    write_atomically(written[-1], legend.to_csv(index=False, lineterminator="\n"))
    return written


def to_frame(table: PaperTable, lines: Sequence[Line]) -> pd.DataFrame:
    """The table in full precision; `COLUMNS` describes the columns."""
    dropped = _SEGMENTATION if table.metric is Metric.FID else _GENERATION
    columns = [name for name in COLUMNS if name not in dropped]
    return pd.DataFrame([_cells(line) for line in lines], columns=columns, dtype=object)


def _cells(line: Line) -> dict[str, Any]:
    table, reported, summary = line.table, line.reported, line.summary
    values = [reading for reading in line.readings if reading.value is not None]
    cells: dict[str, Any] = {
        "table": table.number,
        "block": line.block,
        "experiment": line.name,
        "method": line.label,
        "framework": line.framework,
        "dataset": line.row.dataset if line.row else None,
        "protocol": line.row.protocol if line.row else None,
        "metric": table.metric,
        "unit": table.unit,
        "state": line.state,
        "tolerance": table.tolerance,
        "difference": line.difference,
        "verdict": line.verdict,
        "no_verdict_because": join(line.objections),
        "notes": join(line.notes),
        "floor": join(line.floors),
        "seeds": join(reading.seed for reading in line.readings),
        "failed_seeds": join(f"{seed}: {why}" for seed, why in line.failed.items()),
        "missing_seeds": join(f"{seed}: {why}" for seed, why in line.missing.items()),
        "values": join(f"{reading.seed}={reading.value!r}" for reading in values),
        "files": join(reading.file.as_posix() for reading in values if reading.file),
        "commands": join(run.command for run in line.used),
        "commits": join(run.code for run in line.used),
        "devices": join(run.device for run in line.used),
        "data": join(data_sets([line])),
        "data_sha256": join(data.get("sha256") for data in data_of([line])),
    }
    if reported:
        cells |= {"reported_mean": reported.mean, "reported_std": reported.std}
        cells |= {"source": reported.source, "citation": reported.citation.key}
        cells |= {"reported_protocol": reported.protocol}
    if summary:
        low, high = summary.interval or (None, None)
        cells |= {"mean": summary.mean, "std": summary.std, "n": summary.n}
        cells |= {"ci_low": low, "ci_high": high}
    found = line.reference
    if found and (beside := found.summary(table.metric, table.factor)):
        cells |= {"reference_run_mean": beside.mean, "reference_run_n": beside.n}
        cells |= {"reference_run_budget": found.budget, "reference_run_data": found.data}
    for metric, side in line.side.items():
        cells |= {f"{metric}_mean": side.mean, f"{metric}_std": side.std}
    cells |= {key: line.cost(key) for key in COSTS} | {"after": starts_from(line.row)}
    for key in (*SCENE_COUNTS, *GENERATION):
        cells[key] = join(fact for fact in line.facts(key) if fact is not None)
    return {
        key: spreadsheet_text(value) if isinstance(value, str) else value
        for key, value in cells.items()
    }
