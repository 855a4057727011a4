# DeNF: one command produces Tables 1-3 and the figures.
#   uv run snakemake --cores 8 --resources gpu=1
#   uv run snakemake --cores 8 --resources gpu=1 --configfile config/paper.yaml
import os
import socket

from snakemake.utils import min_version

min_version("9.0")

# Commands end when the Snakemake process that started them is killed (denf/border.py).
os.environ.setdefault("DENF_PARENT", f"{socket.gethostname()}:{os.getpid()}")

# --configfile replaces the embedded protocol; the two are not merged.
if "protocol" not in config:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


# Rules of your own: write workflow/rules/local.smk (see README.md).
if Path("workflow/rules/local.smk").exists():

    include: "workflow/rules/local.smk"


rule all:
    default_target: True
    input:
        rules.tables.output,
        rules.figures.output,
        rules.curves.output if any(map(learns, EXPERIMENTS)) else [],
        data_cards(),
        rules.page.output,
        rules.latest.output,
