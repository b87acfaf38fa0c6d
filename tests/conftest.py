"""What every test may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The folder of reference vectors beside the checkout; the test is skipped where there is none."""
    folder = SHARED / "vectors"
    if not folder.is_dir():
        pytest.skip("no ../shared/vectors beside this checkout")
    return folder
