"""The Chromium that tests, benchmarks and screenshots drive."""

from __future__ import annotations

import shutil
from typing import Final

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM: Final = next(filter(None, map(shutil.which, NAMES)), None)
"""Its path: the one without windows, which opens pages with the least work, or another; None if none is installed."""
