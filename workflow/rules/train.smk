# One training a run: results/runs/<dataset>/<experiment>/seed-<k>/.
# The training state lies in results/runs/<dataset>/<experiment>/.state/, which Snakemake does not
# know: after a kill the job starts again and continues from there.


rule train:
    input:
        data=DATA.replace("{split}", "train"),
    output:
        multiext(RUN + "/", "model.safetensors", "experiment.yaml", "history.csv", "run.json"),
    params:
        experiment=what_weights_depend_on,
        code=lambda w: CODE["train"][EXPERIMENTS[w.experiment]["method"]],
        file=lambda w: f"{config['experiments']}/{w.experiment}.yaml",
        protocol=PROTOCOL,
        run=RUN,
    threads: workflow.cores
    resources:
        gpu=lambda w: int(EXPERIMENTS[w.experiment]["group"] != "control"),
        mem_mb=8000,
        runtime=2880,
    log:
        RUN + "/train.log",
    benchmark:
        RUN + "/train.benchmark.tsv"
    shell:
        "denf train {params.file} --protocol {params.protocol} --data {input.data}"
        " --out {params.run} --seed {wildcards.seed} --resume --keep-diverged > {log} 2>&1"
