# The plan of the protocol, and functions of it for the other rules. The workflow uses the suite
# only through its commands: `denf experiments` checks the configuration, resolves all experiment
# files and hashes the sources.
import json
import os
import shlex
import subprocess
from math import ceil
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import available_cpu_count

# A run starts many processes; cached bytecode saves each of them some seconds of imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Only runs on a cluster have --jobs; the executor itself is not known at this point.
IN_JOB = not workflow.is_main_process
ELSEWHERE = workflow.resource_settings.nodes is not None or IN_JOB

# --cores may exceed the cores of this machine; more jobs than cores slow each other down. On a
# cluster, --cores does not mean the cores of the submitting machine.
if workflow._cores and not ELSEWHERE:
    workflow.register_resource("_cores", min(workflow.cores, available_cpu_count()))

RUN = "results/runs/{dataset}/{experiment}/seed-{seed}"
PLAN = "results/.plan"  # file names contain a hash of the content, so invocations do not interfere


def list_experiments():
    # Standard input is the effective configuration, including --config values.
    command = ["denf", "experiments", "--plan", PLAN, "--protocol", "-"]
    for file in workflow.configfiles:
        command += ["--configfile", str(file)]
    if IN_JOB or workflow.storage_settings.default_storage_provider:
        command.append("--elsewhere")
    try:
        done = subprocess.run(
            command, input=json.dumps(config), capture_output=True, text=True
        )
    except FileNotFoundError:
        raise WorkflowError(
            "denf: expected on the PATH, got nothing. Put `uv run` before the command, or "
            "activate the environment."
        )
    if done.returncode:
        raise WorkflowError(done.stderr.strip())
    return json.loads(done.stdout)


LISTING = list_experiments()
PROTOCOL = LISTING["protocol"]  # checked, complete with defaults
CODE = LISTING["code"]
EXPERIMENTS = {e["name"]: e for e in LISTING["experiments"]}
for e in EXPERIMENTS.values():
    e["data"] = LISTING["datasets"][e["dataset"]]["id"]
DATASETS = {d["id"]: d for d in LISTING["datasets"].values()}
for d in DATASETS.values():
    if set("{}") & set(d["path"] or ""):  # Snakemake takes them for wildcards
        raise WorkflowError(
            f"data set {d['id']}, path: expected a path without braces, got {d['path']}. Rename "
            "the folder, or make a link to it."
        )


wildcard_constraints:
    dataset="|".join(DATASETS),
    experiment="|".join(EXPERIMENTS),
    split="train|val|test",
    seed=r"\d+",


def runs_of(names):
    return [
        RUN.format(dataset=EXPERIMENTS[name]["data"], experiment=name, seed=seed)
        for name in names
        for seed in EXPERIMENTS[name]["seeds"]
    ]


def planned(wildcards, input):
    """The file of the resolved experiment; its name has a hash of all content, including the label.

    Snakemake does not record parameters that are functions of `input`. Everything on which a run's
    weights depend is in `inputs_hash`, so that an edited label causes no new training.
    """
    return EXPERIMENTS[wildcards.experiment]["file"]


def first_weights(wildcards):
    """The weights from which a run starts, if its experiment names a run for them."""
    name = EXPERIMENTS[wildcards.experiment]["weights"]
    if name is None:
        return []
    run = RUN.format(
        dataset=EXPERIMENTS[name]["data"], experiment=name, seed=wildcards.seed
    )
    return f"{run}/model.safetensors"


def validation(wildcards):
    """The validation scenes of a training's learning curve, if its data set has the key."""
    if not (learns(wildcards.experiment) and DATASETS[wildcards.dataset]["validation"]):
        return []
    return f"results/data/{wildcards.dataset}/val"


def learns(name):
    """Whether an experiment has a training; controls have none."""
    return EXPERIMENTS[name]["training"]["steps"] != 0


def has_model(name):
    """Whether evaluation and sampling of an experiment run a network; controls have none."""
    return learns(name) or EXPERIMENTS[name]["weights"] is not None


def find_cards():
    """Whether jobs that train or sample request a GPU: the key `cards`, or what is detected."""
    if PROTOCOL["cards"] != "auto":
        return PROTOCOL["cards"]
    if IN_JOB:
        # In a job on a node: whether the job has a GPU. The limit below is not known there.
        return "SLURM_GPUS" in os.environ
    if ELSEWHERE:
        limit = workflow.global_resources.get("gpu")
        return limit is not None and limit.value > 0
    return LISTING["cards"] > 0


CARDS = find_cards()


def cards_to_train(wildcards):
    return int(CARDS and learns(wildcards.experiment))


def cards_to_run(wildcards):
    return int(CARDS and has_model(wildcards.experiment))


def training_minutes(wildcards, attempt=1):
    """Time to request from a cluster: by steps, longer after a timeout, at most `runtime.most`.

    `runtime.most` if the number of steps per epoch is not known before the data are prepared. A
    training that runs out of time continues from its last saved state.
    """
    e = EXPERIMENTS[wildcards.experiment]
    training, limits = e["training"], PROTOCOL["runtime"]
    steps, images = training["steps"], DATASETS[e["data"]]["training_images"]
    if steps is None and images is not None:
        steps = training["epochs"] * ceil(images / training["batch_size"])
    if steps is None:
        return limits["most"]
    minutes = attempt * (limits["start"] + steps * limits["step"] / 60)
    return min(ceil(minutes), limits["most"])


SHORT = 60  # minutes of training


def run_group(wildcards):
    """Jobs of a cluster that become one: a short training with its evaluation, and controls.

    A group that fails is repeated as a whole, so a long training is a separate job.
    """
    name = wildcards.experiment
    if not has_model(name):
        return "controls"
    if training_minutes(wildcards) > SHORT:
        return None
    return f"{wildcards.dataset}-{name}-{wildcards.seed}"


def controls_group(wildcards):
    """Only Fréchet distances of controls are grouped: all others need a GPU, as evaluations do."""
    return None if has_model(wildcards.experiment) else "controls"


def training_threads(wildcards):
    """The experiment's number of threads, on which its weights depend, whatever else is running."""
    return EXPERIMENTS[wildcards.experiment]["training"]["threads"]


def option(name, value):
    """An option of a command, quoted for the shell; nothing where there is no value."""
    return f"--{name} {shlex.quote(str(value))}" if value else ""


def datasets_where(holds):
    """Ids of the data sets for which `holds` is true, as a wildcard pattern."""
    return "|".join(i for i, d in DATASETS.items() if holds(d)) or "(?!)"


def dataset(key):
    """An entry of the plan for a data set, as a function of the wildcards."""
    return lambda wildcards: DATASETS[wildcards.dataset][key]


def specification(wildcards, output):
    """The file of a data set's specification, which Snakemake does not record; see `planned`."""
    return DATASETS[wildcards.dataset]["file"]


def dataset_resource(key):
    return lambda wildcards: DATASETS[wildcards.dataset]["resources"][key]


def fetch_options(wildcards):
    fetch = DATASETS[wildcards.dataset]["fetch"]
    keys = ("sha256", "bytes", "mirror")
    return " ".join(option(key, fetch[key]) for key in keys)


def source_file(wildcards):
    """The source file, local or fetched. Fetched files are checked by hash, dates are ignored."""
    path = DATASETS[wildcards.dataset]["path"]
    return ancient(path or f"results/downloads/{wildcards.dataset}/archive")
