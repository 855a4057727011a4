# Names of the files that the rules of report.smk make and need.


def with_fid():
    return [name for name, e in EXPERIMENTS.items() if 2 in e["tables"]]


# Each protocol has its own folder of results; `rule latest` copies those of the last protocol.
OUT = f"results/{PROTOCOL['protocol']}"
TABLE_KINDS = ["csv", "md", "tex"]
FIGURE_KINDS = ["png", "pdf"]
CURVES = "training-curves"  # one figure per table, and one of the ablations
# The experiments whose runs a figure with images shows; without any of them it is not drawn.
PICTURES = {
    "figure3": ["denf"],
    "figure4": ["denf-traffic"],
    "figure5": ["denf-traffic"],
    "figure6": ["denf", "denf-traffic"],
}


def has_masks(name):
    return DATASETS[EXPERIMENTS[name]["data"]]["has_masks"]


def figure_names():
    """Figures, without training curves, that these experiments and their data can fill."""
    shown = [figure for figure, names in PICTURES.items() if EXPERIMENTS.keys() & names]
    scores = ["ari-distribution"] if any(map(has_masks, EXPERIMENTS)) else []
    return shown + scores + ["cost"] * any(map(learns, EXPERIMENTS))


def reference_scores():
    """Scores of the reference runs, which tables and the page show too."""
    found = Path("results/reference").rglob("*.json")
    return [local(str(file)) for file in sorted(found) if file.name != "run.json"]


def results_of(names, kinds):
    return [f"{run}/{kind}" for run in runs_of(names) for kind in kinds]


def table_files(number):
    return [f"{OUT}/tables/table{number}.{kind}" for kind in TABLE_KINDS]


def figure_files(name):
    return [f"{OUT}/figures/{name}.{kind}" for kind in FIGURE_KINDS]


def curve_names():
    """Figures of training curves of these experiments, as `page_of` in denf/report/curves.py."""
    pages = set()
    for name, e in EXPERIMENTS.items():
        table = min(e["tables"], default=0)
        page = f"table{table}" if table in (1, 2) else "others"
        if learns(name):
            pages.add("ablations" if e["group"] == "ablation" else page)
    return [f"{CURVES}-{page}" for page in sorted(pages)]


def drawn(name, caption=None):
    """The files of a figure, each with its caption in the report."""
    about = {"caption": f"../report/{caption or name}.rst", "category": "Figures"}

    def marked(kind, file):
        return report(file, **about, labels={"figure": name, "format": kind})

    return list(map(marked, FIGURE_KINDS, figure_files(name)))


def data_cards():
    used = sorted({e["data"] for e in EXPERIMENTS.values()})
    return [f"{OUT}/figures/data-{dataset}.png" for dataset in used]
