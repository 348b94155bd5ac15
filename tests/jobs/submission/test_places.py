"""Addresses and paths, before anything is sent."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from jobs.errors import UsageError
from jobs.submission.address import host_and_port, is_this_machine, job_address
from jobs.submission.places import absolute_place, on_local_disk


@pytest.mark.parametrize("text", ["http://head:8265", "https://ray.example.org", "http://[::1]:80"])
def test_an_address_of_a_dashboard_is_taken(text: str) -> None:
    assert job_address(f"{text}/") == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ray://head:10001", "http://head:8265"),
        ("head:6379", "http://head:8265"),
        ("auto", "http://HOST:8265"),
        ("", "http://HOST:8265"),
        ("http://[::1", "Invalid IPv6 URL"),
    ],
)
def test_another_address_is_refused_with_the_right_one(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        job_address(text)
    assert hint in str(caught.value)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="RAY_AUTH_TOKEN") as caught:
        job_address("http://me:sesame@head:8265")
    assert "sesame" not in str(caught.value)


def test_what_follows_an_address_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="'http://head:8265/'") as caught:
        job_address("http://head:8265/?token=sesame")
    assert "sesame" not in str(caught.value)


def test_ports() -> None:
    assert host_and_port("https://head") == ("head", 443)
    with pytest.raises(UsageError):
        host_and_port("http://head:99999")


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_head_on_loopback_is_this_machine(listening: int) -> None:
    assert is_this_machine(f"http://127.0.0.1:{listening}")
    assert is_this_machine("http://localhost:1")
    assert not is_this_machine("http://10.0.0.1:8265")


def test_a_forwarded_port_leads_elsewhere(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "name", lambda self: "kubectl")

    assert not is_this_machine(f"http://127.0.0.1:{listening}")


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert absolute_place("logs/*.jsonl", "--input") == f"{tmp_path}/logs/*.jsonl"
    assert absolute_place("/shared/logs", "--input") == "/shared/logs"


def test_one_place_has_one_name_unless_a_link_makes_two(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "plain").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    assert absolute_place(f"{tmp_path}/plain/../logs/*.gz", "--input") == f"{tmp_path}/logs/*.gz"
    through = f"{tmp_path}/link/../logs"  # That is far/logs.
    assert absolute_place(through, "--input") == through


@pytest.mark.parametrize("text", ["-", "s3://bucket/logs"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--input"):
        absolute_place(text, "--input")


def test_a_path_on_a_disk_of_this_machine_is_known(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()

    assert on_local_disk(str(tmp_path / "log.jsonl"))
    assert on_local_disk(str(tmp_path / "*.jsonl"))
    assert not on_local_disk(str(tmp_path / "elsewhere"))


def test_a_path_on_a_network_file_system_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = SimpleNamespace(mountpoint=str(tmp_path), fstype="nfs4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])

    assert not on_local_disk(str(tmp_path))
