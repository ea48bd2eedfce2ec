"""Remotes elsewhere: a real S3 server and a real SSH server on loopback, and what happens when they fail in the middle.

S3 is OpenStack Swift's (`tests/store/s3_server.py`): signatures are checked, objects lie on disk, uploads may be multipart. SSH is
OpenSSH's own daemon, where ``dvc-ssh`` is installed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.errors import InfraError
from loopwright.store import git
from loopwright.store.artifacts import check
from loopwright.store.dvc import DvcStore
from tests.store import fake, s3_server
from tests.store.s3_server import Proxy, answers, cuts_uploads

BIG = 104 << 20
"""Bytes of a file that goes up in parts."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The store behind a proxy that can harm; DVC finds it by the environment, as a lab's would be found."""
    if missing := s3_server.missing():
        assert "CI" not in os.environ, f"{missing} are missing: make system-deps"
        pytest.skip(f"no S3 server: {', '.join(missing)} not installed (packages.txt)")
    pytest.importorskip("dvc_s3", reason="the extra `s3` is not installed")
    import boto3

    folder = tmp_path_factory.mktemp("swift")
    with pytest.MonkeyPatch.context() as patch, s3_server.swift(folder) as port, s3_server.proxy(port) as found:
        for name, value in (
            ("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{found.port}"),
            ("AWS_ACCESS_KEY_ID", s3_server.ACCESS),
            ("AWS_SECRET_ACCESS_KEY", s3_server.SECRET),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_MAX_ATTEMPTS", "2"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", str(folder / "none")),
            ("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none")),
        ):
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="lab")
        yield found


@pytest.fixture
def lab(endpoint: Proxy, tmp_path: Path) -> Iterator[tuple[Path, DvcStore]]:
    """A workspace with one cycle and its remote in the bucket."""
    endpoint.harm = None
    store = fake.make(tmp_path / "lab", f"s3://lab/{tmp_path.name}")
    yield tmp_path / "lab", store
    endpoint.harm = None
    store.close()


def cloned(root: Path, target: Path) -> DvcStore:
    git.clone(root, target)
    return DvcStore(target)


def test_what_was_pushed_to_s3_comes_back_by_digest_in_a_clone(
    endpoint: Proxy, lab: tuple[Path, DvcStore], tmp_path: Path
) -> None:
    """One error among many requests is no failure; a second push sends nothing."""
    root, store = lab
    done = fake.turn(store, root, "c0000")
    endpoint.harm = answers("503 Slow Down", "SlowDown", times=1)
    store.push()
    sent = [line for line in endpoint.seen if line.startswith("PUT")]
    store.push()
    assert [line for line in endpoint.seen if line.startswith("PUT")] == sent
    clone = cloned(root, tmp_path / "clone")
    clone.pull()
    for path, sealed in done.items():
        assert check(tmp_path / "clone", fake.artifact(path, sealed), fresh=True)
    clone.close()


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # botocore leaves the sockets of its parts to the collector
def test_a_large_file_goes_up_in_parts_and_comes_back(
    endpoint: Proxy, lab: tuple[Path, DvcStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = lab
    plain = fake.work

    def large(folder: Path, cycle: str, name: str, scratch: Path) -> Path:
        made = plain(folder, cycle, name, scratch)
        if name == "model":
            (made / "rows.parquet").write_bytes(os.urandom(BIG))
        return made

    monkeypatch.setattr(fake, "work", large)
    done = fake.turn(store, root, "c0000")
    store.push()
    assert sum("partNumber=" in line for line in endpoint.seen) > 1
    clone = cloned(root, tmp_path / "clone")
    clone.pull(["cycles/c0000/model"])
    path = "cycles/c0000/model"
    assert check(tmp_path / "clone", fake.artifact(path, done[path]), fresh=True)
    clone.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        lambda: answers("500 Internal Server Error", "InternalError"),
        lambda: answers("503 Slow Down", "SlowDown"),
        lambda: answers("403 Forbidden", "AccessDenied"),
        cuts_uploads,
    ],
    ids=["error 500", "slow down", "forbidden", "cut off"],
)
def test_a_push_that_s3_fails_is_told_and_the_next_one_completes_it(
    harm, endpoint: Proxy, lab: tuple[Path, DvcStore], tmp_path: Path
) -> None:
    root, store = lab
    done = fake.turn(store, root, "c0000")
    endpoint.harm = harm()
    with pytest.raises(InfraError) as failed:
        store.push()
    assert "push" in failed.value.message + failed.value.next_step
    for path, sealed in done.items():
        assert check(root, fake.artifact(path, sealed), fresh=True)
    endpoint.harm = None
    store.push()
    clone = cloned(root, tmp_path / "clone")
    clone.pull()
    for path, sealed in done.items():
        assert check(tmp_path / "clone", fake.artifact(path, sealed), fresh=True)
    clone.close()


@pytest.mark.slow
def test_a_pull_from_s3_that_is_not_there_says_so(
    endpoint: Proxy, lab: tuple[Path, DvcStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = lab
    done = fake.turn(store, root, "c0000")
    store.push()
    clone = cloned(root, tmp_path / "clone")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{s3_server.free_port()}")
    with pytest.raises(InfraError, match="dvc pull"):
        clone.pull()
    clone.close()
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "clone" / "cycles" / "c0000" / "model", ignore_errors=True)
    clone = DvcStore(tmp_path / "clone")
    clone.pull()
    for path, sealed in done.items():
        assert check(tmp_path / "clone", fake.artifact(path, sealed), fresh=True)
    clone.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """OpenSSH's daemon on loopback with keys of its own; its port, and the key that it lets in."""
    pytest.importorskip("dvc_ssh", reason="dvc-ssh is not installed: pip install dvc-ssh")
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if sshd is None:
        pytest.skip("no SSH server: apt-get install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    port = s3_server.free_port()
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\nAuthorizedKeysFile {tmp_path / 'user.pub'}\n"
        "PasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\nSubsystem sftp internal-sftp\n"
    )
    command = [sshd, "-D", "-f", str(tmp_path / "sshd_config"), "-E", str(tmp_path / "log")]
    with s3_server.process(command, tmp_path):
        s3_server.listens(port, tmp_path)
        yield port, tmp_path / "user"


@pytest.mark.slow
def test_what_was_pushed_over_ssh_comes_back_by_digest_in_a_clone(host: tuple[int, Path], tmp_path: Path) -> None:
    """Who may come in is told to DVC in ``.dvc/config.local``, which no commit holds."""
    port, key = host
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/store"

    def told(root: Path) -> None:
        file = root / ".dvc" / "config.local"
        _, _, settings = file.read_text().partition("\n")  # as `dvc remote modify --local` leaves it
        file.write_text(f"{settings}['remote \"store\"']\n    keyfile = {key}\n    allow_agent = false\n")

    store = fake.make(tmp_path / "lab", url)
    store.close()
    told(tmp_path / "lab")
    store = DvcStore(tmp_path / "lab")
    done = fake.turn(store, tmp_path / "lab", "c0000")
    store.push()
    clone = cloned(tmp_path / "lab", tmp_path / "clone")
    with pytest.raises(InfraError):  # nobody comes in without the key
        clone.pull()
    clone.close()
    told(tmp_path / "clone")
    clone = DvcStore(tmp_path / "clone")
    clone.pull()
    for path, sealed in done.items():
        assert check(tmp_path / "clone", fake.artifact(path, sealed), fresh=True)
    clone.close()
    store.close()
