"""BlockGAN: poses and perspective of volumes against plain geometry, composition by maximum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from baselines.blockgan import Blockgan, BlockganSettings, Poses
from baselines.blocks.volume import Camera, perspective_matrix, pose_matrix, resample

UNSEEN = torch.diag(torch.tensor([3.5, 3.5, 3.5, 1.0]))  # the cube to 8³ voxels, no perspective


def pose(azimuth=0.0, elevation=0.0, scale=1.0, shift=(0.0, 0.0, 0.0)) -> Tensor:
    numbers = (torch.tensor([v]) for v in (azimuth, elevation, scale))
    return pose_matrix(*numbers, torch.tensor([shift]))


@pytest.fixture(scope="module")
def volume() -> Tensor:
    return torch.randn(1, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def test_no_pose_changes_nothing(volume):
    torch.testing.assert_close(resample(volume, pose(), UNSEEN), volume)


@pytest.mark.parametrize("shift", [(1, 0, 0), (0, -2, 0), (0, 0, 3)])
def test_whole_shifts_move_voxels_and_leave_zeros(volume, shift):
    moved = resample(volume, pose(shift=tuple(map(float, shift))), UNSEEN)
    expected = np.zeros_like(volume[0].numpy())
    source = volume[0].numpy()
    for index in np.ndindex(8, 8, 8):
        z, y, x = (i - s for i, s in zip(index, shift[::-1], strict=True))
        if min(x, y, z) >= 0 and max(x, y, z) < 8:
            expected[:, *index] = source[:, z, y, x]
    torch.testing.assert_close(moved[0], torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


def test_quarter_turns_are_those_of_the_axes(volume):
    about_y = resample(volume, pose(azimuth=math.pi / 2), UNSEEN)
    torch.testing.assert_close(about_y, volume.rot90(1, (4, 2)), rtol=1e-4, atol=1e-4)
    about_x = resample(volume, pose(elevation=math.pi / 2), UNSEEN)
    torch.testing.assert_close(about_x, volume.rot90(1, (3, 2)), rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=10)
@given(
    azimuth=st.floats(0, 6.2),
    elevation=st.floats(-1, 1),
    scale=st.floats(0.5, 1.5),
    shift=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_any_pose_equals_scipys_affine_transform(volume, azimuth, elevation, scale, shift):
    matrix = pose(azimuth, elevation, scale, shift)
    moved = resample(volume, matrix, UNSEEN)
    # SciPy maps output to input indices (z, y, x); its border is cut off, ours fades to zero.
    inner = np.linalg.inv(matrix[0].numpy().astype(float))
    linear, offset = inner[:3, :3][::-1, ::-1], inner[:3, 3][::-1]
    middle = np.full(3, 3.5)
    start = middle + offset - linear @ middle
    for channel in range(2):
        padded = np.pad(volume[0, channel].numpy(), 1)
        expected = affine_transform(
            padded, linear, start + 1, output_shape=(8, 8, 8), order=1, mode="constant"
        )
        np.testing.assert_allclose(moved[0, channel].numpy(), expected, atol=1e-3)


def test_perspective_is_the_homography_of_the_frustums_corners():
    """Solved from the four corners in the plane y = 0, as for any homography."""
    camera = Camera()
    near, far = 0.75 * camera.distance, 1.25 * camera.distance
    half = camera.sensor / (2 * camera.focal)
    corners = [  # (u, w) in the cube, (x, z) in the world
        ((-1, 1), (-half * far, far - camera.distance)),
        ((1, 1), (half * far, far - camera.distance)),
        ((1, -1), (half * near, near - camera.distance)),
        ((-1, -1), (-half * near, near - camera.distance)),
    ]
    rows = []
    for (u, w), (x, z) in corners:
        rows.append([u, w, 1, 0, 0, 0, -x * u, -x * w, -x])
        rows.append([0, 0, 0, u, w, 1, -z * u, -z * w, -z])
    solution = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    ours = perspective_matrix(camera).numpy().astype(float)[np.ix_([0, 2, 3], [0, 2, 3])]
    np.testing.assert_allclose(ours / ours[2, 2], solution / solution[2, 2], atol=1e-6)


def test_far_things_look_smaller():
    slab = torch.zeros(1, 1, 32, 32, 32)
    slab[:, :, 12:20] = 1
    view = perspective_matrix(Camera())
    areas = []
    for depth in (-1.5, 0.0, 1.5):
        seen = resample(slab, pose(scale=0.2, shift=(0.0, 0.0, depth)), view)
        areas.append(float(seen.amax(2).sum()))
    assert areas[0] > areas[1] > areas[2] > 0


def test_poses_lie_in_their_ranges():
    ranges = Poses(scale_low=0.5, scale_high=0.8)
    matrices = ranges.draw(200, torch.Generator().manual_seed(0), torch.device("cpu"))
    scale = matrices[:, :3, :3].det().pow(1 / 3)
    assert 0.5 - 1e-5 <= scale.min() < 0.52
    assert 0.78 < scale.max() <= 0.8 + 1e-5
    x, y, z = matrices[:, :3, 3].unbind(1)
    assert (x.min() >= -3) & (x.max() <= 4) & (z.min() >= -5) & (z.max() <= 6)
    assert (y == 0).all()
    turn = matrices[:, :3, :3] / scale[:, None, None]
    torch.testing.assert_close(
        turn @ turn.transpose(1, 2), torch.eye(3).expand(200, 3, 3), rtol=1e-4, atol=1e-5
    )


@pytest.fixture(scope="module")
def blockgan() -> Blockgan:
    torch.manual_seed(0)
    kind = BlockganSettings(size=32, width=2, objects=3, object_latent=4, background_latent=3)
    return Blockgan(kind).eval()


@torch.no_grad()
def test_composition_is_the_maximum_over_objects_and_background(blockgan):
    random = torch.Generator().manual_seed(0)
    z, poses = torch.randn(2, 3, 4), Poses().draw(6, random, torch.device("cpu"))
    z0, pose0 = torch.randn(2, 3), Poses().draw(2, random, torch.device("cpu"))
    generator = blockgan.generator
    seen = generator.compose(z, poses.unflatten(0, (2, 3)), z0, pose0)
    for b in range(2):
        layers = [resample(generator.background(z0[b : b + 1]), pose0[b : b + 1], generator.view)]
        for k in range(3):
            solid = generator.object(z[b, k : k + 1])
            layers.append(resample(solid, poses[3 * b + k][None], generator.view))
        torch.testing.assert_close(seen[b], torch.cat(layers).amax(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [16, 64, 128])
def test_images_of_every_size(size):
    method = Blockgan(BlockganSettings(size=size, width=2)).eval()
    with torch.no_grad():
        images = method.sample(2, torch.Generator().manual_seed(0))
    assert images.shape == (2, 3, size, size)


def test_the_style_heads_pull_the_generator_by_their_weight():
    torch.manual_seed(0)
    method = Blockgan(BlockganSettings(size=16, width=2, generator_style=0.7)).eval()
    terms = method.generator_terms(3, torch.Generator().manual_seed(0))
    forged = method.discriminator(method.draw(3, torch.Generator().manual_seed(0)))
    styles = sum(F.softplus(-head).mean() for head in forged.styles)
    torch.testing.assert_close(terms["objective"], -forged.real.mean() + 0.7 * styles)


@torch.no_grad()
@pytest.mark.parametrize(("std", "alive"), [(0.02, False), (0.16, True)])
def test_narrow_networks_need_larger_initial_weights(std, alive):
    torch.manual_seed(0)
    method = Blockgan(BlockganSettings(size=64, width=4, weight_std=std)).eval()
    images = method.sample(8, torch.Generator().manual_seed(0)).float()
    assert (float(images.std()) > 3) == alive
