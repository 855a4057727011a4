# Data sets → results/data/<dataset>/<split>, by the source that the configuration names.


def datasets_from(source):
    """Data sets of a source as a wildcard pattern; one that matches nothing when there are none."""
    return "|".join(i for i, d in DATASETS.items() if d["source"] == source) or "(?!)"


def spec(wildcards):
    return DATASETS[wildcards.dataset]


def render_options(wildcards):
    d = spec(wildcards)
    # The splits' seeds differ, so that their scenes do.
    seed = 2 * d["seed"] + (wildcards.split == "test")
    return f"--count {d[wildcards.split]} --size {d['size']} --seed {seed}"


def folder_options(wildcards):
    d = spec(wildcards)
    keys = [f"--{key} '{value}'" for key, value in d[wildcards.split].items()]
    return " ".join([*keys, f"--size {d['size']}"])


rule render:
    output:
        directory(DATA),
    params:
        kind=lambda w: spec(w)["kind"],
        options=render_options,
        code=CODE["render"],
    wildcard_constraints:
        dataset=datasets_from("render"),
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    log:
        "results/logs/data/{dataset}-{split}.log",
    shell:
        "denf data render {params.kind} {params.options} --split {wildcards.split}"
        " --workers {threads} --out {output} > {log} 2>&1"


rule folder:
    output:
        directory(DATA),
    params:
        options=folder_options,
    wildcard_constraints:
        dataset=datasets_from("folder"),
    resources:
        mem_mb=2000,
        runtime=60,
    log:
        "results/logs/data/{dataset}-{split}.log",
    shell:
        "denf data folder {params.options} --split {wildcards.split} --out {output} > {log} 2>&1"


rule fetch:
    output:
        "results/downloads/{dataset}/archive",
    params:
        url=lambda w: spec(w)["url"],
        options=lambda w: " ".join(
            f"--{key} '{spec(w)[key]}'" for key in ("sha256", "mirror") if spec(w)[key]
        ),
    wildcard_constraints:
        dataset="|".join([datasets_from("clevr6"), datasets_from("real-traffic")]),
    retries: 3
    resources:
        mem_mb=1000,
        runtime=600,
    log:
        "results/logs/data/{dataset}-fetch.log",
    shell:
        "denf data fetch '{params.url}' {params.options} --out {output} > {log} 2>&1"


rule clevr6:
    input:
        rules.fetch.output,
    output:
        [directory(DATA.replace("{split}", s)) for s in ("train", "val", "test")],
    params:
        size=lambda w: spec(w)["size"],
    wildcard_constraints:
        dataset=datasets_from("clevr6"),
    resources:
        mem_mb=4000,
        runtime=1440,
    log:
        "results/logs/data/{dataset}.log",
    shell:
        "denf data clevr6 --tfrecord {input} --size {params.size}"
        " --out results/data/{wildcards.dataset} > {log} 2>&1"


rule real_traffic:
    input:
        lambda w: spec(w).get("path") or rules.fetch.output[0],
    output:
        [directory(DATA.replace("{split}", s)) for s in ("train", "test")],
    params:
        size=lambda w: spec(w)["size"],
        gap=lambda w: spec(w)["gap"],
    wildcard_constraints:
        dataset=datasets_from("real-traffic"),
    resources:
        mem_mb=4000,
        runtime=600,
    log:
        "results/logs/data/{dataset}.log",
    shell:
        "denf data real-traffic --source {input} --size {params.size} --gap {params.gap}"
        " --out results/data/{wildcards.dataset} > {log} 2>&1"
