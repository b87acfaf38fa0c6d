"""Weights from everywhere, by real connections to hosts on 127.0.0.1."""

import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from metagan.errors import FetchError, HashMismatchError, OfflineError, OptionError
from metagan.fetch.locate import locate_weights
from metagan.fetch.transfer import DownloadLimits, Transfer
from metagan.registry.weights_ref import WeightsRef
from tests.conftest import started
from tests.fetch.hosts import running

DATA = bytes(range(256)) * 1200
LIMITS = DownloadLimits(failures=3, backoff_s=0.01, connect_s=60.0, read_s=60.0, lock_s=60.0)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def ref(url, data=DATA):
    return WeightsRef("https", url, sha256(data), url)


def locate(url, data=DATA, **options):
    return locate_weights(ref(url, data), **{"offline": False, "limits": LIMITS, **options})


def failure(url, error=FetchError, data=DATA, **options):
    with pytest.raises(error) as caught:
        locate(url, data, **options)
    message = str(caught.value)
    assert message.startswith(f"{url}: ")
    assert "\n  fix: " in message
    return message


@pytest.fixture
def host():
    with running() as host:
        yield host


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("METAGAN_CACHE", str(folder))
    return folder


def part(cache, data=DATA):
    return cache / "partial" / f"{sha256(data)}.part"


def test_a_file_is_downloaded_once_and_found_in_the_cache_after_that(host, cache):
    url = host.put(DATA, "/models/birds%20of%20prey.pkl?download=1")
    path = locate(url)
    assert path == cache / "weights" / sha256(DATA) / "birds_of_prey.pkl"
    assert path.read_bytes() == DATA
    assert locate(url) == path
    assert locate(url, offline=True) == path
    assert len(host.requests) == 1
    assert [file.suffix for file in (cache / "partial").iterdir()] == [".lock"]


def test_the_same_file_at_another_address_is_not_downloaded_again(host):
    path = locate(host.put(DATA))
    assert locate(host.url("/elsewhere.pkl")) == path


def test_progress_is_told_with_name_and_sizes(host):
    told = []
    locate(host.put(DATA), progress=told.append)
    assert told[-1] == Transfer("birds.pkl", len(DATA), len(DATA))
    assert [transfer.done_bytes for transfer in told] == sorted(transfer.done_bytes for transfer in told)


def test_a_host_that_tells_no_size_is_served_by_too(host):
    told = []
    assert locate(host.put(DATA, length=None), progress=told.append).read_bytes() == DATA
    assert told[-1].total_bytes is None


def test_nothing_is_printed(host, capfd):
    locate(host.put(DATA, cuts=[1000]))
    assert capfd.readouterr() == ("", "")


def test_an_interrupted_download_goes_on_where_it_stopped(host):
    assert locate(host.put(DATA, cuts=[100_000, 50_000])).read_bytes() == DATA
    assert [request.get("Range") for request in host.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert host.requests[1]["If-Range"] == '"v1"'


def test_interruptions_that_bring_the_file_forward_are_not_counted(host):
    assert locate(host.put(DATA, cuts=[30_000] * 8)).read_bytes() == DATA


def test_a_download_that_was_given_up_is_continued_by_the_next(host, cache):
    url = host.put(DATA, cuts=[100_000, 0, 0])
    message = failure(url)
    assert "the 100,000 bytes downloaded so far are kept" in message
    assert part(cache).read_bytes() == DATA[:100_000]
    assert locate(url).read_bytes() == DATA
    assert host.requests[-1]["Range"] == "bytes=100000-"


def test_without_an_etag_the_date_of_change_guards_the_rest(host):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    locate(host.put(DATA, cuts=[1000], etag=None, last_modified=date))
    assert host.requests[1]["If-Range"] == date


def test_a_weak_etag_guards_nothing_so_the_hash_must(host):
    locate(host.put(DATA, cuts=[1000], etag='W/"v1"'))
    assert "If-Range" not in host.requests[1]


def test_a_host_without_ranges_sends_all_of_it_again(host):
    assert locate(host.put(DATA, ranges=False, cuts=[100_000])).read_bytes() == DATA
    assert "Range" in host.requests[1]


def test_a_file_that_changed_meanwhile_is_downloaded_from_the_start(host):
    url = host.put(b"old" * 60_000, cuts=[1000, 0, 0])
    failure(url, data=DATA)
    host.put(DATA, etag='"v2"')
    assert locate(url).read_bytes() == DATA


def test_a_file_that_changed_unnoticed_is_found_out_by_its_hash_and_downloaded_again(host):
    url = host.put(b"old" * 60_000, etag=None, cuts=[1000, 0, 0])
    failure(url, data=DATA)
    host.put(DATA, etag=None)
    assert locate(url).read_bytes() == DATA
    assert host.requests[-1].get("Range") is None


def test_a_part_longer_than_the_file_is_downloaded_again(host, cache):
    part(cache).parent.mkdir(parents=True)
    part(cache).write_bytes(DATA + b"more")
    assert locate(host.put(DATA)).read_bytes() == DATA


def test_a_part_that_is_all_of_it_is_taken(host, cache):
    part(cache).parent.mkdir(parents=True)
    part(cache).write_bytes(DATA)
    assert locate(host.put(DATA)).read_bytes() == DATA
    assert [request.get("Range") for request in host.requests] == [f"bytes={len(DATA)}-"]


def test_a_damaged_note_beside_a_part_does_no_harm(host, cache):
    url = host.put(DATA, cuts=[1000, 0, 0])
    failure(url)
    part(cache).with_suffix(".json").write_bytes(b"\xff[")
    assert locate(url).read_bytes() == DATA


def test_a_host_that_promises_too_much_is_seen_through(host):
    assert locate(host.put(DATA, length=len(DATA) + 10)).read_bytes() == DATA


def test_a_truncated_file_is_no_file(host, cache):
    message = failure(host.put(DATA, ranges=False, cuts=[1000] * 9))
    assert "check the network, or try again later; the 1,000 bytes downloaded so far are kept" in message
    assert not (cache / "weights").exists()


def test_a_host_that_promises_too_little_sends_another_file(host):
    failure(host.put(DATA, length=1000), HashMismatchError)


def test_another_file_than_the_one_meant_is_kept_aside_and_both_hashes_are_named(host, cache):
    url = host.put(b"something else")
    message = failure(url, HashMismatchError)
    kept = cache / "mismatched" / f"{sha256(b'something else')}-birds.pkl"
    assert f"want the file with SHA-256 {sha256(DATA)}, got one with {sha256(b'something else')}" in message
    assert str(kept) in message
    assert kept.read_bytes() == b"something else"
    assert not (cache / "weights").exists()


def test_a_damaged_file_in_the_cache_is_moved_aside_and_downloaded_again(host, cache):
    url = host.put(DATA)
    path = locate(url)
    path.write_bytes(b"damaged")
    assert locate(url).read_bytes() == DATA
    assert (cache / "mismatched" / f"{sha256(b'damaged')}-birds.pkl").read_bytes() == b"damaged"


def test_a_damaged_file_in_the_cache_is_named_offline(host, cache):
    url = host.put(DATA)
    locate(url).write_bytes(b"damaged")
    message = failure(url, HashMismatchError, offline=True)
    assert sha256(b"damaged") in message
    assert str(cache / "mismatched") in message


def test_offline_asks_nobody_and_says_what_to_do(host, cache):
    message = failure(host.put(DATA), OfflineError, offline=True)
    assert "run the command once without --offline to download it" in message
    assert host.requests == []
    assert not cache.exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "answers 401 Unauthorized\n  fix: the host requires a login"),
        (403, "answers 403 Forbidden\n  fix: the host requires a login"),
        (404, "answers 404 Not Found\n  fix: the file does not exist"),
        (410, "answers 410 Gone\n  fix: the file does not exist"),
        (418, "answers 418"),
        (204, "answers 204 No Content\n  fix: open the address in a browser"),
        (304, "answers 304"),
        (206, "sends another part of the file than requested"),
        (416, "answers 416"),
    ],
)
def test_an_answer_that_will_stay_is_an_error_at_once(host, status, words):
    assert words in failure(host.put(DATA, statuses=[status]))
    assert len(host.requests) == 1


def test_an_answer_that_may_pass_is_tried_again(host):
    url = host.put(DATA, statuses=[503, 429], headers={"Retry-After": "0"})
    assert locate(url).read_bytes() == DATA


def test_an_answer_that_does_not_pass_is_an_error_in_the_end(host):
    message = failure(host.put(DATA, statuses=[500] * 9))
    assert "answers 500 Internal Server Error\n  fix: check the network, or try again later" in message
    assert len(host.requests) == LIMITS.failures


def test_a_redirect_is_followed(host):
    host.put(DATA, "/there")
    url = host.put(b"", statuses=[302], headers={"Location": "/there"})
    assert locate(url).read_bytes() == DATA


@pytest.mark.parametrize("target", ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_a_redirect_to_anything_but_https_is_refused(host, target):
    url = host.put(b"", statuses=[302], headers={"Location": target})
    message = failure(url)
    assert "is not https" in message or "can't be requested" in message
    assert len(host.requests) == 1


def test_a_redirect_in_a_circle_is_refused(host):
    url = host.put(b"", statuses=[302] * 99, headers={"Location": "/birds.pkl"})
    assert "redirects more than 10 times" in failure(url)


@pytest.mark.parametrize("target", ["http://[", "https://a b/", "//", "\x01"])
def test_a_redirect_to_nonsense_is_refused(host, target):
    failure(host.put(b"", statuses=[302] * 9, headers={"Location": target}))


def test_a_host_that_falls_silent_is_given_up(host):
    url = host.put(DATA, ranges=False, pause_s=1.5, pause_every=200_000)
    message = failure(url, limits=replace(LIMITS, read_s=0.4))
    assert "no more bytes in time" in message


def test_a_compressed_answer_is_refused(host):
    message = failure(host.put(DATA, headers={"Content-Encoding": "gzip"}))
    assert "was sent compressed (gzip)" in message


def test_a_file_of_absurd_size_is_refused_before_it_is_written(host, cache):
    assert "want at most 68,719,476,736 bytes, got 1,152,921" in failure(host.put(DATA, length=1 << 60))
    assert not part(cache).exists()


def test_a_file_larger_than_the_disk_is_refused(host, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert f"{len(DATA):,} bytes are needed, but only 1,000 are free" in failure(host.put(DATA))


def test_an_endless_answer_is_cut_off(host, monkeypatch):
    monkeypatch.setattr("metagan.fetch.download.MAX_BYTES", 100_000)
    assert "want at most 100,000 bytes, got more" in failure(host.put(DATA, length=None))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error_with_a_way_out(host, cache, monkeypatch):
    part(cache).parent.mkdir(parents=True)
    monkeypatch.setattr("metagan.fetch.cache.Slot.start_over", lambda slot: None)
    part(cache).symlink_to("/dev/full")
    message = failure(host.put(DATA))
    assert "can't be used: No space left on device\n  fix: free some space" in message


def test_a_cache_that_is_a_file_is_an_error_with_a_way_out(host, cache):
    cache.write_text("not a folder")
    assert f"the cache {cache} can't be used" in failure(host.put(DATA))


def test_a_refused_connection_is_an_error_with_a_way_out():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/birds.pkl"
    assert "check the network, or try again later" in failure(url)


def test_an_unknown_host_is_an_error_at_once(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = failure("https://nowhere.invalid/birds.pkl")
    assert "there is no host with this name\n  fix: correct the host name" in message


@pytest.mark.parametrize("host_name", ["a" * 70 + ".invalid", "xn--.invalid", "-.invalid", "a..b"])
def test_an_impossible_host_name_is_an_error(host_name, monkeypatch):
    def unknown(name, *args, **kwargs):
        name.encode("idna") if isinstance(name, str) else None
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    failure(f"https://{host_name}/birds.pkl")


def test_https_to_a_host_that_speaks_http_is_an_error(host):
    url = host.put(DATA).replace("http:", "https:")
    assert "no secure connection" in failure(url)


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    made = tmp_path / "host.pem"
    options = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", "req", *options.split(), "-keyout", made, "-out", tmp_path / "cert.pem"]
    subprocess.run(command, check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return made


@pytest.fixture
def secure_host(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running(context) as host:
        yield host


def test_an_unknown_certificate_is_an_error_at_once(secure_host):
    message = failure(secure_host.put(DATA))
    assert "no secure connection" in message
    assert "check the machine's clock and certificates" in message
    assert secure_host.requests == []


def test_a_known_certificate_is_trusted_but_no_redirect_from_it_to_http(
    secure_host, host, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert locate(secure_host.put(DATA)).read_bytes() == DATA
    away = secure_host.put(b"", "/away", statuses=[302], headers={"Location": host.put(b"x")})
    assert "is not https" in failure(away, data=b"x")


DOWNLOAD = """
import sys
from metagan.fetch.locate import locate_weights
from metagan.registry.weights_ref import WeightsRef
url, sha256 = sys.argv[1:]
print(locate_weights(WeightsRef("https", url, sha256, url)))
"""


def start(url):
    return started(
        [sys.executable, "-c", DOWNLOAD, url, sha256(DATA)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_killed_download_is_continued_to_the_right_bytes(host, cache):
    url = host.put(DATA, pause_s=0.2, pause_every=50_000)
    with start(url) as process:
        deadline = time.monotonic() + 60
        while not (part(cache).exists() and part(cache).stat().st_size > 0):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    arrived = part(cache).stat().st_size
    assert 0 < arrived < len(DATA)
    host.files["/birds.pkl"].pause_s = 0
    assert locate(url).read_bytes() == DATA
    assert host.requests[-1]["Range"] == f"bytes={arrived}-"


def test_two_processes_at_once_download_it_once(host):
    url = host.put(DATA, pause_s=0.1, pause_every=50_000)
    with start(url) as one, start(url) as other:
        paths = {process.communicate(timeout=120)[0].strip() for process in (one, other)}
        assert [one.returncode, other.returncode] == [0, 0]
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == DATA
    assert len(host.requests) == 1


def test_a_process_that_never_ends_is_not_waited_for_forever(host, cache):
    from filelock import FileLock

    url = host.put(DATA)
    part(cache).parent.mkdir(parents=True)
    with FileLock(part(cache).with_suffix(".lock")):
        message = failure(url, limits=replace(LIMITS, lock_s=0.1))
    assert "another process has been downloading it" in message


def test_remote_weights_without_a_hash_are_refused():
    with pytest.raises(FetchError, match="needs a SHA-256\n  fix: state the file's sha256"):
        locate_weights(WeightsRef("https", "https://example.org/x", None, "https://example.org/x"))


def test_a_local_file_is_used_where_it_is(tmp_path):
    file = tmp_path / "birds.pkl"
    file.write_bytes(DATA)
    for digest in (None, sha256(DATA)):
        assert locate_weights(WeightsRef("path", str(file), digest, "birds.pkl")) == file


def test_a_local_file_with_another_hash_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "birds.pkl"
    file.write_bytes(b"other")
    with pytest.raises(HashMismatchError) as caught:
        locate_weights(WeightsRef("path", str(file), sha256(DATA), "birds.pkl"))
    assert sha256(DATA) in str(caught.value)
    assert sha256(b"other") in str(caught.value)
    assert file.read_bytes() == b"other"


def test_a_local_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(FetchError, match="there is no such file"):
        locate_weights(WeightsRef("path", str(tmp_path / "birds.pkl"), None, "birds.pkl"))


def test_bundled_weights_are_found_by_name(tmp_path, monkeypatch):
    (tmp_path / "apes.safetensors").touch()
    monkeypatch.setattr("metagan.weights.__path__", [str(tmp_path)])
    found = locate_weights(WeightsRef("bundled", "apes", None, "bundled:apes"), offline=True)
    assert found == tmp_path / "apes.safetensors"
    with pytest.raises(OptionError, match="bundled:apes"):
        locate_weights(WeightsRef("bundled", "bagels", None, "bundled:bagels"))


def test_the_cache_is_where_the_system_keeps_caches_unless_told_otherwise(monkeypatch):
    from metagan.fetch.cache import cache_folder

    monkeypatch.delenv("METAGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.setattr(sys, "platform", sys.platform)
    assert cache_folder().name == "metagan"
