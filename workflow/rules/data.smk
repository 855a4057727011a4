# Data sets → results/data/<dataset>/<split>, by the source that the configuration names.


rule render:
    output:
        directory("results/data/{dataset}/{split}"),
    log:
        "results/logs/data/{dataset}-{split}.log",
    wildcard_constraints:
        dataset=datasets_from("render"),
    priority: 2  # before all trainings, which would leave no two cores free until their end
    conda:
        "../envs/denf.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        kind=lambda w: spec(w)["kind"],
        options=render_options,
        code=CODE["render"],
    shell:
        "denf data render {params.kind} {params.options} --split {wildcards.split}"
        " --workers {threads} --out {output} > {log} 2>&1"


rule folder:
    output:
        directory("results/data/{dataset}/{split}"),
    log:
        "results/logs/data/{dataset}-{split}.log",
    wildcard_constraints:
        dataset=datasets_from("folder"),
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        options=folder_options,
        # Names, sizes and times of the pictures: one that is added or changed is read.
        listing=lambda w: LISTING["listings"][w.dataset][w.split],
    shell:
        "denf data folder {params.options} --split {wildcards.split} --out {output} > {log} 2>&1"


# The file keeps its published name beside the link, which is all that Snakemake knows: an edit of
# the configuration checks the file again, and fetches nothing that is there.
rule fetch:
    output:
        ensure("results/downloads/{dataset}/archive", non_empty=True),
    log:
        "results/logs/data/{dataset}-fetch.log",
    wildcard_constraints:
        dataset=datasets_from(*PUBLISHED),
    retries: 3
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=1000,
        runtime=600,
    params:
        url=lambda w: spec(w)["url"],
        file=published_name,
        options=fetch_options,
    shell:
        "(denf data fetch {params.url:q} {params.options}"
        " --out results/downloads/{wildcards.dataset}/{params.file:q}"
        " && ln -sfn {params.file:q} {output}) > {log} 2>&1"


rule multi_objects:
    input:
        archive,
    output:
        [directory(f"results/data/{{dataset}}/{s}") for s in ("train", "val", "test")],
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=datasets_from(*RECORDS),
    conda:
        "../envs/denf.yaml"
    threads: 2  # one inflates, one cuts and resizes
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        out=subpath(output[0], parent=True),
        source=lambda w: spec(w)["source"],
        options=records_options,
    shell:
        "denf data {params.source} --tfrecord {input:q} {params.options}"
        " --out {params.out} > {log} 2>&1"


rule clevrtex:
    input:
        lambda w: spec(w)["path"],
    output:
        [directory(f"results/data/{{dataset}}/{s}") for s in ("train", "val", "test")],
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=datasets_from("clevrtex"),
    conda:
        "../envs/denf.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=600,
    params:
        out=subpath(output[0], parent=True),
        size=lambda w: spec(w)["size"],
        variant=lambda w: spec(w).get("variant", "full"),
    shell:
        "denf data clevrtex --source {input:q} --variant {params.variant} --size {params.size}"
        " --workers {threads} --out {params.out} > {log} 2>&1"


rule real_traffic:
    input:
        archive,
    output:
        [directory(f"results/data/{{dataset}}/{s}") for s in ("train", "test")],
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=datasets_from("real-traffic"),
    conda:
        "../envs/denf.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=600,
    params:
        out=subpath(output[0], parent=True),
        size=lambda w: spec(w)["size"],
        gap=lambda w: spec(w).get("gap", 0),
    shell:
        "denf data real-traffic --source {input:q} --size {params.size} --gap {params.gap}"
        " --workers {threads} --out {params.out} > {log} 2>&1"


rule data:
    input:
        expand(
            "results/data/{dataset}/{split}", dataset=DATASETS, split=["train", "test"]
        ),
        [f"results/data/{i}/val" for i, d in DATASETS.items() if d.get("validation")],
