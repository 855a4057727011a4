# DeNF: one command produces Tables 1-3 and the figures.
#   uv run snakemake --cores 8 --resources gpu=1
#   uv run snakemake --cores 8 --resources gpu=1 --configfile config/paper.yaml
import os
import socket

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# Commands end when the Snakemake process that started them is killed (denf/border.py).
os.environ.setdefault("DENF_PARENT", f"{socket.gethostname()}:{os.getpid()}")

# Snakemake takes braces in the paths of its files for wildcards.
for folder in (workflow.basedir, os.getcwd()):
    if set("{}") & set(str(folder)):
        raise WorkflowError(
            f"folder {folder}: expected a path without braces. Rename it, or work in another folder."
        )

# --configfile replaces the embedded protocol; the two are not merged.
if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/names.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


# Rules of your own: write workflow/rules/local.smk (see docs/protocols.md).
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
