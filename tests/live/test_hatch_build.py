"""The build hook, as hatchling loads it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_hatchling_finds_the_hook_and_a_wheel_says_which_system_it_is_for():
    load = pytest.importorskip("hatchling.plugin.utils").load_plugin_from_script
    interface = pytest.importorskip("hatchling.builders.hooks.plugin.interface").BuildHookInterface
    hook = load(str(ROOT / "hatch_build.py"), "hatch_build", interface, "build_hook")
    System = hook.initialize.__globals__["System"]
    tags = {
        System(machine, name).wheel_tag for machine in ("x86_64", "aarch64") for name in ("linux", "darwin")
    }
    assert tags == {
        "py3-none-manylinux_2_17_x86_64",
        "py3-none-manylinux_2_17_aarch64",
        "py3-none-macosx_11_0_x86_64",
        "py3-none-macosx_11_0_arm64",
    }
