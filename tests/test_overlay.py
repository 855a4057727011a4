"""Overlays: outlines along the labels' edges, boxes and numbers, in the palette's colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from denf.overlay import SIDE, outlines, overlay
from denf.palette import instance_bytes


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (7, 9), elements=st.integers(0, 3)), st.integers(1, 2))
def test_an_outline_is_what_lies_near_another_label(labels, width):
    height, columns = labels.shape
    expected = np.zeros(labels.shape, bool)
    for y in range(height):
        for x in range(columns):
            window = labels[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
            expected[y, x] = labels[y, x] > 0 and (window != labels[y, x]).any()
    np.testing.assert_array_equal(outlines(labels, width), expected)


@pytest.fixture
def scene():
    """Two objects that touch, and one at the picture's edge, on plain grey."""
    labels = np.zeros((32, 32), np.uint8)
    labels[4:20, 4:12], labels[4:20, 12:20], labels[24:32, 20:32] = 1, 2, 3
    return np.full((32, 32, 3), 128, np.uint8), labels


def test_outlines_have_the_colours_of_their_objects(scene):
    image, labels = scene
    inner = [[7, 11, 9, 15], [15, 11, 17, 15], [26, 28, 30, 30]]  # away from the outlines
    drawn = np.asarray(overlay(image, labels, inner))
    factor = SIDE // 32
    assert drawn.shape == (SIDE, SIDE, 3)
    colours = instance_bytes(3)
    large = labels.repeat(factor, 0).repeat(factor, 1)
    for number, (y, x) in {1: (4, 4), 2: (4, 18), 3: (24, 21)}.items():
        assert (drawn[factor * y + 1, factor * x + 1] == colours[number - 1]).all()
    for y in (5, 10, 18):  # the seam of two objects, from both sides
        np.testing.assert_array_equal(drawn[factor * y, 12 * factor - 1], colours[0])
        np.testing.assert_array_equal(drawn[factor * y, 12 * factor], colours[1])
    for k, colour in enumerate(colours):  # no colour outside its object
        assert (large[(drawn == colour).all(axis=2)] == k + 1).all()
    assert (drawn[:64, 400:] == 128).all()  # the picture where nothing was found


def test_boxes_and_numbers_stay_in_the_picture(scene):
    image, labels = scene
    boxes = [[-9, -9, 40, 40], [22, 2, 30, 10], [22, 2, 30, 10]]
    drawn = np.asarray(overlay(image, labels, boxes))
    first, second, third = instance_bytes(3)
    edge = [drawn[0, 200:480], drawn[-1, 20:480], drawn[200:480, 0], drawn[20:480, -1]]
    assert all((line == first).all(axis=1).mean() > 0.9 for line in edge)
    above = drawn[:32, 352:496].reshape(-1, 3)  # one box hides the other, but not its number
    assert (above == second).all(axis=1).sum() > 100
    assert (above == third).all(axis=1).sum() > 100


def test_a_large_picture_keeps_its_size_and_nothing_found_leaves_it():
    image = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    drawn = overlay(image, np.zeros((600, 600), np.uint8), [])
    np.testing.assert_array_equal(np.asarray(drawn), image)
