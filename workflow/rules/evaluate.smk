# Scores, images and Fréchet distances of a run.


rule evaluate:
    input:
        model="results/runs/{dataset}/{experiment}/seed-{seed}/model.safetensors",
        experiment="results/runs/{dataset}/{experiment}/seed-{seed}/experiment.yaml",
        data="results/data/{dataset}/test",
    output:
        metrics="results/runs/{dataset}/{experiment}/seed-{seed}/metrics.json",
        scores="results/runs/{dataset}/{experiment}/seed-{seed}/scores.csv",
        panels="results/runs/{dataset}/{experiment}/seed-{seed}/panels.npz",
    log:
        "results/runs/{dataset}/{experiment}/seed-{seed}/evaluate.log",
    benchmark:
        "results/runs/{dataset}/{experiment}/seed-{seed}/evaluate.benchmark.tsv"
    group:
        run_group
    conda:
        "../envs/denf.yaml"
    threads: 1  # threads of several processes on the same cores wait for one another
    resources:
        gpu=cards_to_run,
        mem_mb=4000,
        runtime=120,
    params:
        run=subpath(input.model, parent=True),
        code=lambda w: CODE["evaluate"][w.experiment],
    shell:
        "denf evaluate {params.run:q} --data {input.data:q} --out {output.metrics:q}"
        " --scores {output.scores:q} --panels {output.panels:q} > {log:q} 2>&1"


rule fid:
    input:
        model="results/runs/{dataset}/{experiment}/seed-{seed}/model.safetensors",
        experiment="results/runs/{dataset}/{experiment}/seed-{seed}/experiment.yaml",
        reference="results/data/{dataset}/test",
        source="results/data/{dataset}/train",
    output:
        "results/runs/{dataset}/{experiment}/seed-{seed}/fid.json",
    log:
        "results/runs/{dataset}/{experiment}/seed-{seed}/fid.log",
    benchmark:
        "results/runs/{dataset}/{experiment}/seed-{seed}/fid.benchmark.tsv"
    group:
        controls_group
    conda:
        "../envs/denf.yaml"
    threads: 1  # threads of several processes on the same cores wait for one another
    resources:
        gpu=cards_to_run,
        mem_mb=8000,
        runtime=240,
    params:
        run=subpath(input.model, parent=True),
        samples=PROTOCOL["fid"]["samples"],
        extractor=PROTOCOL["fid"]["extractor"],
        weights=lambda w: option("weights", PROTOCOL["fid"]["weights"]),
        code=lambda w: CODE["fid"][w.experiment],
    shell:
        "denf fid {params.run:q} --data {input.reference:q} --source {input.source:q} --out {output:q}"
        " --samples {params.samples} --extractor {params.extractor} {params.weights}"
        " --seed {wildcards.seed} > {log:q} 2>&1"
