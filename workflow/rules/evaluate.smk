# Scores, pictures and Fréchet distances of a run.


rule evaluate:
    input:
        model=RUN + "/model.safetensors",
        experiment=RUN + "/experiment.yaml",
        data=DATA.replace("{split}", "test"),
    output:
        metrics=RUN + "/metrics.json",
        scores=RUN + "/scores.csv",
        panels=RUN + "/panels.npz",
    params:
        run=RUN,
        code=lambda w: CODE["evaluate"][EXPERIMENTS[w.experiment]["method"]],
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
    log:
        RUN + "/evaluate.log",
    benchmark:
        RUN + "/evaluate.benchmark.tsv"
    shell:
        "denf evaluate {params.run} --data {input.data} --out {output.metrics}"
        " --scores {output.scores} --panels {output.panels} > {log} 2>&1"


rule fid:
    input:
        model=RUN + "/model.safetensors",
        experiment=RUN + "/experiment.yaml",
        reference=DATA.replace("{split}", "test"),
        source=DATA.replace("{split}", "train"),
    output:
        RUN + "/fid.json",
    params:
        run=RUN,
        samples=config["fid"]["samples"],
        extractor=config["fid"]["extractor"],
        weights=f"--weights {config['fid']['weights']}" if config["fid"]["weights"] else "",
        code=lambda w: CODE["fid"][EXPERIMENTS[w.experiment]["method"]],
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    log:
        RUN + "/fid.log",
    benchmark:
        RUN + "/fid.benchmark.tsv"
    shell:
        "denf fid {params.run} --data {input.reference} --source {input.source} --out {output}"
        " --samples {params.samples} --extractor {params.extractor} {params.weights}"
        " --seed {wildcards.seed} > {log} 2>&1"
