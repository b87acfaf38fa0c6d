"""Checks shapes and types of tensors at every call while the tests run; an int is good where a float is asked for."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))

KINDS = [
    name
    for name, kind in vars(jaxtyping).items()
    if inspect.isclass(kind) and issubclass(kind, jaxtyping.AbstractDtype)
]
TENSOR = re.compile(rf"\b({'|'.join(KINDS)})\[")
check_everything = jaxtyping.jaxtyped


def check_tensors(*, typechecker: Callable) -> Callable[[Any], Any]:
    """Check calls of functions and fields of dataclasses that are annotated with the shape of a tensor.

    pytest's option --jaxtyping-packages decorates all others too. mypy has checked those, and to check their calls as
    well took up to half of a test's time.
    """

    def decorate(thing: Any) -> Any:
        annotated = any(
            TENSOR.search(str(annotation)) for annotation in inspect.get_annotations(thing).values()
        )
        return check_everything(typechecker=typechecker)(thing) if annotated else thing

    return decorate


jaxtyping.jaxtyped = check_tensors
