# Tables, figures and the results page from the files of all runs, in results/<protocol>/.


rule tables:
    input:
        results_of(EXPERIMENTS, ["metrics.json", "experiment.yaml", "run.json"]),
        results_of(with_fid(), ["fid.json"]),
        reference_scores(),
        literature=local("baselines/literature.yaml"),
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
        f"{OUT}/tables/columns.csv",
    log:
        "results/logs/tables.log",
    localrule: True
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        runs=subpath(input[0], ancestor=4),  # results/runs, wherever a storage put it
        out=subpath(output[0], parent=True),
        listing=LISTING["rows"],  # named by its content
        code=CODE["tables"],
    shell:
        "denf tables --runs {params.runs:q} --listing {params.listing:q}"
        " --literature {input.literature:q} --out {params.out:q} > {log:q} 2>&1"


# Needs only trainings and so runs beside evaluations; it takes as long as all other figures
# together.
rule curves:
    input:
        results_of(EXPERIMENTS, ["history.csv", "experiment.yaml"]),
    output:
        *[file for name in curve_names() for file in drawn(name, CURVES)],
    log:
        "results/logs/curves.log",
    localrule: True
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        runs=subpath(input[0], ancestor=4),  # results/runs, wherever a storage put it
        out=subpath(output[0], parent=True),
        listing=LISTING["rows"],  # named by its content
        names=" ".join(f"--name {name}" for name in curve_names()),
        code=CODE["figures"],
    shell:
        "denf figures --runs {params.runs:q} --listing {params.listing:q} {params.names}"
        " --out {params.out:q} > {log:q} 2>&1"


rule figures:
    input:
        results_of(
            EXPERIMENTS,
            [
                "metrics.json",
                "scores.csv",
                "panels.npz",
                "experiment.yaml",
                "run.json",
            ],
        ),
        results_of(with_fid(), ["fid.json"]),
    output:
        *[file for name in figure_names() for file in drawn(name)],
    log:
        "results/logs/figures.log",
    localrule: True
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        runs=subpath(input[0], ancestor=4),
        out=subpath(output[0], parent=True),
        listing=LISTING["rows"],  # named by its content
        names=" ".join(f"--name {name}" for name in figure_names()),
        code=CODE["figures"],
    shell:
        "denf figures --runs {params.runs:q} --listing {params.listing:q} {params.names}"
        " --out {params.out:q} > {log:q} 2>&1"


rule card:
    input:
        train="results/data/{dataset}/train",
        test="results/data/{dataset}/test",
    output:
        report(
            f"{OUT}/figures/data-{{dataset}}.png",
            caption="../report/data.rst",
            category="Data",
            labels={"data set": "{dataset}"},
        ),
    log:
        "results/logs/data/{dataset}-card.log",
    localrule: True
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=CODE["card"],
    shell:
        "denf data card {input.train:q} {input.test:q} --out {output:q} > {log:q} 2>&1"


rule page:
    input:
        results_of(
            EXPERIMENTS,
            [
                "metrics.json",
                "experiment.yaml",
                "run.json",
                "history.csv",
                "panels.npz",
            ],
        ),
        results_of(with_fid(), ["fid.json"]),
        reference_scores(),
        literature=local("baselines/literature.yaml"),
    output:
        f"{OUT}/index.html",
    log:
        "results/logs/page.log",
    localrule: True
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        runs=subpath(input[0], ancestor=4),
        listing=LISTING["rows"],  # named by its content
        code=CODE["page"],
    shell:
        "denf page --runs {params.runs:q} --listing {params.listing:q}"
        " --literature {input.literature:q} --out {output:q} > {log:q} 2>&1"


# The outputs are whole folders, so that no files of another protocol remain in them.
rule latest:
    input:
        rules.figures.output,
        rules.curves.output if any(map(learns, EXPERIMENTS)) else [],
        cards=data_cards(),
        tables=rules.tables.output,
    output:
        tables=directory("results/tables"),
        figures=directory("results/figures"),
    log:
        "results/logs/latest.log",
    localrule: True
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=100,
        runtime=10,
    params:
        protocol=PROTOCOL["protocol"],
        tables=lambda w, input: Path(input.tables[0]).parent,
        figures=lambda w, input: Path(input.cards[0]).parent,
    shell:
        "(cp -R {params.tables:q}/. {output.tables:q} &&"
        " cp -R {params.figures:q}/. {output.figures:q}) > {log:q} 2>&1"
