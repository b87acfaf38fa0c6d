"""Checks the inputs of networks, with the same messages for every architecture."""

from __future__ import annotations

from torch import Tensor

from metagan.errors import ShapeError


def require_latents(z: Tensor, z_dim: int) -> None:
    """Check latents, [batch, z_dim].

    Raises:
        ShapeError: If their width is not z_dim.
    """
    if z.shape[1] != z_dim:
        msg = f"latents: want width {z_dim}, got {z.shape[1]}"
        raise ShapeError(msg)


def require_label(label: Tensor | None, c_dim: int) -> Tensor:
    """Check the labels of a conditional network, [batch, c_dim], and return them.

    Raises:
        ShapeError: If there are none, or their width is not c_dim.
    """
    if label is None or label.shape[1] != c_dim:
        got = "none" if label is None else f"width {label.shape[1]}"
        msg = f"labels: this network wants labels of width {c_dim}, got {got}"
        raise ShapeError(msg)
    return label


def require_styles(ws: Tensor, num_ws: int, w_dim: int) -> None:
    """Check styles, [batch, num_ws, w_dim].

    Raises:
        ShapeError: If their number is not num_ws, or their width is not w_dim.
    """
    if ws.shape[1:] != (num_ws, w_dim):
        msg = f"styles: want [batch, {num_ws}, {w_dim}], got {list(ws.shape)}"
        raise ShapeError(msg)


def require_images(images: Tensor, channels: int, height_px: int, width_px: int) -> None:
    """Check pictures, [n, channels, height_px, width_px].

    Raises:
        ShapeError: If their channels or size differ.
    """
    if images.shape[1:] != (channels, height_px, width_px):
        msg = f"pictures: want [n, {channels}, {height_px}, {width_px}], got {list(images.shape)}"
        raise ShapeError(msg)
