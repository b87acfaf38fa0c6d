"""A real server on this machine, asked by real sockets."""

import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchfiles import watch

from metagan.errors import BuildError, OptionError
from metagan.site.routes import content_type, split_path
from metagan.site.serve import reload
from metagan.site.serve.reload import (
    BuiltSite,
    LiveSite,
    SourceFilter,
    rebuild,
    rebuild_on_change,
    with_script,
)
from metagan.site.serve.server import PagesServer, byte_range
from tests.conftest import started

PATIENCE_S = 120  # for answers: beside other programs they take many times as long


def write_site(folder: Path) -> Path:
    files = {
        "index.html": "<!doctype html><html><body>home</body></html>",
        "404.html": "<!doctype html><html><body>does not exist</body></html>",
        "bagel/index.html": "<body>bagel</body>",
        "bagel/42/index.html": "<body>bagel 42</body>",
        "both.html": "both.html",
        "both/index.html": "both/index.html",
        "plain.html": "plain",
        "empty/file.txt": "text",
        "pictures/bagel/42.webp": "0123456789",
        "static/app.mjs": "export {};",
        ".metagan/state.json": "{}",
        ".well-known/security.txt": "Contact: nobody",
        "a b/ü.txt": "spaces",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@contextmanager
def serving(built, reload=False):
    reports = []
    with PagesServer("127.0.0.1", 0, reload=reload, report=reports.append) as server:
        server.live_site = LiveSite(built, time.time())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.reports = reports
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("hosting") / "site")


@pytest.fixture(scope="module")
def server(site):
    (site.parent / "secret.txt").write_text("secret")
    with serving(BuiltSite(site, "/apes/")) as server:
        yield server


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE_S)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer


def ask_raw(server, request):
    """Send bytes as they are; http.client would refuse or mend most of them."""
    with socket.create_connection(server.server_address[:2], timeout=PATIENCE_S) as connection:
        connection.sendall(request + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/apes/", b"home"),
        ("/apes/index.html", b"home"),
        ("/apes/?seed=3", b"home"),
        ("/apes/bagel/", b">bagel<"),
        ("/apes/bagel/42/", b"bagel 42"),
        ("/apes/plain", b"plain"),
        ("/apes/both", b"both.html"),
        ("/apes/both/", b"both/index.html"),
        ("/apes/a%20b/%C3%BC.txt", b"spaces"),
        ("/apes/.well-known/security.txt", b"Contact"),
    ],
)
def test_a_page_is_found_as_github_pages_finds_it(server, path, body):
    answer = ask(server, path)
    assert answer.status == 200
    assert body in answer.body


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/apes/bagel", 301, "/apes/bagel/"),
        ("/apes/bagel/42", 301, "/apes/bagel/42/"),
        ("/apes/bagel?a=1", 301, "/apes/bagel/?a=1"),
        ("/apes/a%20b", 301, "/apes/a%20b/"),
        ("/apes", 301, "/apes/"),
        ("/", 302, "/apes/"),
    ],
)
def test_a_folder_without_its_slash_and_the_bare_root_are_redirected(server, path, status, location):
    answer = ask(server, path)
    assert (answer.status, answer.headers["Location"]) == (status, location)


@pytest.mark.parametrize(
    "path",
    [
        "/apes/nope",
        "/apes/nope/",
        "/apes/very/deep/nope/",
        "/apes/bagel/43/",
        "/apes/plain/",
        "/apes/" + "y" * 400,
    ],
)
def test_the_unknown_gets_the_sites_404_page_at_any_depth(server, path):
    answer = ask(server, path)
    assert answer.status == 404
    assert b"does not exist" in answer.body
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/bagel/", "/apesbagel/", "/apes2/", "/index.html", "/pictures/bagel/42.webp"]
)
def test_outside_the_sub_path_nothing_is_served(server, path):
    answer = ask(server, path)
    assert answer.status == 404
    assert b"/apes/" in answer.body


@pytest.mark.parametrize(
    "target",
    [
        b"/apes/../secret.txt",
        b"/apes/%2e%2e/secret.txt",
        b"/apes/%2E%2E%2Fsecret.txt",
        b"/apes/..%2fsecret.txt",
        b"/apes/..%5csecret.txt",
        b"/apes/..\\secret.txt",
        b"/apes/bagel/../../secret.txt",
        b"/apes/bagel/%2e%2e/%2e%2e/secret.txt",
        b"/apes/%252e%252e/secret.txt",
        b"/apes/index.html%00.png",
        b"/apes/%00",
        b"/apes//etc/passwd",
        b"/apes/%2fetc/passwd",
        b"/apes/file:///etc/passwd",
        b"/apes/C:/secret.txt",
        b"/apes/\xff\xfe",
        b"/apes/%ff%fe",
        b"/apes/%c0%ae%c0%ae/secret.txt",
        b"/apes/.metagan/state.json",
        b"/apes/.git/config",
        b"//apes/../secret.txt",
        b"http://127.0.0.1/apes/../secret.txt",
    ],
)
def test_no_spelling_of_a_path_leads_out_of_the_site(server, target):
    answer = ask_raw(server, b"GET " + target)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2]


def test_symbolic_links_out_of_the_site_are_not_followed(server, site):
    (site / "out.txt").symlink_to(site.parent / "secret.txt")
    (site / "outer").symlink_to(site.parent)
    (site / "in.txt").symlink_to("empty/file.txt")
    assert ask(server, "/apes/out.txt").status == 404
    assert ask(server, "/apes/outer/secret.txt").status == 404
    assert ask(server, "/apes/outer").status == 404
    assert ask(server, "/apes/in.txt").body == b"text"


def test_a_named_pipe_is_not_waited_for(server, site):
    os.mkfifo(site / "pipe.txt")
    assert ask(server, "/apes/pipe.txt").status == 404


def test_the_headers_are_githubs_and_no_others(server):
    answer = ask(server, "/apes/pictures/bagel/42.webp")
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Cache-Control"] == "max-age=600"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert not [name for name in answer.headers if name.lower().startswith("cross-origin")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.mjs", "application/javascript; charset=utf-8"),
        ("a.js", "application/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.xml", "application/xml"),
        ("a.wasm", "application/wasm"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.SVG", "image/svg+xml"),
        ("a.gz", "application/gzip"),
        ("a.bin", "application/octet-stream"),
        ("a.onnx", "application/octet-stream"),
        ("LICENSE", "application/octet-stream"),
    ],
)
def test_types_follow_the_name_and_not_this_machines_settings(name, kind):
    assert content_type(name) == kind


def test_head_sends_the_same_headers_and_no_body(server):
    for path in ("/apes/", "/apes/pictures/bagel/42.webp", "/apes/nope", "/apes/bagel"):
        got, head = ask(server, path), ask(server, path, method="HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"]


def test_other_methods_are_refused(server):
    answer = ask(server, "/apes/", method="POST")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert ask(server, "/apes/", method="DELETE").status == 405


@pytest.mark.parametrize("method", ["BREW", "get", "TRACE", "CONNECT", "PROPFIND"])
def test_methods_that_nobody_knows_are_refused_in_plain_text(server, method):
    answer = ask(server, "/apes/", method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body == b"A published site supports only GET and HEAD.\n"


def say(server, data: bytes) -> bytes:
    """Sends bytes, and gives everything that comes back until the connection ends."""
    with socket.create_connection(server.server_address[:2], timeout=PATIENCE_S) as connection:
        connection.sendall(data)
        with contextlib.suppress(TimeoutError):
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return b""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"nonsense", b"400"),
        (b"GET /apes/ HTTP/x.y", b"400"),
        (b"GET /apes/ HTTP/3.0", b"505"),
        (b"PUT /apes/", b"400"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", b"414"),
        (b"GET /apes/ HTTP/1.1\r\nX: " + b"a" * 70_000, b"431"),
        (b"GET /apes/ HTTP/1.1\r\nContent-Length: -3", b"400"),
        (b"GET /apes/ HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4", b"400"),
    ],
)
def test_what_is_no_request_is_answered_in_plain_text(server, request_line, status):
    answer = say(server, request_line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Content-Type: text/plain" in answer
    assert b"<html" not in answer.lower()


HIDDEN = b"GET /apes/bagel/ HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"BREW"])
@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: %d" % len(HIDDEN),
        b"Transfer-Encoding: chunked",
        b"Content-Length: 99999999",
        b"Content-Length: %d\r\nExpect: 100-continue" % len(HIDDEN),
    ],
)
def test_a_body_is_no_second_request(server, method, length):
    head = method + b" /apes/ HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n"
    with socket.create_connection(server.server_address[:2], timeout=PATIENCE_S) as connection:
        connection.sendall(head + HIDDEN)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"bagel" not in answer


def test_after_a_body_the_connection_goes_on(server):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE_S)
    for _ in range(3):
        connection.request("GET", "/apes/bagel/", body=b"GET /apes/ HTTP/1.1\r\n\r\n" * 1000)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"<body>bagel</body>")
    connection.request("POST", "/apes/", body=b"x" * (2 << 20))  # too long to be waited for
    answer = connection.getresponse()
    assert (answer.status, answer.will_close) == (405, True)
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GE",
        b"GET /apes/ HTTP/1.1\r\nHo",
        b"GET /apes/ HTTP/1.1\r\nContent-Length: 10\r\n\r\nx",
        b"GET /apes/large.bin HTTP/1.1\r\n\r\n",
        b"GET /apes/__metagan__/events HTTP/1.1\r\n\r\n",
        b"BREW /apes/ HTTP/1.1\r\n\r\n",
    ],
)
def test_a_client_that_resets_its_connection_is_no_news(tmp_path, sent):
    folder = write_site(tmp_path / "site")
    (folder / "large.bin").write_bytes(bytes(20 << 20))
    with serving(BuiltSite(folder, "/apes/"), reload=True) as server:
        for _ in range(3):
            connection = socket.create_connection(server.server_address[:2], timeout=PATIENCE_S)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(sent)
            if b"large" in sent or b"events" in sent:
                connection.recv(10)
            connection.close()
        server.live_site.put(server.live_site.built, time.time())  # whoever follows is written to
        assert ask(server, "/apes/bagel/").status == 200
        assert [line for line in server.reports if not line.startswith("405 BREW")] == []


def test_a_report_has_no_control_characters_of_a_stranger(server):
    say(server, b"GET /\x1b[2J\x07 HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert any("\\x1b[2J\\x07" in line for line in server.reports)
    assert not any("\x1b" in line for line in server.reports)


@pytest.mark.parametrize(
    ("wanted", "status", "body", "place"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("apes=0-1", 200, b"0123456789", None),
    ],
)
def test_a_part_of_a_file_can_be_asked_for(server, wanted, status, body, place):
    answer = ask(server, "/apes/pictures/bagel/42.webp", Range=wanted)
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (status, body, place)


def test_ranges_of_an_empty_file_and_absurd_numbers_are_harmless():
    assert byte_range("bytes=0-", 0) == range(0)
    assert byte_range("bytes=" + "9" * 5000 + "-", 10) is None
    assert byte_range("bytes=-", 10) is None


def test_what_a_browser_has_already_is_not_sent_again(server):
    tag = ask(server, "/apes/pictures/bagel/42.webp").headers["ETag"]
    again = ask(server, "/apes/pictures/bagel/42.webp", **{"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    changed = ask(server, "/apes/pictures/bagel/42.webp", **{"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (changed.status, changed.body) == (200, b"0123456789")


def test_one_connection_takes_several_requests(server):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE_S)
    for path, status in [("/apes/", 200), ("/apes/nope", 404), ("/apes/bagel", 301), ("/apes/bagel/", 200)]:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
        assert not answer.will_close
    connection.close()


def test_requests_that_found_nothing_are_reported(server):
    ask(server, "/apes/unheard-of")
    assert any("404 GET /apes/unheard-of" in line for line in server.reports)
    assert not any("/apes/bagel/ " in line for line in server.reports)


def test_a_site_at_a_domains_root_has_no_sub_path(site):
    with serving(BuiltSite(site, "/")) as server:
        assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"
        assert b"home" in ask(server, "/").body
        assert ask(server, "/bagel").headers["Location"] == "/bagel/"
        assert ask_raw(server, b"GET //evil.example/..").startswith(b"HTTP/1.1 404")


def test_a_site_without_a_404_page_still_answers(tmp_path):
    (tmp_path / "index.html").write_text("home")
    with serving(BuiltSite(tmp_path, "/")) as server:
        assert ask(server, "/nope").status == 404


def test_files_after_a_connection_s_first_come_as_soon(server):
    """Where headers and body are two packets, the second waits for an ACK that its receiver holds back for 40 ms."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE_S)
    took_s = []
    for _ in range(30):
        began = time.monotonic()
        connection.request("GET", "/apes/")
        assert connection.getresponse().read()
        took_s.append(time.monotonic() - began)
    connection.close()
    assert sorted(took_s)[10] < 0.03, took_s


def test_requests_keep_working_while_builds_swap_the_folder(tmp_path):
    site, spare, old = (tmp_path / name for name in ("site", "spare", "old"))
    write_site(site)
    write_site(spare)
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            site.rename(old)
            time.sleep(0.002)  # for a moment there is no site at all
            spare.rename(site)
            old.rename(spare)
            time.sleep(0.03)

    swapper = threading.Thread(target=swap)
    with serving(BuiltSite(site, "/apes/")) as server:
        swapper.start()
        try:
            statuses = {
                ask(server, path).status for path in ("/apes/bagel/42/", "/apes/plain") for _ in range(100)
            }
            folders = {ask(server, "/apes/bagel").status for _ in range(50)}
        finally:
            stop.set()
            swapper.join()
    assert statuses == {200}
    assert folders == {301}


def test_a_taken_port_is_named_with_the_next_free_one(server):
    port = server.server_address[1]
    with pytest.raises(
        OptionError, match=rf"port {port} of 127.0.0.1 is taken by another program\n  fix: --port \d+ is free"
    ) as caught:
        PagesServer("127.0.0.1", port, reload=False, report=print)
    free = int(str(caught.value).rsplit("--port ", 1)[1].split()[0])
    assert free > port
    with socket.create_server(("127.0.0.1", free)):
        pass


def test_an_address_that_is_not_ours_is_refused():
    with pytest.raises(OptionError, match=r"--host 203\.0\.113\.9"):
        PagesServer("203.0.113.9", 0, reload=False, report=print)


def test_a_page_gets_the_script_only_while_reloading(site):
    with serving(BuiltSite(site, "/apes/")) as server:
        assert b"__metagan__" not in ask(server, "/apes/").body
        assert ask(server, "/apes/__metagan__/reload.js").status == 404
    with serving(BuiltSite(site, "/apes/"), reload=True) as server:
        version = server.live_site.news.version
        script = f'<script src="/apes/__metagan__/reload.js?{version}" defer></script></body>'.encode()
        for path in ("/apes/", "/apes/bagel/42/", "/apes/no/such/page"):
            assert script in ask(server, path).body
        assert b"__metagan__" not in ask(server, "/apes/static/app.mjs").body
        answer = ask(server, f"/apes/__metagan__/reload.js?{version}")
        assert answer.headers["Content-Type"] == "application/javascript; charset=utf-8"
        assert b"EventSource" in answer.body
        assert answer.headers["Cache-Control"] == "no-cache"
        assert ask(server, "/apes/__metagan__/other").status == 404


def test_the_script_goes_to_the_end_of_the_last_body():
    assert with_script(b"<body>&lt;/body&gt; </BODY></html>", "/r.js") == (
        b'<body>&lt;/body&gt; <script src="/r.js" defer></script></BODY></html>'
    )
    assert with_script(b"no body", "/r.js").endswith(b"</script>")


class Events:
    """A browser's EventSource, in so far as it is needed here."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE_S)
        self.connection.request("GET", f"{server.live_site.built.subpath}__metagan__/events")
        self.answer = self.connection.getresponse()

    def next(self):
        while True:
            line = self.answer.readline()
            if line.startswith(b"data: "):
                return json.loads(line.removeprefix(b"data: "))

    def close(self):
        self.answer.close()
        self.connection.close()


def test_open_pages_hear_of_new_builds_and_of_failed_ones(site):
    with serving(BuiltSite(site, "/apes/"), reload=True) as server:
        events = Events(server)
        assert events.answer.headers["Content-Type"] == "text/event-stream"
        first = events.next()
        assert first == {"version": server.live_site.news.version, "error": None}

        def fail():
            raise BuildError("registry.yaml:3:1: no")

        lines = []
        rebuild(server.live_site, fail, lines.append)
        assert events.next() == {"version": first["version"], "error": "registry.yaml:3:1: no"}
        assert "registry.yaml:3:1: no" in lines[0]
        assert b"home" in ask(server, "/apes/").body

        rebuild(server.live_site, lambda: BuiltSite(site, "/apes/"), lines.append)
        news = events.next()
        assert news["error"] is None
        assert news["version"] != first["version"]
        events.close()


def test_a_bug_in_a_build_is_shown_and_does_not_end_the_preview(site):
    board = LiveSite(BuiltSite(site), time.time())

    def broken():
        raise ZeroDivisionError

    lines = []
    rebuild(board, broken, lines.append)
    assert "ZeroDivisionError" in board.news.error
    assert "bug in metagan" in lines[0]
    assert board.built == BuiltSite(site)


@contextmanager
def watching(board, build):
    stop, lines = threading.Event(), []
    watcher = threading.Thread(target=rebuild_on_change, args=(board, build, stop, lines.append))
    watcher.start()
    try:
        yield lines
    finally:
        stop.set()
        watcher.join(PATIENCE_S)
        assert not watcher.is_alive()


def built_before(build, *sources):
    """A site that was built a while ago, so that whatever changes now is younger, however late the watch begins."""
    for source in sources:
        os.utime(source, (time.time() - 60, time.time() - 60))
    return LiveSite(build(), time.time() - 30)


def until(true, timeout_s=PATIENCE_S):
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_changed_source_starts_a_rebuild_even_when_an_editor_replaces_it(tmp_path):
    registry, templates = tmp_path / "registry.yaml", tmp_path / "templates"
    (templates / "static").mkdir(parents=True)
    registry.write_text("a")
    (tmp_path / "unrelated.txt").write_text("x")
    builds = []

    def build():
        builds.append(registry.read_text())
        return BuiltSite(tmp_path, watch=(registry, templates))

    with watching(built_before(build, registry), build):
        for text in ("b", "c"):  # the second time shows that the watch outlives the replaced file
            scratch = tmp_path / "registry.yaml~"
            scratch.write_text(text)
            scratch.replace(registry)
            until(lambda: builds[-1] == text)  # noqa: B023
        time.sleep(0.5)  # until all that was seen of this change is done with
        count = len(builds)
        (tmp_path / "unrelated.txt").write_text("y")
        (templates / ".page.html.swp").write_text("y")
        time.sleep(0.5)
        assert len(builds) == count
        (templates / "static" / "site.css").write_text("body {}")
        until(lambda: len(builds) > count)
        (templates / "new").mkdir()  # needs no build while it is empty, and has none if it comes during one
        time.sleep(0.5)
        count = len(builds)
        (templates / "new" / "page.html").write_text("x")
        until(lambda: len(builds) > count)


def test_a_source_that_the_registry_newly_names_is_watched_from_then_on(tmp_path):
    registry, corpus = tmp_path / "registry.yaml", tmp_path / "texts" / "bagels.txt"
    corpus.parent.mkdir()
    corpus.write_text("one")
    registry.write_text("no corpus")
    seen = []

    def build():
        named = "bagels.txt" in registry.read_text()
        seen.append((named, corpus.read_text()))
        return BuiltSite(tmp_path, watch=(registry, corpus) if named else (registry,))

    with watching(built_before(build, registry, corpus), build):
        registry.write_text("corpus: bagels.txt")
        until(lambda: (True, "one") in seen)
        corpus.write_text("two")
        until(lambda: (True, "two") in seen)


def test_what_was_edited_before_the_watch_had_begun_is_not_missed(tmp_path, monkeypatch):
    registry = tmp_path / "registry.yaml"
    registry.write_text("a")
    builds = []

    def build():
        builds.append(registry.read_text())
        return BuiltSite(tmp_path, watch=(registry,))

    def late(*folders, **options):
        registry.write_text("b")
        yield from watch(*folders, **options)

    monkeypatch.setattr(reload, "watch", late)
    with watching(built_before(build, registry), build):
        until(lambda: builds[-1] == "b")
        time.sleep(1.5 * reload.LOOK_EVERY_S)
        assert builds == ["a", "b"]


def test_what_was_edited_during_the_first_build_is_not_missed(tmp_path):
    registry = tmp_path / "registry.yaml"
    registry.write_text("a")
    builds = []

    def build():
        builds.append(registry.read_text())
        return BuiltSite(tmp_path, watch=(registry,))

    os.utime(registry, (time.time() - 10, time.time() - 10))
    with watching(LiveSite(BuiltSite(tmp_path, watch=(registry,)), time.time() - 20), build):
        until(lambda: builds == ["a"])
        time.sleep(0.2)
    assert builds == ["a"]


def test_a_source_dated_in_the_future_is_not_new_for_ever(tmp_path):
    source = tmp_path / "registry.yaml"
    source.write_text("a")
    begun = time.time() - 10
    assert SourceFilter((source,)).changed_since(begun)
    os.utime(source, (time.time() + 3600,) * 2)
    assert not SourceFilter((source,)).changed_since(begun)


def test_a_source_that_was_deleted_is_still_waited_for(tmp_path):
    missing = tmp_path / "weights.pkl"
    assert SourceFilter((missing,)).folders() == {tmp_path}
    assert not SourceFilter((missing,)).changed_since(0.0)


@pytest.mark.parametrize(
    ("below", "parts"),
    [
        ("", ("",)),
        ("a/b/", ("a", "b", "")),
        ("a%2Fb", ("a", "b")),
        ("a//b", None),
        ("./a", None),
        ("...", None),
    ],
)
def test_a_path_is_taken_apart_after_decoding(below, parts):
    assert split_path(below) == parts


PROGRAM = """
import sys
from pathlib import Path
from metagan.site.serve.reload import BuiltSite
from metagan.site.serve.server import serve
say = lambda text: print(text, flush=True)
built = BuiltSite(Path(sys.argv[1]), "/apes/", (Path(sys.argv[1]),))
serve(lambda: built, host="127.0.0.1", port=0, reload=True, report=say, ready=say)
"""


def test_ctrl_c_ends_the_server_cleanly(site):
    command = [sys.executable, "-c", PROGRAM, str(site)]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        url = program.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        port = int(url.split(":")[2].split("/")[0])
        stream = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        stream.sendall(b"GET /apes/__metagan__/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(100).startswith(b"HTTP/1.1 200")
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=PATIENCE_S)
        stream.close()
    assert (program.returncode, out, err) == (0, "stopped\n", "")


def test_while_pages_reload_no_service_worker_keeps_them(site):
    (site / "sw.js").write_text("// the site's own")
    with serving(BuiltSite(site, "/apes/"), reload=True) as server:
        answer = ask(server, "/apes/sw.js")
        assert b"unregister" in answer.body
        assert answer.headers["Content-Type"] == "application/javascript; charset=utf-8"
    with serving(BuiltSite(site, "/apes/")) as server:
        assert ask(server, "/apes/sw.js").body == b"// the site's own"


def test_a_folder_whose_name_is_not_utf_8_is_watched_too(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    registry = folder / "registry.yaml"
    registry.write_text("a")
    builds = []

    def build():
        builds.append(registry.read_text())
        return BuiltSite(folder, watch=(registry,))

    with watching(built_before(build, registry), build):
        registry.write_text("b")
        until(lambda: builds[-1] == "b")
