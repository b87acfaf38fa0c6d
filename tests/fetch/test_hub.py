"""hf:// through the real huggingface_hub, against a hub on 127.0.0.1."""

import hashlib
import socket
import sys

import pytest

from metagan.errors import FetchError, HashMismatchError, OfflineError
from metagan.fetch.locate import locate_weights
from metagan.registry.weights_ref import WeightsRef
from tests.fetch.hosts import running

constants = pytest.importorskip("huggingface_hub.constants")

DATA = bytes(range(256)) * 1200
SHA256 = hashlib.sha256(DATA).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def ref(location="owner/birds/models/birds.pkl", digest=SHA256):
    return WeightsRef("hf", location, digest, f"hf://{location}")


def point_at(endpoint, monkeypatch):
    """What HF_ENDPOINT does, but for one test."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def asked(hub):
    """The paths of a repository that have been requested."""
    return [request["path"] for request in hub.requests if request["path"].startswith("/owner/")]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one repository of one file."""
    with running() as host:
        point_at(host.url(""), monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses.json"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        for revision in ("main", "v1"):
            host.put(
                DATA, f"/owner/birds/resolve/{revision}/models/birds.pkl", headers={"X-Repo-Commit": COMMIT}
            )
        yield host


def failure(reference, error=FetchError, **options):
    with pytest.raises(error) as caught:
        locate_weights(reference, **options)
    message = str(caught.value)
    assert message.startswith(f"hf://{reference.location}: ")
    assert "\n  fix: " in message
    return message


def test_a_file_of_the_hub_is_downloaded_once_by_its_own_library(hub, tmp_path, capfd):
    told = []
    path = locate_weights(ref(), progress=told.append)
    assert path.is_relative_to(tmp_path / "hub")
    assert path.read_bytes() == DATA
    assert (told[-1].name, told[-1].done_bytes, told[-1].total_bytes) == ("birds.pkl", len(DATA), len(DATA))
    before = len(asked(hub))
    assert locate_weights(ref()) == path
    assert locate_weights(ref(), offline=True) == path
    assert len(asked(hub)) == before
    assert capfd.readouterr() == ("", "")


def test_a_revision_is_asked_for_by_its_name(hub):
    assert locate_weights(ref("owner/birds@v1/models/birds.pkl")).read_bytes() == DATA
    assert set(asked(hub)) == {"/owner/birds/resolve/v1/models/birds.pkl"}


def test_another_file_than_the_one_meant_is_refused(hub):
    message = failure(ref(digest="0" * 64), HashMismatchError)
    assert f"want the file with SHA-256 {'0' * 64}, got one with {SHA256}" in message


def test_offline_says_what_to_do(hub):
    assert "run the command once without --offline" in failure(ref(), OfflineError, offline=True)
    assert asked(hub) == []


def test_the_hub_s_own_offline_switch_is_honoured(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in failure(ref(), OfflineError)
    assert asked(hub) == []


def test_a_host_that_only_looks_like_the_hub_is_quoted(hub):
    assert "the hub refuses the file: Client error '404" in failure(ref("owner/birds/other.pkl"))


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("EntryNotFound", 404, "the hub has no such file\n  fix: correct owner"),
        ("RepoNotFound", 404, "the hub has no such file"),
        ("RevisionNotFound", 404, "the hub has no such file"),
        ("GatedRepo", 403, "the repository is gated\n  fix: accept its conditions"),
    ],
)
def test_what_the_hub_refuses_is_put_into_words(hub, code, status, words):
    hosted = hub.files["/owner/birds/resolve/main/models/birds.pkl"]
    hosted.statuses = [status] * 9
    hosted.headers = {"X-Error-Code": code}
    assert words in failure(ref())


def test_a_hub_that_is_not_there_is_an_error(hub, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    point_at(nowhere, monkeypatch)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    failure(ref())


def test_without_huggingface_hub_the_way_to_install_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "needs huggingface_hub, which is not installed\n  fix: pip install 'metagan[hub]'" in failure(
        ref()
    )
