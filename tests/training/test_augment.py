"""ADA's transforms against cases by hand, their invariance when off, and the controller's arithmetic."""

import math

import pytest
import torch

from metagan.training import augment as ada
from metagan.training.augment import GROUPS, Augmenter, Controller
from metagan.values import Size


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def smooth(height: int = 32, width: int = 32) -> torch.Tensor:
    """A picture without fine detail, which resampling keeps."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    channels = (x, y, torch.exp(-((x - 0.3) ** 2 + y**2) * 4))
    return torch.stack(channels)[None]


def augment(name: str, images, p: float, rng):
    drawn = GROUPS[name].draw(len(images), Size.square(images.shape[-1]), p, rng)
    return GROUPS[name].apply(images, drawn, rng)


def test_strength_0_gives_the_very_same_tensor(images, rng):
    augmenter = Augmenter(tuple(GROUPS))
    assert augmenter(images, augmenter.draw(6, 16, 0.0, rng), rng) is images


def test_without_groups_every_strength_gives_the_very_same_tensor(images, rng):
    augmenter = Augmenter(())
    assert augmenter(images, augmenter.draw(6, 16, 1.0, rng), rng) is images


def test_the_groups_follow_each_other_in_the_papers_order(images):
    augmenter = Augmenter(("colour", "blit"))
    drawn = augmenter.draw(6, 16, 1.0, torch.Generator().manual_seed(2))
    assert list(drawn) == ["blit", "colour"]
    rng, want = torch.Generator().manual_seed(2), images
    for name in drawn:
        want = augment(name, want, 1.0, rng)
    assert torch.equal(augmenter(images, drawn, rng), want)


def test_half_a_batch_with_its_rows_becomes_what_it_becomes_in_the_whole_one(images, rng):
    augmenter = Augmenter(("blit", "geometry", "colour", "filter", "cutout"))
    drawn = augmenter.draw(6, 16, 0.8, rng)
    halves = [
        augmenter(images[rows], {name: drawn[name][rows] for name in drawn}, rng)
        for rows in (slice(0, 3), slice(3, 6))
    ]
    assert torch.allclose(torch.cat(halves), augmenter(images, drawn, rng), atol=1e-5)


@pytest.mark.parametrize("name", ["blit", "geometry", "cutout", "noise"])
def test_a_picture_that_draws_no_transform_stays_bit_by_bit(name, images, rng):
    assert torch.equal(augment(name, images, 0.0, rng), images)


@pytest.mark.parametrize("name", ["colour", "filter"])
def test_a_picture_that_draws_no_recolouring_stays_up_to_rounding(name, images, rng):
    assert torch.allclose(augment(name, images, 0.0, rng), images, atol=1e-5)


@pytest.mark.parametrize("name", list(GROUPS))
def test_every_transform_changes_pictures_and_passes_gradients(name, images, rng):
    images = images.requires_grad_()
    changed = augment(name, images, 1.0, rng)
    assert changed.shape == images.shape
    assert not torch.allclose(changed, images)
    changed.square().sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("name", list(GROUPS))
def test_the_same_source_gives_the_same_pictures(name, images):
    draws = [augment(name, images, 0.5, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*draws)


# ---------------------------------------------------------------------------------------------
# Pixels


def move(images, *, mirrored=0, turns=0, right=0, down=0):
    whole = (torch.full((len(images),), value) for value in (mirrored, turns, right, down))
    return ada.move_pixels(images, *whole)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [0, 1])
def test_mirroring_and_quarter_turns_are_exact(images, mirrored, turns):
    want = (images.flip(3) if mirrored else images).rot90(turns, (2, 3))
    assert torch.equal(move(images, mirrored=mirrored, turns=turns), want)


def spread(images: torch.Tensor, side: int = 96) -> torch.Tensor:
    """Pictures in the middle of what they mirror into beside them, [n, c, side, side]."""
    height, width = images.shape[2:]
    rows = ada.mirror_index(torch.arange(side) - (side - height) // 2, height)
    columns = ada.mirror_index(torch.arange(side) - (side - width) // 2, width)
    return images[:, :, rows][:, :, :, columns]


def middle(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The middle of square pictures."""
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [0, 1])
@pytest.mark.parametrize(("height", "width"), [(32, 16), (16, 24)])
def test_rectangles_are_moved_about_their_middle(turns, mirrored, height, width):
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    large = spread(images)
    want = (large.flip(3) if mirrored else large).rot90(turns, (2, 3)).roll((-3, 2), (2, 3))
    moved = move(images, mirrored=mirrored, turns=turns, right=2, down=-3)
    assert torch.equal(moved, middle(want, height, width))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(48, 24), (32, 48)])
def test_rectangles_are_resampled_about_their_middle(turns, height, width):
    images = smooth(height, width)
    turned = ada.resample(images, ada._rotation(torch.tensor([turns * math.pi / 2])))
    want = middle(spread(images).rot90(turns, (2, 3)), height, width)
    assert torch.allclose(turned[:, :, 12:-12, 8:-8], want[:, :, 12:-12, 8:-8], atol=0.05)
    matrix = torch.eye(3)[None].clone()
    matrix[:, 0, 2], matrix[:, 1, 2] = -3, 2
    moved = ada.resample(images, matrix)
    assert torch.allclose(
        moved[:, :, 8:-8, 8:-8],
        middle(spread(images).roll((-2, 3), (2, 3)), height, width)[:, :, 8:-8, 8:-8],
        atol=0.02,
    )


def test_shifts_are_shares_of_each_side(rng):
    moves = ada.draw_moves(5000, Size(64, 32), 1.0, rng)
    assert [int(moves[:, place].abs().max()) for place in (2, 3)] == [8, 4]
    shifts = ada.draw_warps(20_000, Size(64, 32), 1.0, rng)[:, :2, 2]
    assert shifts[:, 0].std() > 0
    augmenter = Augmenter(tuple(GROUPS))
    images = torch.randn(4, 3, 32, 64)
    assert augmenter(images, augmenter.draw(4, Size(64, 32), 0.9, rng), rng).shape == images.shape


def test_whole_pixel_shifts_are_exact_and_mirror_at_the_edge(images):
    moved = move(images, right=2, down=-3)
    assert torch.equal(moved[:, :, :-3, 2:], images[:, :, 3:, :-2])
    assert torch.equal(moved[:, :, :-3, 1], images[:, :, 3:, 0])
    assert torch.equal(moved[:, :, -1, 2:], images[:, :, -3, :-2])


def test_resampling_by_the_identity_is_the_identity(images):
    same = ada.resample(images.double(), torch.eye(3).double().repeat(6, 1, 1))
    assert torch.allclose(same[:, :, 4:-4, 4:-4], images.double()[:, :, 4:-4, 4:-4], atol=1e-9)
    assert torch.allclose(ada.resample(smooth(), torch.eye(3)[None]), smooth(), atol=0.01)


def test_resampling_by_a_whole_pixel_shift_shifts(images):
    matrix = torch.eye(3).repeat(6, 1, 1)
    matrix[:, 0, 2] = -2  # the output shows what lies two pixels to the left: the picture moves right
    moved = ada.resample(images, matrix)
    assert torch.allclose(moved[:, :, 4:-4, 6:-4], images[:, :, 4:-4, 4:-6], atol=1e-5)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_resampling_by_quarter_turns_turns(turns):
    angle = torch.tensor([turns * math.pi / 2])
    turned = ada.resample(smooth(), ada._rotation(angle))
    want = smooth().rot90(turns, (2, 3))
    assert torch.allclose(turned[:, :, 4:-4, 4:-4], want[:, :, 4:-4, 4:-4], atol=0.03)


def test_resampling_by_a_scale_enlarges():
    half = torch.tensor([0.5])
    enlarged = ada.resample(smooth(), ada._scaling(half, half))
    assert torch.allclose(enlarged[:, :2, 4:-4, 4:-4], smooth()[:, :2, 4:-4, 4:-4] / 2, atol=0.02)


def test_the_resampling_filter_is_orthonormal():
    taps = torch.tensor(ada.SYM6, dtype=torch.float64)
    for shift in range(0, 12, 2):
        product = (taps[: 12 - shift] * taps[shift:]).sum()
        assert float(product) == pytest.approx(1.0 if shift == 0 else 0.0, abs=1e-9)


def test_each_geometric_transform_is_drawn_with_its_probability(rng):
    matrices = ada.draw_warps(20_000, Size.square(64), 0.2, rng)
    still = (matrices == torch.eye(3)).flatten(1).all(dim=1).float().mean()
    # scale, stretch and two shifts with 0.2 each, and at least one of the two rotations with 0.2
    assert float(still) == pytest.approx(0.8**5, abs=0.015)


# ---------------------------------------------------------------------------------------------
# Colours


def test_a_flipped_luma_keeps_what_is_not_grey():
    matrix = ada.flip_luma(torch.ones(1))[0]
    assert torch.allclose(matrix @ torch.tensor([0.5, 0.5, 0.5]), torch.tensor([-0.5, -0.5, -0.5]), atol=1e-6)
    assert torch.allclose(matrix @ torch.tensor([1.0, -1, 0]), torch.tensor([1.0, -1, 0]), atol=1e-6)


def test_a_hue_rotation_by_a_third_permutes_the_primaries():
    matrix = ada.rotate_hue(torch.tensor([2 * math.pi / 3]))[0]
    assert torch.allclose(matrix @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)


def test_saturation_scales_colours_and_leaves_grey():
    matrix = ada.saturate(torch.tensor([3.0]))[0]
    assert torch.allclose(matrix @ torch.tensor([0.2, 0.2, 0.2]), torch.tensor([0.2, 0.2, 0.2]), atol=1e-6)
    assert torch.allclose(matrix @ torch.tensor([1.0, -1, 0]), torch.tensor([3.0, -3, 0]), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_of_any_number_of_channels_can_be_recoloured(channels, rng):
    images = torch.randn(3, channels, 8, 8)
    changed = augment("colour", images, 1.0, rng)
    assert changed.shape == images.shape
    if channels == 4:
        assert torch.equal(changed[:, 3], images[:, 3])


# ---------------------------------------------------------------------------------------------
# Corruptions


def test_the_bands_add_up_to_the_picture(images):
    bands = ada.band_filters()
    parts = bands.sum(dim=0)
    assert torch.allclose(parts, torch.eye(len(parts))[len(parts) // 2], atol=1e-6)
    assert bands.sum(dim=1).tolist() == pytest.approx([1, 0, 0, 0], abs=1e-6)


def test_the_bands_pass_their_octaves():
    gain = torch.fft.rfft(ada.band_filters(), n=512).abs()
    centres = [10, 48, 96, 200]  # of 256, within the four bands
    assert gain[:, centres].argmax(dim=0).tolist() == [0, 1, 2, 3]


def test_filtering_with_one_tap_scales(images, rng):
    filters = torch.zeros(6, 5)
    filters[:, 2] = 2
    assert torch.allclose(ada.filter_each(images, filters, rng), images * 4, atol=1e-5)


def test_cutout_greys_a_quarter_at_most(rng):
    cut = augment("cutout", torch.ones(500, 1, 16, 16), 1.0, rng)
    share = (cut == 0).float().mean(dim=(1, 2, 3))
    assert float(share.max()) <= 0.26
    assert float(share.min()) >= 0.04  # centred in a corner, a quarter of it is left


# ---------------------------------------------------------------------------------------------
# The controller


def test_the_strength_rises_by_the_pictures_over_its_speed():
    controller = Controller(p=0.1, target=0.6, speed_kimg=500)
    controller.adjust(0.9, 128)
    assert controller.p == pytest.approx(0.1 + 128 / 500_000)
    controller.adjust(0.3, 128)
    assert controller.p == pytest.approx(0.1)
    controller.adjust(0.6, 128)
    assert controller.p == pytest.approx(0.1)


def test_the_strength_stays_within_0_and_1():
    controller = Controller(p=0.0, target=0.6, speed_kimg=0.001)
    controller.adjust(0.0, 128)
    assert controller.p == 0
    controller.adjust(1.0, 128)
    assert controller.p == 1
