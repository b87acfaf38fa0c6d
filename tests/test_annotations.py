"""What pytest's option --jaxtyping-packages checks here: signatures and dataclasses that name a tensor's shape."""

import pytest
import torch
from jaxtyping import TypeCheckError

from metagan.training.data_loader import Batch
from metagan.training.networks import Context, mix_styles


def test_a_tensor_of_another_shape_or_type_than_annotated_is_refused():
    first, cutoffs = torch.zeros(3, 2), torch.tensor([1, 2, 3])
    with pytest.raises(TypeCheckError, match=r"parameters of metagan\.training\.networks\.mix_styles"):
        mix_styles(first, torch.zeros(3, 4), cutoffs, 4)
    with pytest.raises(TypeCheckError, match="parameters"):
        mix_styles(first, first, cutoffs.float(), 4)


def test_fields_are_checked_too():
    with pytest.raises(TypeCheckError):
        Batch(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4))


def test_what_names_no_tensor_is_as_it_was_written():
    assert not hasattr(Context.autocast, "__wrapped__")
    assert hasattr(mix_styles, "__wrapped__")
