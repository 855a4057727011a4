"""Whole objects over the background: every cell of each, however many there are."""

from __future__ import annotations

import torch

from denf.model.instances import Decomposition
from denf.singles import whole_objects


def images(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8, generator=generator)


def test_nine_objects_give_nine_and_each_keeps_its_own_cells():
    labels = torch.zeros(2, 12, 12, dtype=torch.long)
    for k in range(9):  # a picture of 3 × 3 objects, one with a hole
        row, column = divmod(k, 3)
        labels[0, 4 * row : 4 * row + 3, 4 * column : 4 * column + 3] = k + 1
    labels[0, 1, 1] = 0
    labels[1, 2:5, 0:12] = 1
    # Boxes smaller than their objects, as the paper's mask would cut them out.
    boxes = [torch.linspace(0, 1, 36).view(9, 4), torch.tensor([[0.4, 0.2, 0.5, 0.3]])]
    x_bg, x_fg = images(0), images(1)
    found = whole_objects(Decomposition(labels, labels.clamp(min=1), boxes), x_bg, x_fg)
    assert found["single_count"].tolist() == [9, 1]
    assert found["singles"].shape == (2, 9, 12, 12, 3)
    for b in range(2):
        for k in range(9):
            for y in range(12):
                for x in range(12):
                    source = x_fg if labels[b, y, x] == k + 1 else x_bg
                    assert torch.equal(found["singles"][b, k, y, x], source[b, :, y, x])
    torch.testing.assert_close(found["boxes"][0], 12 * boxes[0])
    torch.testing.assert_close(found["boxes"][1, :1], 12 * boxes[1])
    assert found["boxes"][1, 1:].isnan().all()
    assert torch.equal(found["labels"], labels)


def test_no_object_in_any_image():
    nothing = torch.zeros(2, 12, 12, dtype=torch.long)
    empty = [torch.empty(0, 4)] * 2
    found = whole_objects(Decomposition(nothing, nothing + 1, empty), images(0), images(1))
    assert found["singles"].shape == (2, 0, 12, 12, 3)
    assert found["boxes"].shape == (2, 0, 4)
