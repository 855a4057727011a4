# Data sets → results/data/<dataset>/<split>. `denf data prepare` reads the specification, a file of
# the plan; `content_hash` is a hash of everything on which the prepared data depend.


rule prepare_split:
    output:
        directory("results/data/{dataset}/{split}"),
    log:
        "results/logs/data/{dataset}-{split}.log",
    wildcard_constraints:
        dataset=datasets_where(lambda d: not d["one_pass"]),
    priority: 2  # before all trainings, during which no two cores may be free
    conda:
        "../envs/denf.yaml"
    threads: dataset_resource("threads")
    resources:
        mem_mb=dataset_resource("mem_mb"),
        runtime=dataset_resource("runtime"),
    params:
        content_hash=dataset("content_hash"),
        specification=specification,
        out=subpath(output[0], parent=True),
        # Names, sizes and times of the user's own images: a change prepares the split again.
        own_files=lambda w: DATASETS[w.dataset]["own_files"].get(w.split),
        code=dataset("code"),
    shell:
        "denf data prepare {params.specification:q} --split {wildcards.split}"
        " --workers {threads} --out {params.out:q} > {log:q} 2>&1"


# Snakemake knows only the link; the file itself keeps its published name. After an edit of the
# configuration the file is checked again, but not fetched again.
rule fetch:
    output:
        ensure("results/downloads/{dataset}/archive", non_empty=True),
    log:
        "results/logs/data/{dataset}-fetch.log",
    wildcard_constraints:
        dataset=datasets_where(lambda d: d["fetch"]),
    retries: 3
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=1000,
        runtime=600,
    params:
        url=lambda w: DATASETS[w.dataset]["fetch"]["url"],
        file=lambda w: DATASETS[w.dataset]["fetch"]["name"],
        options=fetch_options,
    shell:
        "(denf data fetch {params.url:q} {params.options}"
        " --out results/downloads/{wildcards.dataset}/{params.file:q}"
        " && ln -sfn {params.file:q} {output:q}) > {log:q} 2>&1"


rule prepare:
    input:
        source_file,
    output:
        [directory(f"results/data/{{dataset}}/{s}") for s in ("train", "val", "test")],
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=datasets_where(lambda d: d["one_pass"] and "val" in d["splits"]),
    conda:
        "../envs/denf.yaml"
    threads: dataset_resource("threads")
    resources:
        mem_mb=dataset_resource("mem_mb"),
        runtime=dataset_resource("runtime"),
    params:
        content_hash=dataset("content_hash"),
        specification=specification,
        out=subpath(output[0], parent=True),
    shell:
        "denf data prepare {params.specification:q} --file {input:q}"
        " --workers {threads} --out {params.out:q} > {log:q} 2>&1"


use rule prepare as prepare_without_validation with:
    output:
        [directory(f"results/data/{{dataset}}/{s}") for s in ("train", "test")],
    wildcard_constraints:
        dataset=datasets_where(lambda d: d["one_pass"] and "val" not in d["splits"]),


rule data:
    input:
        expand(
            "results/data/{dataset}/{split}", dataset=DATASETS, split=["train", "test"]
        ),
        [f"results/data/{i}/val" for i, d in DATASETS.items() if d["validation"]],
