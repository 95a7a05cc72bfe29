"""Finding a file: the reader's folder, the cache, a download that is verified or leaves nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import urllib.error
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pooch
import pytest

import medpriv
from medpriv.data import fetch
from medpriv.data.cohort import DataError
from medpriv.data.fetch import Source, locate
from medpriv.data.sources.openml import openml_source
from medpriv.runtime.cache import CacheError

BODY = bytes(range(256)) * 4000  # about 1 MB: several chunks
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()
CLOSED_PORT = "http://127.0.0.1:9/toy.bin"  # the discard port: nobody listens


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/missing/toy.bin":
            self.send_error(404)
            return
        if self.path == "/silent/toy.bin":
            self.server.release.wait(10)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if self.path == "/cut/toy.bin" else BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.release = [], threading.Event()
        server.base = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CI", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MEDPRIV_DATA", raising=False)
    return tmp_path / "cache" / "data"


def toy(url: str, **changed) -> Source:
    source = Source("toy", ("toy.bin",), url, "https://example.org/toy", MD5)
    return replace(source, **changed)


def left(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.glob("**/*")) if cache.exists() else []


def test_download_is_verified_kept_and_not_repeated(server, cache, capfd):
    source = toy(f"{server.base}/toy.bin?download=1")
    first, second = locate(source), locate(source)
    assert first == second == cache / "toy.bin"
    assert first.read_bytes() == BODY
    assert left(cache) == ["toy.bin"]
    assert len(server.asked) == 1
    assert capfd.readouterr().err == ""  # no progress bar in CI


def test_the_readers_folder_comes_before_the_cache_and_the_network(tmp_path, cache, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    cache.mkdir(parents=True)
    (cache / "toy.bin").write_bytes(BODY)
    monkeypatch.setenv("MEDPRIV_DATA", str(folder))
    assert locate(toy(CLOSED_PORT)) == cache / "toy.bin"
    (folder / "second.bin").write_bytes(b"mine, perhaps a subset")
    source = toy(CLOSED_PORT, files=("toy.bin", "second.bin"))
    assert locate(source) == folder / "second.bin"


def test_the_readers_folder_must_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPRIV_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"MEDPRIV_DATA is .*nowhere', which is no folder"):
        locate(toy(CLOSED_PORT))


def test_the_readers_folder_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MEDPRIV_DATA", "~/mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "toy.bin").write_bytes(b"x")
    assert locate(toy(CLOSED_PORT)) == tmp_path / "mine" / "toy.bin"


def test_unreachable_host(cache):
    with pytest.raises(DataError) as caught:
        locate(toy(CLOSED_PORT))
    message = str(caught.value)
    assert CLOSED_PORT in message
    assert "cannot be reached" in message
    assert "by hand from https://example.org/toy and put it as toy.bin" in message
    assert "MEDPRIV_DATA" in message
    assert left(cache) == []


def test_unknown_host(cache):
    with pytest.raises(DataError, match="cannot be reached"):
        locate(toy("http://no-such-host.invalid/toy.bin"))
    assert left(cache) == []


def test_silent_host(server, cache, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.2)
    with pytest.raises(DataError, match="no answer within"):
        locate(toy(f"{server.base}/silent/toy.bin"))
    assert left(cache) == []


def test_download_cut_half_way(server, cache):
    with pytest.raises(DataError, match="the transfer ended early"):
        locate(toy(f"{server.base}/cut/toy.bin"))
    assert left(cache) == []


def test_file_that_moved(server, cache):
    with pytest.raises(DataError, match="answered 404"):
        locate(toy(f"{server.base}/missing/toy.bin"))
    assert left(cache) == []


def test_wrong_checksum(server, cache):
    with pytest.raises(DataError, match=r"has md5 .* but its publisher states 000"):
        locate(toy(f"{server.base}/toy.bin", checksum="md5:" + 32 * "0"))
    assert left(cache) == []


def test_structure_is_checked_before_use(server, cache):
    def refuse(path: Path) -> None:
        assert path.read_bytes() == BODY  # it is complete when it is checked
        raise DataError("not what it should be")

    with pytest.raises(DataError, match="not what it should be"):
        locate(toy(f"{server.base}/toy.bin", checksum=None, check=refuse))
    assert left(cache) == []


def test_damaged_file_in_the_cache_is_fetched_again(server, cache):
    cache.mkdir(parents=True)
    (cache / "toy.bin").write_bytes(BODY[:100])
    with pytest.warns(RuntimeWarning, match="Downloading it again"):
        path = locate(toy(f"{server.base}/toy.bin"))
    assert path.read_bytes() == BODY


def test_a_damaged_byte_anywhere_is_noticed_where_no_publisher_gives_a_checksum(server, cache):
    source = toy(f"{server.base}/toy.bin", checksum=None, check=lambda path: None)
    path = locate(source)
    note = path.with_name("toy.bin.sha256")
    assert left(cache) == [path.name, note.name]
    assert locate(source) == path
    for place in (0, len(BODY) // 2, len(BODY) - 1):
        path.write_bytes(BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :])
        with pytest.warns(RuntimeWarning, match="not as it was downloaded.*Downloading it again"):
            assert locate(source).read_bytes() == BODY
    note.write_bytes(b"\xff" + note.read_bytes()[1:])
    with pytest.warns(RuntimeWarning, match="Downloading it again"):
        locate(source)
    path.unlink()  # as a reader is told to do, or a run that was killed leaves it
    assert locate(source).read_bytes() == BODY
    note.unlink()  # kept before there were notes
    assert locate(source).read_bytes() == BODY
    assert len(server.asked) == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interruption_leaves_nothing(cache, monkeypatch, error):
    def half_way(self, url, path, pooch):
        Path(path).write_bytes(BODY[:1000])
        assert len(left(cache)) == 1
        raise error

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", half_way)
    with pytest.raises(error):
        locate(toy("http://example.org/toy.bin"))
    assert left(cache) == []


def test_full_disk(cache, monkeypatch):
    def no_space(self, url, path, pooch):
        Path(path).write_bytes(BODY[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", no_space)
    with pytest.raises(CacheError, match=r"cannot write toy\.bin .*No space left.*MEDPRIV_CACHE"):
        locate(toy("http://example.org/toy.bin"))
    assert left(cache) == []


def test_read_only_cache(cache, monkeypatch):
    def read_only(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(CacheError, match=r"Read-only file system.*MEDPRIV_CACHE"):
        locate(toy(CLOSED_PORT))
    assert left(cache) == []


FILL = """
import sys
from medpriv.data.fetch import Source, locate
print(locate(Source("toy", ("toy.bin",), sys.argv[1], "page", sys.argv[2])).stat().st_size)
"""


def test_two_processes_fill_the_cache_at_once(server, cache):
    root = Path(medpriv.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", FILL, f"{server.base}/toy.bin", MD5]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        assert int(out) == len(BODY)
    assert left(cache) == ["toy.bin"]
    assert (cache / "toy.bin").read_bytes() == BODY


def test_openml_is_asked_once_and_kept(cache, monkeypatch):
    asked = []

    class Bunch:
        frame = pd.DataFrame({"a": [1, 2], "b": pd.Categorical(["x", None])})

    def fetch_openml(**request):
        asked.append(request)
        return Bunch

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    toys = openml_source("toy", 7)
    first, second = locate(toys), locate(toys)
    assert first == second
    assert first.read_text() == "a,b\n1,x\n2,\n"
    assert len(asked) == 1
    assert asked[0]["data_id"] == 7
    whole = first.read_bytes()
    for place in range(len(whole)):
        first.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.warns(RuntimeWarning, match="not as it was downloaded.*Downloading it again"):
            assert locate(toys).read_bytes() == whole
    assert len(asked) == 1 + len(whole)


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route to host"),
        ValueError("The md5 checksum of the file does not match"),
        TimeoutError("timed out"),
    ],
)
def test_openml_that_fails_leaves_nothing(cache, monkeypatch, error):
    def fetch_openml(**request):
        raise error

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    with pytest.raises(DataError, match=r"OpenML failed .*put it as toy\.csv.*MEDPRIV_DATA"):
        locate(openml_source("toy", 7))
    assert left(cache) == []
