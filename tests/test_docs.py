"""The documents say what is so: examples run, keys and defaults match, commands and files exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from snakemake.cli import get_argument_parser
from typer.main import get_command

from denf.cli import app
from denf.documentation.documents import dataset_types, with_tables
from denf.documentation.documents import rows as setting_rows
from denf.errors import DenfError
from denf.harness.experiment import Experiment
from denf.harness.protocol import Protocol
from denf.harness.registry import aids_type, method_modules, method_names, settings_type

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("config/README.md", "results/reference/README.md", "workflow/profiles/README.md"),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
]
WITH_TABLES = ["README.md", "config/README.md", "results/reference/README.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    "config/experiments/denf-without-warm-up.yaml",
    "baselines/background_subtraction.py",
    "config/experiments/background-subtraction.yaml",
    "workflow/rules/local.smk",
    "config/mine.yaml",
]


def blocks(document: str, *languages: str) -> list[str]:
    found = BLOCK.findall((ROOT / document).read_text())
    return [text for language, text in found if language in languages]


def examples() -> dict[str, str]:
    """Examples of all documents by the path in their first line."""
    texts = [text for name in DOCUMENTS for text in blocks(name, "yaml", "python", "snakemake")]
    found = {text.splitlines()[0].removeprefix("# "): text for text in texts}
    assert len(found) == len(texts)
    return found


def test_every_block_of_code_is_an_example():
    assert sorted(examples()) == sorted(EXAMPLES)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_notebook_runs_and_holds_no_outputs():
    """Its outputs are made when the site is built; here its code runs as one program."""
    cells = json.loads((ROOT / "docs/decompose.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    printed = run(ROOT / "docs", "-c", "\n".join("".join(cell["source"]) for cell in code))
    assert re.search(r"PictureDecomposition\([1-9]\d* objects", printed)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's sources with the documents' examples dropped in."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("denf", "baselines", "config", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    for path, text in examples().items():
        (folder / path).write_text(text)
    for pictures in ("train", "test", "test-masks"):
        (folder / "photos" / pictures).mkdir(parents=True)
    return folder


def run(folder: Path, *command: str) -> str:
    """Output of a Python module or snippet in the copy, which goes before the installed package."""
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "PATH": search,
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def dry_run(folder: Path, *arguments: str) -> str:
    return run(folder, "-m", "snakemake", "--cores", "2", "--dry-run", *arguments)


def test_example_rows_and_rule_join_the_workflow(copy: Path):
    plan = dry_run(copy, "train_scores", "--configfile", "config/ci.yaml")
    for name in ("background-subtraction", "denf-without-warm-up", "denf"):
        assert f"results/runs/ci-clevr6/{name}/seed-0/train-metrics.json" in plan
    inputs = re.findall(r"rule evaluate_on_train:\s+input: (.*)", plan)
    assert inputs
    assert all(re.search(r"results/data/ci-\w+/train\b", files) for files in inputs)


def test_example_protocol_of_ones_own_data(copy: Path):
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 255, (64, 64, 3), np.uint8)
        for split in ("train", "test"):
            Image.fromarray(pixels).save(copy / f"photos/{split}/{k}.png")
        Image.fromarray(pixels[..., 0] // 100).save(copy / f"photos/test-masks/{k}.png")
    plan = dry_run(copy, "--configfile", "config/mine.yaml", "--printshellcmds")
    assert plan.count("denf train ") == 6  # two experiments, three seeds
    card = "results/mine/figures/data-my-scenes.png"
    run(copy, "-m", "snakemake", card, "--cores", "2", "--configfile", "config/mine.yaml")
    assert (copy / card).stat().st_size > 1000
    splits = [json.loads(f.read_text()) for f in copy.glob("results/data/my-scenes/*/dataset.json")]
    assert [(s["name"], s["count"]) for s in splits] == [("my-scenes", 3)] * 2


def test_example_method_trains_and_is_scored(copy: Path, write_scenes):
    write_scenes(copy / "scenes", count=8)
    steps = ["--set", "training={steps: 60, batch_size: 4}"]
    experiment = "config/experiments/background-subtraction.yaml"
    train = ["train", experiment, "--data", "scenes", "--out", "run", *steps]
    evaluate = ["evaluate", "run", "--data", "scenes", "--out", "metrics.json"]
    call = "from denf.cli import app\n" + "".join(
        f"app({arguments!r}, standalone_mode=False)\n" for arguments in (train, evaluate)
    )
    run(copy, "-c", call)
    metrics = yaml.safe_load((copy / "metrics.json").read_text())
    assert metrics["ari_fg"]["mean"] > 0.5  # squares on grey, that rarely touch
    assert metrics["mse"]["mean"] < 0.1
    history = (copy / "run" / "history.csv").read_text().splitlines()
    losses = [float(line.split(",")[1]) for line in history[1:]]
    assert losses[-1] < losses[0]


def rows(document: str) -> dict[str, list[str]]:
    """Cells of tables' rows by the keys, in backticks, of their first cell."""
    found = {}
    for line in (ROOT / document).read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0].startswith("`"):
            for key in re.findall(r"`([^`]+)`", cells[0]):
                found[key] = cells[1:]
    return found


@pytest.mark.parametrize("document", WITH_TABLES)
def test_tables_are_current(document: str):
    """`denf document DOCUMENT` makes them anew: settings, and scores of the released runs."""
    file = ROOT / document
    assert with_tables(file.read_text(), file.parent) == file.read_text()
    assert len(rows(document)) >= 3


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "reference: config/reference.yaml, 9",
            "number of a table: expected one of 1, 2, 3, got '9'",
        ),
        ("reference: config/reference.yaml", "number of a table: expected one of 1, 2, 3, got ''"),
        ("reference: config/none.yaml, 1", "expected a readable YAML file"),
        ("results: results/none", "results/none: expected run folders with .*, got no such folder"),
        ("results: config", "config: expected run folders with metrics.json in it, got none"),
        ("settings: denff", "method: expected one of air, .* Did you mean denf"),
    ],
)
def test_a_marker_of_nothing_is_named(marker: str, message: str):
    with pytest.raises(DenfError, match=f"^marker <!-- {re.escape(marker)} -->: .*{message}"):
        with_tables(f"<!-- {marker} -->\n<!-- end -->", ROOT)


def test_scores_that_a_run_does_not_have_are_dashes(tmp_path: Path):
    scores = {"ari": {"mean": 0.5}, "ari_fg": {"mean": None}}
    data = {"count": 4, "name": "squares", "size": 16}
    (tmp_path / "monet").mkdir()
    (tmp_path / "monet/metrics.json").write_text(json.dumps({**scores, "data": data}))
    table = with_tables("<!-- results: . -->\n<!-- end -->", tmp_path)
    row = "| `monet` | 4 scenes of squares, 16 × 16 | — | — | 50.0 | — | — | — |"
    assert row in table.splitlines()


@pytest.mark.parametrize("name", method_names())
def test_defaults_in_the_tables_are_those_of_the_method(name):
    """Also of a section whose default in the method is not that of its own type."""
    for key, default, _ in setting_rows(settings_type(name)):
        value = settings_type(name)()
        for part in key.split("."):
            value = getattr(value, part)
        if isinstance(value, int | float):
            assert float(yaml.safe_load(default.strip("`"))) == value, key


def test_every_setting_of_a_package_has_a_row():
    explained = set(rows("config/README.md"))
    for name in method_names():
        modules = method_modules(name)
        if modules.settings != modules.method:
            assert {key for key, _, _ in setting_rows(settings_type(name))} <= explained, name
        if modules.aids:
            assert {key for key, _, _ in setting_rows(aids_type(name))} <= explained, name


def test_every_key_of_protocols_and_experiments_is_explained():
    keys = {key for kind in dataset_types().values() for key, _, _ in setting_rows(kind)}
    keys |= {key for key, _, _ in setting_rows(Protocol)}
    keys |= {key for key, _, _ in setting_rows(Experiment)}
    assert keys - set(rows("config/README.md")) == set()


def all_commands() -> list[tuple[str, list[str]]]:
    """Document and words of every command in a shell block, without `uv run` and its group."""
    found = []
    for document in DOCUMENTS:
        for text in blocks(document, "sh"):
            for command in re.split(r"\n|&&", text.replace("\\\n", " ")):
                words = shlex.split(command, comments=True)
                if words[:2] == ["uv", "run"]:
                    words = words[4:] if words[2] == "--group" else words[2:]
                if words:
                    found.append((document, words))
    return found


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Document and arguments of every call of a program in a shell block."""
    found = [(document, words[1:]) for document, words in all_commands() if words[0] == program]
    assert found
    return found


def test_programs_and_files_of_commands_exist():
    tools = {"denf", "snakemake", "pytest", "ruff", "mypy", "snakefmt", "mkdocs", "python"}
    for document, (program, *words) in all_commands():
        assert program in {*tools, "uv", "source", "export"} or (ROOT / program).is_file(), document
        if program in ("pytest", "python"):
            files = [word for word in words if word.endswith(".py")]
            assert all((ROOT / file).is_file() for file in files), document
        if program == "python" and words[0] == "-m":
            assert (ROOT / words[1].replace(".", "/")).with_suffix(".py").is_file(), document


@pytest.mark.parametrize(("document", "words"), commands("denf"))
def test_commands_in_the_documents_exist(document: str, words: list[str]):
    command = get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, document
        command, words = command.commands[words[0]], words[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    required = {p.opts[0] for p in command.params if p.required and p.param_type_name == "option"}
    assert required <= set(words)


@pytest.mark.parametrize(("document", "words"), commands("snakemake"))
def test_workflow_commands_in_the_documents_are_read_as_meant(document: str, words: list[str]):
    """A target after an option of several values would be taken for one of them."""
    given, _ = get_argument_parser().parse_known_args(words)
    assert set(given.targets) <= {"all", "data", "train_scores"}
    for file in given.configfile or []:
        assert (ROOT / file).exists() or str(file) in EXAMPLES
    for profile in given.profile or []:
        assert (ROOT / profile / "config.yaml").exists()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str):
    text = (ROOT / document).read_text()
    links = re.findall(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text)
    near = [link for link in links if "://" not in link]
    assert [link for link in near if not ((ROOT / document).parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_experiments_exist(document: str):
    text = (ROOT / document).read_text()
    named = set(re.findall(r"config/experiments/([\w-]+)\.yaml", text))
    here = {path.stem for path in (ROOT / "config" / "experiments").glob("*.yaml")}
    assert named - here <= {Path(path).stem for path in EXAMPLES}
