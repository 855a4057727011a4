"""The card of a data set against the content of the prepared folders."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from denf.errors import DenfError
from denf.report.card import card, mean_image, objects_per_scene, write_card


@pytest.fixture
def splits(tmp_path, write_scenes):
    return [
        write_scenes(tmp_path / "train", count=20, objects=3),
        write_scenes(tmp_path / "test", count=5, objects=2, seed=1),
    ]


def test_counts_means_and_examples_equal_those_of_the_data(splits):
    for split in splits:
        counts = [len(np.unique(mask[mask > 0])) for mask in split.masks]
        assert objects_per_scene(split) == {n: counts.count(n) for n in sorted(set(counts))}
        np.testing.assert_array_equal(mean_image(split), split.images.mean(0).round())
    figure = card(splits)
    text = "\n".join(line.get_text() for line in figure.texts)
    assert "squares, 16 × 16 pixels" in text
    assert "20 scenes" in text
    assert "5 scenes" in text
    bars = [axes for axes in figure.axes if axes.patches]
    assert len(bars) == 1
    heights = sum(patch.get_height() for patch in bars[0].patches)
    assert heights == pytest.approx(200)  # per cent of two splits
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    assert len(shown) == 2 + 16 * 2  # means, examples, masks
    np.testing.assert_array_equal(shown[0], mean_image(splits[0]))
    np.testing.assert_array_equal(shown[2], splits[0].images[0])


def test_the_file_is_an_image_and_equal_for_equal_data(splits, tmp_path):
    first, second = (
        write_card([s.folder for s in splits], tmp_path / name) for name in ("a.png", "b.png")
    )
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as picture:
        assert np.asarray(picture.convert("L")).std() > 5


def test_without_masks_there_is_no_histogram(splits, tmp_path):
    figure = card([replace(splits[0], masks=None)])
    assert not any(axes.patches for axes in figure.axes)
    assert sum(bool(axes.images) for axes in figure.axes) == 1 + 16


def test_splits_of_different_sets_and_old_descriptions_are_refused(splits, tmp_path, write_scenes):
    other = write_scenes(tmp_path / "other", size=24)
    with pytest.raises(DenfError, match="splits of one data set, got squares at 16, squares at 24"):
        write_card([splits[0].folder, other.folder], tmp_path / "c.png")
    for name in ("c.pdf", "card"):
        with pytest.raises(DenfError, match=rf"file name that ends in \.png, got '{name}'"):
            write_card([splits[0].folder], tmp_path / name)
    description = splits[0].folder / "dataset.json"
    info = json.loads(description.read_text())
    del info["objects_per_scene"]
    description.write_text(json.dumps(info))
    with pytest.raises(DenfError, match="prepare the data again"):
        write_card([splits[0].folder], tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()
