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

from baselines.blockgan.method import Blockgan
from baselines.blockgan.scenes import draw_poses
from baselines.blockgan.settings import BlockganSettings, Poses
from baselines.blocks.volume import Camera, perspective_matrix, pose_matrix, resample
from denf.harness.method import Step

UNSEEN = torch.diag(torch.tensor([3.5, 3.5, 3.5, 1.0]))  # the cube to 8³ voxels, no perspective


def pose(azimuth=0.0, elevation=0.0, scale=1.0, shift=(0.0, 0.0, 0.0)) -> Tensor:
    numbers = (torch.tensor([v]) for v in (azimuth, elevation, scale))
    return pose_matrix(*numbers, torch.tensor([shift]))


@pytest.fixture(scope="module")
def volume() -> Tensor:
    return torch.randn(1, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_identity_pose_changes_nothing(volume):
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


def test_quarter_turns_equal_rotations_of_the_array(volume):
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
    # SciPy maps output to input indices (z, y, x). Its border is sharp, ours fades to zero.
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


def test_far_objects_are_smaller():
    slab = torch.zeros(1, 1, 32, 32, 32)
    slab[:, :, 12:20] = 1
    view = perspective_matrix(Camera())
    areas = []
    for depth in (-1.5, 0.0, 1.5):
        seen = resample(slab, pose(scale=0.2, shift=(0.0, 0.0, depth)), view)
        areas.append(float(seen.amax(2).sum()))
    assert areas[0] > areas[1] > areas[2] > 0


def test_the_far_side_is_higher_in_the_image_at_larger_elevations():
    """A marker behind the centre, at camera elevations from 0 to 35 degrees."""
    marker = torch.zeros(1, 1, 16, 16, 16)
    marker[:, :, 11:13, 7:9, 7:9] = 1  # z > 0
    still = Poses(azimuth_high=0, scale_low=1, scale_high=1, x_low=0, x_high=0, z_low=0, z_high=0)
    view, published = perspective_matrix(Camera()), BlockganSettings()
    rows = []
    for share in (0.0, 0.5, 1.0):
        low, high = published.elevation_low, published.elevation_high
        elevation = torch.tensor([low + share * (high - low)])
        pose = draw_poses(still, elevation, torch.Generator().manual_seed(0))
        seen = resample(marker, pose, view)[0, 0].sum((0, 2))  # over depth and columns
        rows.append(float((seen * torch.arange(16)).sum() / seen.sum()))
    assert rows[0] == pytest.approx(7.5, abs=0.01)  # elevation 0: in the middle
    assert rows[0] - 1 > rows[1]  # row 0 is the top
    assert rows[1] - 1 > rows[2]


def test_one_elevation_is_shared_by_all_objects_and_the_background(blockgan):
    scenes = blockgan.scenes(5, torch.Generator().manual_seed(0))
    poses = torch.cat((scenes.object_poses, scenes.background_poses[:, None]), 1)
    linear = poses[:, :, :3, :3]
    scale = linear.det().pow(1 / 3)
    cosine = linear[:, :, 1, 1] / scale  # R_x R_y leaves cos(elevation) in the middle
    torch.testing.assert_close(cosine, cosine[:, :1].expand_as(cosine), rtol=1e-4, atol=1e-5)
    assert cosine[:, 0].std() > 0.01  # scenes differ


def test_all_updates_of_a_step_use_the_same_scenes():
    torch.manual_seed(0)
    method = Blockgan(BlockganSettings(size=16, width=2, objects=2)).train()
    method.optimizers = method.make_optimizers()
    shown: list[tuple[Tensor, ...]] = []
    method.generator.register_forward_pre_hook(lambda _, scenes: shown.append(scenes))
    images = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    method.training_step(images, Step(0, 2, torch.Generator().manual_seed(0)))
    assert len(shown) == 1 + 2  # of the discriminator and of the generator
    for other in shown[1:]:
        assert all(torch.equal(a, b) for a, b in zip(shown[0], other, strict=True))


def test_poses_are_in_their_ranges():
    ranges = Poses(scale_low=0.5, scale_high=0.8)
    elevation = torch.linspace(0, 35, 200)
    matrices = draw_poses(ranges, elevation, torch.Generator().manual_seed(0))
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
    z, poses = torch.randn(2, 3, 4), draw_poses(Poses(), torch.full((6,), 20.0), random)
    z0, pose0 = torch.randn(2, 3), draw_poses(Poses(), torch.full((2,), 20.0), random)
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
