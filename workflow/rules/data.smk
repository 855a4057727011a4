# Data sets → results/data/<dataset>/<split>, by the source that the configuration names.


rule render:
    output:
        directory("results/data/{dataset}/{split}"),
    log:
        "results/logs/data/{dataset}-{split}.log",
    wildcard_constraints:
        dataset=datasets_from("render"),
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
    shell:
        "denf data folder {params.options} --split {wildcards.split} --out {output} > {log} 2>&1"


rule fetch:
    output:
        ensure("results/downloads/{dataset}/archive", non_empty=True),
    log:
        "results/logs/data/{dataset}-fetch.log",
    wildcard_constraints:
        dataset="|".join([datasets_from("clevr6"), datasets_from("real-traffic")]),
    retries: 3
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=1000,
        runtime=600,
    params:
        url=lambda w: spec(w)["url"],
        options=lambda w: " ".join(
            f"--{key} '{spec(w)[key]}'" for key in ("sha256", "mirror") if spec(w)[key]
        ),
    shell:
        "denf data fetch '{params.url}' {params.options} --out {output} > {log} 2>&1"


rule clevr6:
    input:
        rules.fetch.output,
    output:
        [directory(f"results/data/{{dataset}}/{s}") for s in ("train", "val", "test")],
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=datasets_from("clevr6"),
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=4000,
        runtime=1440,
    params:
        out=subpath(output[0], parent=True),
        size=lambda w: spec(w)["size"],
    shell:
        "denf data clevr6 --tfrecord {input} --size {params.size}"
        " --out {params.out} > {log} 2>&1"


rule real_traffic:
    input:
        lambda w: spec(w).get("path") or rules.fetch.output[0],
    output:
        [directory(f"results/data/{{dataset}}/{s}") for s in ("train", "test")],
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=datasets_from("real-traffic"),
    conda:
        "../envs/denf.yaml"
    resources:
        mem_mb=4000,
        runtime=600,
    params:
        out=subpath(output[0], parent=True),
        size=lambda w: spec(w)["size"],
        gap=lambda w: spec(w)["gap"],
    shell:
        "denf data real-traffic --source {input} --size {params.size} --gap {params.gap}"
        " --out {params.out} > {log} 2>&1"
