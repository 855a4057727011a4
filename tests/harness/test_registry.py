"""Finding methods, and which source files a result depends on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from denf.errors import DenfError
from denf.harness.method import Method
from denf.harness.registry import (
    ROOT,
    aids_type,
    method_modules,
    method_names,
    method_type,
    settings_type,
)
from denf.harness.sources import Purpose, code_hash, source_files


def files(purpose: Purpose, method: str | None = None) -> set[str]:
    modules = [*purpose.value, *([] if method is None else [method_modules(method).method])]
    return {path.relative_to(ROOT).as_posix() for path in source_files(*modules)}


def test_methods_are_the_files_of_baselines_and_denf():
    files = {p.stem for p in (ROOT / "baselines").glob("*.py")} - {"__init__"}
    packages = {p.parent.name for p in (ROOT / "baselines").glob("*/method.py")}
    names = {name.replace("_", "-") for name in files | packages}
    assert set(method_names()) >= {"denf"} | names
    assert not {"blocks", "controls"} & set(method_names())
    for name in method_names():
        assert issubclass(method_type(name), Method)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(
        DenfError, match=r"expected one of air, .*k-means.*got 'k_means'. Did you mean k-means"
    ):
        method_type("k_means")


def test_training_depends_on_the_model_and_not_on_what_is_made_of_it():
    found = files(Purpose.TRAIN, "denf")
    assert found >= {
        "denf/__init__.py",
        "denf/method.py",
        "denf/flow/coupling.py",
        "denf/flow/__init__.py",
        "denf/model/losses.py",
        "denf/model/__init__.py",
        "denf/harness/train.py",
        "denf/harness/__init__.py",
        "denf/data/prepared.py",
    }
    foreign = ("denf/report", "denf/cli", "denf/metrics", "denf/data/scenes", "baselines/")
    scorer = {"denf/metrics/__init__.py", "denf/metrics/ari.py"}  # of the learning curve
    assert {path for path in found if path.startswith(foreign)} == scorer


def test_other_purposes():
    assert "denf/metrics/ari.py" in files(Purpose.EVALUATE, "denf")
    assert "denf/harness/train.py" not in files(Purpose.EVALUATE, "denf")
    assert "denf/metrics/fid.py" in files(Purpose.FID, "denf")
    assert "denf/metrics/features.py" in files(Purpose.FID, "denf")
    assert "denf/harness/generate.py" in files(Purpose.FID, "denf")
    assert "denf/harness/scores.py" not in files(Purpose.FID, "denf")
    control = files(Purpose.TRAIN, "k-means")
    assert "baselines/controls/k_means.py" in control
    assert not any(path.startswith(("denf/flow", "baselines/true")) for path in control)
    rendering = files(Purpose.RENDER)
    assert "denf/data/scenes/raycast.py" in rendering
    assert not any(path.startswith(("denf/model", "denf/harness")) for path in rendering)
    for purpose in (Purpose.TABLES, Purpose.FIGURES):
        assert files(purpose)
        assert not any(path.startswith(("denf/model", "denf/flow")) for path in files(purpose))


PACKAGES = [name for name in method_names() if method_modules(name).method.endswith(".method")]


@pytest.mark.parametrize("name", PACKAGES)
def test_settings_of_a_package_need_no_torch(name):
    """They are checked in milliseconds, whenever the workflow reads its experiments."""
    modules = method_modules(name)
    for module in (modules.settings, modules.aid_settings):
        for path in source_files(module) if module else ():
            imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
            assert "torch" not in imported, path


@pytest.mark.parametrize("name", PACKAGES)
def test_every_field_has_its_sentence(name):
    modules = method_modules(name)
    kinds = [settings_type(name), *([aids_type(name)] if modules.aids else [])]
    for kind in kinds:
        assert [key for key, f in kind.model_fields.items() if not f.description] == []


@pytest.mark.parametrize("name", [n for n in PACKAGES if method_modules(n).aids])
def test_aids_are_no_settings_and_off_by_default(name):
    assert not aids_type(name).model_fields.keys() & settings_type(name).model_fields.keys()
    aids_type(name)()  # every aid has a default
    assert issubclass(method_type(name, aided=True), method_type(name))


def test_an_edit_of_aids_is_seen_by_rows_with_aids_alone(edited):
    plain, aided = (edited(Purpose.TRAIN, "air", None, aided=a) for a in (False, True))
    assert plain != aided
    for file in ("baselines/air/aids.py", "baselines/air/aid_settings.py"):
        assert edited(Purpose.TRAIN, "air", file) == plain
        assert edited(Purpose.TRAIN, "air", file, aided=True) != aided


def test_every_purpose_is_a_module():
    for module in (module for purpose in Purpose for module in purpose.value):
        assert ROOT.joinpath(*module.split(".")).with_suffix(".py").exists()


@pytest.fixture
def edited(tmp_path):
    """The hash of a copy of the sources in which a file has got one more line."""
    copies = 0

    def code(
        purpose: Purpose,
        method: str | None,
        file: str | None,
        *,
        aided: bool = False,
        line: str = "\nEDITED = True\n",
    ) -> str:
        nonlocal copies
        copies += 1  # a process reads a file once: every edit gets a copy of its own
        root = tmp_path / str(copies)
        for package in ("denf", "baselines"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, root / package, ignore=ignored)
        if file is not None:
            path = root / file
            path.write_text(path.read_text() + line)
        return code_hash(purpose, method, aided=aided, root=root)

    return code


def test_an_edit_of_the_model_is_seen_and_one_of_a_plot_is_not(edited):
    plain = edited(Purpose.TRAIN, "denf", None)
    assert plain == code_hash(Purpose.TRAIN, "denf")
    for file in ("denf/flow/coupling.py", "denf/model/losses.py", "denf/harness/train.py"):
        assert edited(Purpose.TRAIN, "denf", file) != plain, file
    for file in ("denf/report/curves.py", "denf/cli/train.py", "baselines/controls/k_means.py"):
        assert edited(Purpose.TRAIN, "denf", file) == plain, file


def test_a_comment_or_a_docstring_retrains_nothing(edited, tmp_path):
    plain = code_hash(Purpose.TRAIN, "denf")
    assert edited(Purpose.TRAIN, "denf", "denf/flow/coupling.py", line="\n# why\n") == plain
    path = tmp_path / "1" / "denf" / "flow" / "coupling.py"
    path.write_text(path.read_text().replace('"""', '"""Said in another way. ', 1))
    assert code_hash(Purpose.TRAIN, "denf", root=tmp_path / "1" / ".") == plain


def test_an_edited_sentence_under_a_setting_retrains_nothing(edited, tmp_path):
    file, sentence = "denf/model/settings/losses.py", "Presence above which a cell counts"
    plain = edited(Purpose.TRAIN, "denf", file, line="\n")
    path = tmp_path / "1" / file
    assert sentence in path.read_text()
    path.write_text(path.read_text().replace(sentence, "The least presence of a cell that counts"))
    assert code_hash(Purpose.TRAIN, "denf", root=tmp_path / "1") == plain


def test_an_edit_of_the_page_s_template_is_seen(edited):
    plain = code_hash(Purpose.PAGE)
    template = "denf/report/page/templates/page.css"
    assert edited(Purpose.PAGE, None, template, line="\n/* edited */\n") != plain
    assert edited(Purpose.TABLES, None, template) == code_hash(Purpose.TABLES)


def test_imports_are_followed_in_every_form(tmp_path):
    def write(name: str, text: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    expected = {
        write("baselines/__init__.py"),
        write("baselines/own.py", "import denf.a\nfrom .parts import net\nfrom . import bare\n"),
        write("baselines/bare.py"),
        write("baselines/parts/__init__.py", "from .. import above"),
        write("baselines/parts/net.py", "def f():\n    from denf import late\n"),
        write("baselines/above.py", "import torch\nfrom os import path"),
        write("denf/__init__.py"),
        write("denf/a.py", "from denf.b import c as d"),
        write("denf/b/__init__.py"),
        write("denf/b/c.py", "import denf.a"),  # a circle
        write("denf/late.py"),
    }
    write("denf/unused.py", "import baselines.own")
    assert set(source_files("baselines.own", root=tmp_path)) == expected
