"""Shards that a Ray cluster draws. What needs a cluster is marked slow; `pytest -m slow tests/shards` runs it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path

import fsspec
import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from metagan.cli import metagan
from metagan.errors import MetaganError
from tests.conftest import ROOT, started

OPTIONS = ["sample", "bundled:apes", "--shards", "20"]


def refusal(*options: str) -> str:
    result = CliRunner().invoke(metagan, [*OPTIONS, "--seeds", "0-9", *options])
    assert isinstance(result.exception, MetaganError), result.output
    return str(result.exception)


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refusal("--on", "ray", "--out", str(tmp_path)) == (
        "--on ray needs Ray\n  fix: pip install 'metagan[ray]'"
    )


@pytest.mark.parametrize("form", ["ray://127.0.0.1:{}", "127.0.0.1:{}"])
def test_an_address_where_no_ray_answers_is_refused_at_once(form: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and doesn't listen
        address = form.format(taken.getsockname()[1])
        said = refusal("--on", address, "--out", str(tmp_path))
    assert said.startswith(f"{address}: no Ray answers at 127.0.0.1:")
    assert not list(tmp_path.iterdir())


def test_a_cluster_of_another_version_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def init(**_options: object) -> None:  # as Ray 2.60 says it (ray._private.utils.check_version_info)
        raise RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.11.7\n"
            "This process on node 10.0.0.7 was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
        )

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init, shutdown=lambda: None))
    with socket.create_server(("127.0.0.1", 0)) as there:
        address = f"127.0.0.1:{there.getsockname()[1]}"
        said = refusal("--on", address, "--out", str(tmp_path))
    assert said.startswith(
        f"{address}: the cluster has another Ray or Python: Version mismatch: The cluster was"
    )
    assert "Ray: 2.50.0" in said and "fix: install the cluster's Ray and Python here" in said
    assert not list(tmp_path.iterdir())


def test_the_cluster_of_the_guide_fits_ray_s_own_schema() -> None:
    ray = pytest.importorskip("ray")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_bytes())
    described = yaml.safe_load((ROOT / "docs" / "cluster.yaml").read_text())
    jsonschema.validate(described, schema)
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        jsonschema.validate(described | {"max_worker": 16}, schema)
    assert described["head_node_type"] in described["available_node_types"]


HEAD = """
import signal, sys
import ray
for _ in range(12):  # Ray gives its own processes 15 seconds to start, which a busy machine exceeds
    try:
        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000, _temp_dir=sys.argv[1])
        break
    except Exception:
        ray.shutdown()
print(ray.get_runtime_context().gcs_address, flush=True)
signal.pause()
"""


@pytest.fixture
def cluster(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Ray cluster of this machine with room for two workers, whose processes find the storage."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "300000")  # of busy machines
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "30")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("HOME", folder)  # where Ray puts the token
        command = [sys.executable, "-c", HEAD, folder]
        with started(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as head:
            assert head.stdout
            yield head.stdout.readline().decode().strip()


def workers() -> list[int]:
    """The processes of this test's workers, by the title that Ray gives them and the environment they inherit."""
    found, own = [], f"AWS_ENDPOINT_URL={os.environ['AWS_ENDPOINT_URL']}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes().startswith(b"ray::Worker"):
                found += [int(entry.name)] if own in (entry / "environ").read_bytes() else []
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_killed_at_random_moments_give_the_bytes_of_one_machine(
    cluster: str, bucket: str, tmp_path: Path
) -> None:
    seeds = ["--seeds", "0-599"]
    command = [sys.executable, "-m", "metagan", *OPTIONS, *seeds, "--on", cluster, "--out", f"{bucket}/apes"]
    files, rng = fsspec.filesystem("s3"), random.Random(19)
    moments = sorted(rng.sample(range(1, 50), 3))  # by the number of files that are there
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        while driver.poll() is None:
            time.sleep(rng.uniform(0.1, 0.5))
            if (
                moments
                and len(files.find("pictures/apes", refresh=True)) > moments[0]
                and (pids := workers())
            ):
                os.kill(rng.choice(pids), signal.SIGKILL)
                del moments[0]
        out, err = driver.communicate()
    assert driver.returncode == 0, err
    assert not moments and "600 pictures in 30 shards" in out
    here = CliRunner().invoke(metagan, [*OPTIONS, *seeds, "--out", str(tmp_path / "here")])
    assert here.exit_code == 0
    files.invalidate_cache()
    there = {
        path.rpartition("/")[2]: files.cat_file(path) for path in files.find("pictures/apes", refresh=True)
    }
    assert there == {path.name: path.read_bytes() for path in (tmp_path / "here").glob("*/*")}
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "30 shards, 0 drawn now" in again.stdout
