import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rnncourse.data import download as module
from rnncourse.data.download import DATA_SETS, Remote, cache_directory, download, fetch


@pytest.fixture
def server(monkeypatch):
    """Files served on this machine alone: a dictionary from path to content, and the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests.append(self.path)
            body = server.files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"") + server.missing))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests, server.missing = {}, [], 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def archive(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_a_file_is_fetched_once(server, tmp_path, capsys):
    server.files["/a/b.bin"] = data = bytes(range(256)) * 999
    for _ in range(2):
        path = fetch(server.url + "/a/b.bin", digest(data), tmp_path / "new" / "folder")
        assert path == tmp_path / "new" / "folder" / "b.bin"
        assert path.read_bytes() == data
    assert server.requests == ["/a/b.bin"]
    assert list(path.parent.iterdir()) == [path]
    assert capsys.readouterr().err == ""  # a bar is for terminals


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    server.files["/b"] = b"right"
    (tmp_path / "b").write_bytes(b"wrong")
    assert fetch(server.url + "/b", digest(b"right"), tmp_path).read_bytes() == b"right"


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path):
    server.files["/b"] = b"changed"
    with pytest.raises(ValueError, match=f"expected a file with SHA-256 {digest(b'right')}, got"):
        fetch(server.url + "/b", digest(b"right"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_connection_leaves_nothing_behind(server, tmp_path):
    server.files["/b"], server.missing = b"half", 4
    with pytest.raises((ConnectionError, ValueError), match="expected"):
        fetch(server.url + "/b", digest(b"half and half"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_told(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"/gone: expected to fetch this file, got .*404"):
        fetch(server.url + "/gone", digest(b""), tmp_path)


def test_offline_the_error_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ConnectionError) as caught:  # nothing listens at port 9
        fetch("http://127.0.0.1:9/b", digest(b""), tmp_path)
    assert str(caught.value).endswith(f"put it at {tmp_path / 'b'}")
    (tmp_path / "b").write_bytes(b"")
    assert fetch("http://127.0.0.1:9/b", digest(b""), tmp_path) == tmp_path / "b"


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://a/b", "b", "http://a/"])
def test_other_addresses_are_refused(url, tmp_path):
    with pytest.raises(ValueError, match="url: expected http:// or https://"):
        fetch(url, "", tmp_path)


def test_data_sets_are_unpacked_once(server, tmp_path, monkeypatch):
    server.files["/x.tar.gz"] = x = archive(**{"train/pos/0.txt": b"good"})
    server.files["/y.gz"] = y = b"stays as it is"
    remotes = (Remote(server.url + "/x.tar.gz", digest(x)), Remote(server.url + "/y.gz", digest(y)))
    monkeypatch.setitem(DATA_SETS, "small", remotes)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        folder = download("small")
        assert folder == tmp_path / "rnncourse" / "small"
        assert (folder / "train" / "pos" / "0.txt").read_bytes() == b"good"
        assert (folder / "y.gz").read_bytes() == y
    assert len(server.requests) == 2
    assert list(folder.parent.iterdir()) == [folder]
    assert download("small", tmp_path / "other") == tmp_path / "other" / "small"


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="Python 3.11.4 or later")
def test_an_archive_cannot_write_outside_its_folder(server, tmp_path, monkeypatch):
    server.files["/x.tar.gz"] = x = archive(**{"../../evil": b""})
    remotes = (Remote(server.url + "/x.tar.gz", digest(x)),)
    monkeypatch.setitem(DATA_SETS, "small", remotes)
    with pytest.raises(tarfile.TarError):
        download("small", tmp_path / "data")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "data" / "small").exists()


def test_unknown_data_sets_are_refused():
    with pytest.raises(ValueError, match="name: expected 'mnist' or 'imdb'"):
        download("cats")


def test_the_list_is_well_formed():
    for remotes in DATA_SETS.values():
        for url, sha256 in remotes:
            assert url.startswith(("http://", "https://"))
            assert len(sha256) == 64
            assert int(sha256, 16) > 0


def test_the_cache_directory(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("USERPROFILE", "/somewhere")  # the same on Windows
    assert cache_directory() == Path("/somewhere/.cache/rnncourse")
    monkeypatch.setattr(module.Path, "home", lambda: Path("/h"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_directory() == Path("/h/.cache/rnncourse")
