# Tables and figures from the files of all runs.


def results_of(names, kinds):
    return [f"{run}/{kind}" for run in runs_of(names) for kind in kinds]


def table_files(number):
    return [f"results/tables/table{number}.{kind}" for kind in TABLE_KINDS]


def figure_files(name):
    return [f"results/figures/{name}.{kind}" for kind in FIGURE_KINDS]


rule tables:
    input:
        results_of(EXPERIMENTS, ["metrics.json", "experiment.yaml", "run.json"]),
        results_of(with_fid(), ["fid.json"]),
        literature="baselines/literature.yaml",
    output:
        *[
            report(
                file,
                caption=f"../report/table{number}.rst",
                category="Tables",
                labels={"table": str(number), "format": Path(file).suffix[1:]},
            )
            for number in (1, 2, 3)
            for file in table_files(number)
        ],
    params:
        rows=what_rows_say(),
        listing=LISTED,
        code=CODE["tables"],
    localrule: True
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        "results/logs/tables.log",
    shell:
        "denf tables --listing {params.listing} --literature {input.literature}"
        " --out results/tables > {log} 2>&1"


rule figures:
    input:
        results_of(EXPERIMENTS, ["history.csv", "scores.csv", "panels.npz", "experiment.yaml"]),
    output:
        *[
            report(
                file,
                caption=f"../report/{name}.rst",
                category="Figures",
                labels={"figure": name, "format": Path(file).suffix[1:]},
            )
            for name in figure_names()
            for file in figure_files(name)
        ],
    params:
        rows=what_rows_say(),
        listing=LISTED,
        names=" ".join(f"--name {name}" for name in figure_names()),
        code=CODE["figures"],
    localrule: True
    resources:
        mem_mb=2000,
        runtime=10,
    log:
        "results/logs/figures.log",
    shell:
        "denf figures --listing {params.listing} {params.names} --out results/figures > {log} 2>&1"
