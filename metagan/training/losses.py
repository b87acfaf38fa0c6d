"""What the two networks are trained for.

References:
    [1] Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661 (the non-saturating loss).
    [2] Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, arXiv:1801.04406 (R1).
    [3] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958 (path length).
    [4] Karras et al. 2019, A Style-Based Generator Architecture, arXiv:1812.04948 (style mixing).
    [5] Salimans et al. 2016, Improved Techniques for Training GANs, arXiv:1606.03498 (one-sided label smoothing).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metagan.training.options import Join


def generator_loss(fake_logits: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
    """-log sigmoid(D(G(z))), the non-saturating loss ([1] section 3)."""
    return F.softplus(-fake_logits)


def join_losses(losses: Sequence[Float[Tensor, "n 1"]], join: Join) -> Float[Tensor, "n 1"]:
    """Join what a generator pays to several discriminators, for each picture.

    Args:
        losses: One for each discriminator.
        join: "and" is the largest, so that a picture has to pass all of them; "mean" lets one make up for another.
    """
    if len(losses) == 1:
        return losses[0]
    both = torch.stack(list(losses))
    return both.amax(dim=0) if join == "and" else both.mean(dim=0)


def real_loss(real_logits: Float[Tensor, "n 1"], smoothing: float = 0.0) -> Float[Tensor, "n 1"]:
    """-log sigmoid(D(x)): what the discriminator pays for real pictures.

    Args:
        real_logits: D(x).
        smoothing: How far below 1 the target probability is ([5] section 3.4): the cross entropy with 1 - smoothing.
    """
    loss = F.softplus(-real_logits)
    return loss + smoothing * real_logits if smoothing else loss


def fake_loss(fake_logits: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
    """-log(1 - sigmoid(D(G(z)))): what the discriminator pays for generated pictures."""
    return F.softplus(fake_logits)


def r1_penalty(images: Float[Tensor, "n c h w"], logits: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
    """The squared norm of the logit's gradient for each real picture ([2] equation 9), to be differentiated again.

    Args:
        images: What the discriminator saw; it must require gradients.
        logits: Its logits of `images`.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def path_lengths(
    images: Float[Tensor, "n c h w"], styles: Float[Tensor, "n ws w_dim"], noise: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """The length of Jᵀy for each picture, to be differentiated again ([3] section 3.2).

    J is the pictures' derivative by the styles. y is unit-normal noise divided by the square root of the number of
    pixels, so that lengths don't depend on the resolution; squares are averaged over the styles of a picture.

    Args:
        images: Made from `styles`, which must require gradients.
        styles: One row a layer.
        noise: Unit-normal, of the pictures' shape.
    """
    y = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def mix_styles(
    first: Float[Tensor, "n ws w_dim"], second: Float[Tensor, "n ws w_dim"], cutoffs: Int[Tensor, " n"]
) -> Float[Tensor, "n ws w_dim"]:
    """Styles of `first` before each picture's cutoff and of `second` from it on ([4] section 3.1)."""
    layers = torch.arange(first.shape[1], device=first.device)
    from_first: Bool[Tensor, "n ws"] = layers[None] < cutoffs[:, None]
    return torch.where(from_first[:, :, None], first, second)


def draw_cutoffs(n: int, num_ws: int, probability: float, rng: torch.Generator) -> Int[Tensor, " n"]:
    """Where each picture's styles change: uniform from 1 with this probability, else never (num_ws)."""
    device = rng.device
    cutoffs = torch.randint(1, max(num_ws, 2), (n,), generator=rng, device=device)
    mixed = torch.rand(n, generator=rng, device=device) < probability
    return torch.where(mixed, cutoffs, num_ws)
