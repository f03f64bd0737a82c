"""A download is what its md5 says, or it ends within the patience, wherever it hangs."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.sources import mirrors
from modelyard.sources.mirrors import LEAST_BYTES, PATIENCE, download
from modelyard.sources.sources import load_dataset
from tests.data.samples import cifar_files, idx_folder, modelyard, tar_gz

PATIENT = 0.6
CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
Answer = Callable[[socket.socket], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The address of a local server that does just this with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_answer, args=(answer, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/file.gz"


def _answer(answer: Answer, connection: socket.socket) -> None:
    with connection:
        try:
            connection.recv(65536)
            answer(connection)
        except OSError:
            return


def send(content: bytes, *, declared: int | None = None, status: str = "200 OK") -> Answer:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(content) if declared is None else declared}\r\n\r\n"
    ).encode()
    return lambda connection: connection.sendall(head + content)


def say_nothing(connection: socket.socket) -> None:
    time.sleep(10)


def trickle(first: bytes) -> Answer:
    """`first` at once, then a byte at a time."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)

    return answer


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 256000\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        say_nothing,
        trickle(b"HTTP/1.1 200 OK\r\nX-Endless: "),
        trickle(HEAD),
        trickle(HEAD + CONTENT[: LEAST_BYTES // 2]),
        trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["accepts and is silent", "endless head", "trickled body", "stalls later", "endless chunk size"],
)
def test_a_server_that_hangs_is_given_up(answer: Answer) -> None:
    with serving(answer) as address:
        start = time.monotonic()
        assert download([address, address], MD5, patience=PATIENT) is None
        assert time.monotonic() - start < 2 * PATIENT


def test_a_look_up_and_a_connection_that_hang_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def never_answers(*_: object, **__: object) -> None:
        answer.wait(10)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", never_answers)
    start = time.monotonic()
    assert download(["http://never.invalid/file.gz"], MD5, patience=PATIENT) is None
    assert time.monotonic() - start < 2 * PATIENT
    assert PATIENCE < 10
    answer.set()


def test_a_connection_that_is_never_accepted_is_given_up() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]  # fills the queue, so that the next one hangs
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        start = time.monotonic()
        assert download([f"http://127.0.0.1:{full.getsockname()[1]}/file.gz"], MD5, patience=PATIENT) is None
        assert time.monotonic() - start < 2 * PATIENT
        for client in waiting:
            client.close()


def test_no_more_is_kept_than_any_file_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """M8, of a mirror."""
    monkeypatch.setattr(mirrors, "MOST_BYTES", len(CONTENT) // 2)
    with serving(send(CONTENT * 8)) as address:
        assert (
            download([address], hashlib.md5(CONTENT * 8, usedforsecurity=False).hexdigest(), patience=5)
            is None
        )


@pytest.mark.fault("a mirror hangs", how="a server that never answers")
def test_a_hanging_mirror_does_not_hold_up_a_good_one() -> None:
    told: list[int] = []
    with serving(say_nothing) as silent, serving(send(CONTENT)) as good:
        start = time.monotonic()
        assert (
            download([silent, good], MD5, on_progress=lambda what, done, total: told.append(done)) == CONTENT
        )
        assert time.monotonic() - start < PATIENCE / 2
    assert all(done <= len(CONTENT) for done in told)


@pytest.mark.fault("a mirror sends wrong or cut content", how="a server that does so")
def test_wrong_or_cut_content_is_never_taken() -> None:
    portal, cut, gone = (
        send(b"<html>please log in</html>"),
        send(CONTENT[:-1], declared=len(CONTENT)),
        send(b"", status="404 No"),
    )
    with (
        serving(portal) as first,
        serving(cut) as second,
        serving(gone) as third,
        serving(send(CONTENT)) as good,
    ):
        assert download([first, second, third], MD5, patience=PATIENT) is None
        assert download([first, good], MD5, patience=PATIENT) == CONTENT


def test_a_slow_but_steady_server_is_waited_for() -> None:
    def slowly(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for start in range(0, len(CONTENT), 32_000):
            connection.sendall(CONTENT[start : start + 32_000])
            time.sleep(0.15)

    with serving(slowly) as address:
        assert download([address], MD5, patience=PATIENT) == CONTENT


def test_the_fetched_files_become_the_data_set(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tar_gz({f"cifar-10-batches-bin/{name}": content for name, content in cifar_files().items()})
    md5 = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    with serving(send(archive)) as address:
        monkeypatch.setattr(mirrors, "_published", lambda name: [("cifar-10-binary.tar.gz", md5, [address])])
        loaded = load_dataset("cifar10")
    assert (len(loaded.train), loaded.origin["source"]) == (100, "downloaded from its publisher")
    assert [path.name for path in (store / "cache").iterdir()] == ["datasets"]


def test_without_a_mirror_a_named_set_says_what_to_do_and_auto_takes_digits(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(send(b"", status="503 Later")) as address:
        monkeypatch.setattr(
            mirrors, "_published", lambda name: [("train-images-idx3-ubyte.gz", MD5, [address])]
        )
        assert modelyard("data", "fetch", "kmnist") == 2
        assert (
            "none of its mirrors sends train-images-idx3-ubyte.gz; put its files into a folder kmnist/"
            in capsys.readouterr().err
        )
        assert load_dataset("auto").name == "digits"


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist", "cifar10"])
def test_what_is_fetched_is_published_with_a_digest_and_needs_no_pickle(name: str) -> None:
    for file, md5, addresses in mirrors._published(name):
        assert file.endswith(("-ubyte.gz", "-binary.tar.gz"))
        assert len(md5) == 32
        assert all(address.startswith("http") and address.endswith(f"/{file}") for address in addresses)
        assert addresses


def test_a_recompressed_gzip_is_the_same_content(store: Path) -> None:
    from modelyard.sources.idx import read_idx_folder

    first, second = idx_folder(store / "a"), idx_folder(store / "b")
    for path in second.glob("*.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    assert read_idx_folder(first, "x").digest == read_idx_folder(second, "x").digest
