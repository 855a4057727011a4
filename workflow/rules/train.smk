# One training per run: results/runs/<dataset>/<experiment>/seed-<k>/.
# Training states are in results/runs/<dataset>/<experiment>/.state/, which Snakemake does not
# manage: a job that was killed starts again and continues from there.


rule train:
    input:
        data="results/data/{dataset}/train",
        weights=first_weights,
        validation=validation,
    output:
        multiext(
            "results/runs/{dataset}/{experiment}/seed-{seed}/",
            "model.safetensors",
            "experiment.yaml",
            "history.csv",
            "run.json",
        ),
    log:
        "results/runs/{dataset}/{experiment}/seed-{seed}/train.log",
    benchmark:
        "results/runs/{dataset}/{experiment}/seed-{seed}/train.benchmark.tsv"
    priority: 1  # long jobs first; short ones then fill the remaining cores
    group:
        run_group
    conda:
        "../envs/denf.yaml"
    threads: training_threads
    resources:
        gpu=cards_to_train,
        mem_mb=lambda w: 8000 if has_model(w.experiment) else 2000,
        runtime=training_minutes,
    params:
        code=lambda w: CODE["train"][w.experiment],
        experiment=planned,
        inputs_hash=lambda w: EXPERIMENTS[w.experiment]["inputs_hash"],
        run=subpath(output[0], parent=True),
        weights=lambda w, input: option(
            "weights", input.weights and Path(input.weights).parent
        ),
        validation=lambda w, input: option("validation", input.validation),
        validation_scenes=lambda w, input: option(
            "validation-scenes", input.validation and DATASETS[w.dataset]["validation"]
        ),
    shell:
        "denf train {params.experiment:q} --inputs-hash {params.inputs_hash} --data {input.data:q}"
        " {params.weights} {params.validation} {params.validation_scenes} --out {params.run:q}"
        " --seed {wildcards.seed} --resume --keep-diverged > {log:q} 2>&1"
