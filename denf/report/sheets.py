"""A table for people: the text of each cell, and a self-contained caption."""

from __future__ import annotations

from collections.abc import Sequence

from denf.report.columns import SIDE_COLUMNS
from denf.report.lines import Block, Line, data_sets, join
from denf.report.literature import PaperTable
from denf.report.markup import Sheet, code_span, escape_markdown
from denf.report.numbers import MISSING, count, decimal, significant, spread
from denf.report.records import Metric
from denf.report.statistics import FEWEST_FOR_INTERVAL

SCENE_COUNTS = ("empty_scenes", "one_object_scenes")  # keys of metrics.json that qualify an ARI
GENERATION = ("extractor", "samples", "reference", "mode")  # keys of fid.json that qualify an FID

COSTS = ("parameters", "images_per_second", "seconds", "peak_memory_bytes")  # keys of run.json


def sheet_of(table: PaperTable, lines: Sequence[Line]) -> Sheet:
    """The table as text, in the unit and with the one decimal of the paper."""
    head = ["Method", "Framework", "Reported", "Source", "Reproduced", "n", "Seeds"]
    head += ["95 % interval", "Difference", "Verdict"]
    align = "llrlrrlrrl"
    referred = any(line.reference for line in lines)
    if referred:
        head, align = [*head, "Reference run", "Its budget"], align + "rl"
    side = SIDE_COLUMNS[table.metric]
    head, align = [*head, *(column.head for column in side)], align + "r" * len(side)
    if table.metric is Metric.FID:
        head, align = [*head, "Extractor", "Samples / real", "Mode"], align + "lrl"
    head, align = [*head, "Parameters", "Training images/s"], align + "rr"
    noted = any(line.notes for line in lines)
    if noted:
        head, align = [*head, "Notes"], align + "l"
    several = len({line.row.dataset for line in lines if line.row and line.row.runs}) > 1
    blocks = [
        (
            "" if block is Block.REPORTED else str(block).capitalize(),
            [
                _text(line, several, referred)
                + _costs(line)
                + ["; ".join(line.notes) or MISSING] * noted
                for line in lines
                if line.block is block
            ],
        )
        for block in Block
    ]
    return Sheet(table.number, _caption(table, lines), head, blocks, align)


def _text(line: Line, several: bool, referred: bool) -> list[str]:
    """The cells of one line for people.

    Args:
        line: the line.
        several: name the data set beside the method.
        referred: whether the table has a column of reference runs.
    """
    reported, summary = line.reported, line.summary
    method = line.label
    if reported and reported.citation.key != "denf":
        method += f", {reported.citation.short}"
    if several and line.row and line.row.runs:
        method += f" [{line.row.dataset}]"
    seeds = [", ".join(str(run.seed) for run in line.used)] if line.used else []
    for head, found in (("failed", line.failed), ("missing", line.missing)):
        if found:
            seeds.append(f"{head}: " + ", ".join(f"{k} ({why})" for k, why in found.items()))
    cells = [
        method,
        line.framework or MISSING,
        spread(reported.mean, reported.std) if reported else MISSING,
        reported.source if reported else MISSING,
        spread(summary.mean, summary.std) if summary else line.state,
        str(summary.n) if summary else "0",
        "; ".join(seeds) or MISSING,
        interval(line),
        MISSING if line.difference is None else decimal(line.difference, signed=True),
        str(line.verdict),
    ]
    if referred:
        cells += _reference(line)
    side = [line.side.get(column.metric) for column in SIDE_COLUMNS[line.table.metric]]
    if line.table.metric is Metric.FID:
        cells += [significant(summary.mean if summary else None) for summary in side]
        facts = {key: join(v for v in line.facts(key) if v is not None) for key in GENERATION}
        sizes = f"{facts['samples']} / {facts['reference']}" if line.used else MISSING
        return [*cells, facts["extractor"] or MISSING, sizes, facts["mode"] or MISSING]
    return cells + [spread(s.mean, s.std) if s else MISSING for s in side]


def _reference(line: Line) -> list[str]:
    """Score and budget of the reference run."""
    found = line.reference
    summary = found.summary(line.table.metric, line.table.factor) if found else None
    if found is None or summary is None:
        return [MISSING, MISSING]
    seeds = f"{summary.n} seed{'s' if summary.n > 1 else ''}"
    return [spread(summary.mean, summary.std), f"{seeds}, {found.budget}"]


def _costs(line: Line) -> list[str]:
    """Size and speed; both depend on the protocol, the speed on the machine as well."""
    parameters, speed = line.cost("parameters"), line.cost("images_per_second")
    return [count(parameters), significant(speed)]


def interval(line: Line) -> str:
    """The interval, or the single values where these are too few for an interval."""
    if line.summary is None or line.summary.n == 1:
        return MISSING
    if line.summary.interval:
        low, high = line.summary.interval
        return f"[{decimal(low)}, {decimal(high)}]"
    values = [r.value * line.table.factor for r in line.readings if r.value is not None]
    return "values " + "; ".join(map(decimal, values))


def _caption(table: PaperTable, lines: Sequence[Line]) -> str:
    compared = [line for line in lines if line.difference is not None]
    measured = [line for line in lines if line.summary]
    scaled = "" if table.factor == 1 else f"Numbers are {table.unit}; "
    text = [table.caption, f"{scaled}reported values from the {table.source}."]
    text[1] = text[1][0].upper() + text[1][1:]
    if not measured:
        return " ".join([*text, "Nothing has been run yet."])
    protocols = dict.fromkeys(line.row.protocol for line in measured if line.row)
    text += [
        f"Reproduced on {join(data_sets(lines))}; protocol {join(protocols)}.",
        "± is the sample standard deviation over seeds; 95 % intervals are t intervals over seeds, "
        f"from {FEWEST_FOR_INTERVAL} seeds on; with fewer seeds the single values are given.",
    ]
    if any(line.reference for line in lines):
        text.append(
            "Reference runs come with the repository; their data and budgets may differ and are "
            "stated in results/reference/README.md."
        )
    text += [column.legend for column in SIDE_COLUMNS[table.metric]]
    if table.metric is Metric.ARI_FG:
        text.append(_trivial_scenes(measured))
    if table.metric is Metric.FID:
        extractors = dict.fromkeys(v for line in measured for v in line.facts("extractor"))
        text.append(f"Features from {join(extractors)}.")
        floors = dict.fromkeys(f"{value:.1f}" for line in measured for value in line.floors)
        if floors:
            text.append(f"Training images in place of samples have an FID of {join(floors)}.")
        notes = [note for line in measured for note in line.facts("rank_note") if note]
        text += [f"Note: {note.rstrip('.')}." for note in dict.fromkeys(notes)]
    if any(line.failed or line.missing for line in lines):
        text.append("Seeds that failed or are missing are listed and are left out of the mean.")
    if compared:
        text.append(
            f"Match: within ± {table.tolerance:g} of the reported mean "
            f"({table.tolerance_reason}); above and below are numerical, "
            f"{table.better} is better."
        )
    objections = dict.fromkeys(
        objection
        for line in measured
        if line.reported or not compared
        for objection in line.objections
    )
    if objections:
        where = "for some rows" if compared else "for any row"
        text.append(
            f"No difference and no verdict is given {where}, because the runs are not the "
            f"paper's experiment: {join(objections)}."
        )
    return " ".join(text)


def _trivial_scenes(lines: Sequence[Line]) -> str:
    """How the foreground ARI treats scenes of no and of one object, and their numbers."""
    empty, single = (
        join(dict.fromkeys(n for line in lines for n in line.facts(key) if n is not None))
        or "number not recorded"
        for key in SCENE_COUNTS
    )
    return (
        f"Scenes without objects ({empty}) are left out of means of the foreground ARI; a scene of "
        f"one object ({single}) counts 1 where the object has one label and 0 otherwise."
    )


def protocols(lines: Sequence[Line]) -> str:
    """How the reported values were measured, as a Markdown list with one item per protocol."""
    reported = [line.reported for line in lines if line.reported]
    by_protocol = {
        row.protocol: [r.label for r in reported if r.protocol == row.protocol] for row in reported
    }
    items = [
        f"- {escape_markdown(', '.join(dict.fromkeys(labels)))}: {escape_markdown(protocol)}."
        for protocol, labels in by_protocol.items()
    ]
    head = "How the reported values were measured; values are comparable only where this"
    return f"{head} is the same:\n\n" + "\n".join(items) + "\n"


def provenance(lines: Sequence[Line]) -> str:
    """For each value: device, commit, command and file, as a Markdown list."""
    items = []
    for line in lines:
        files = {reading.seed: reading.file for reading in line.readings}
        for run in line.used:
            file = files[run.seed]
            items.append(
                f"- {escape_markdown(line.label)}, seed {run.seed}: {code_span(run.command)} on "
                f"{escape_markdown(run.device)}, commit {escape_markdown(run.code)} → "
                f"{code_span(file.as_posix() if file else '')}"
            )
    return "Where the numbers come from:\n\n" + "\n".join(items) + "\n" if items else ""
