"""containerd by CRI: messages on the wire, configuration, the pause image, and the client against a false engine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtlab.engines.containerd import client, messages, pause
from rtlab.engines.containerd.private import Engine, may_lower_oom_score
from rtlab.errors import HostUnfit
from rtlab.experiments.boot import measure as boot
from rtlab.probe.base import TrialFailed, TrialTimedOut
from rtlab.probe.engine import STDERR, Limits, shim_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# --------------------------------------------------------------------------- messages

# What Google's protobuf 7.36 makes of these documents by the classes that protoc made of cri-api v0.36.3's api.proto.
GOLDEN = {
    "RunPodSandboxRequest": (
        "0a700a130a0772746c61622d311201751a0572746c6162120572746c61621a022f6c32070a01621202c3bc32190a0d72746c61622e746573"
        "7462656412083062616463616665422a0a0f2f72746c61622d306261646361666512060a0210014a002a0f10f0930920ffffffffffffffff"
        "ff01120572756e7363",
        {
            "config": {
                "metadata": {"name": "rtlab-1", "uid": "u", "namespace": "rtlab"},
                "hostname": "rtlab",
                "log_directory": "/l",
                "labels": {"rtlab.testbed": "0badcafe", "b": "ü"},
                "linux": {
                    "cgroup_parent": "/rtlab-0badcafe",
                    "security_context": {"namespace_options": {"pid": 1}, "seccomp": {}},
                    "resources": {"cpu_quota": 150000, "memory_limit_in_bytes": -1},
                },
            },
            "runtime_handler": "runsc",
        },
    ),
    "ExecSyncResponse": ("0a05ff006f757418ffffffffffffffffff01", {"stdout": b"\xff\0out", "exit_code": -1}),
    "ListPodSandboxRequest": (
        "0a121a100a0b72746c61622e747269616c120178",
        {"filter": {"label_selector": {"rtlab.trial": "x"}}},
    ),
}
STATUS = "0a1d0a0163180230ede5ccc9dee5eaf51838890142030a01697a042f6c2f6f12120a04696e666f120a7b22706964223a20377d"
IMAGES = "0a1d0a087368613235363a311203613a311203623a322080808080802040010a030a017a"


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_is_written_as_protobuf_writes_it(name: str) -> None:
    wire, document = GOLDEN[name]
    assert messages.encode(name, document).hex() == wire


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_is_read_as_protobuf_reads_it(name: str) -> None:
    wire, document = GOLDEN[name]
    read = messages.decode(name, bytes.fromhex(wire))

    def holds(found: Any, wanted: Any) -> bool:
        if isinstance(wanted, dict) and isinstance(found, dict):
            return all(holds(found.get(key), value) for key, value in wanted.items() if value != {})
        return bool(found == wanted)

    assert holds(read, document)


def test_what_is_not_declared_is_skipped_and_what_is_absent_has_its_default() -> None:
    read = messages.decode("ContainerStatusResponse", bytes.fromhex(STATUS))
    assert read["info"] == {"info": '{"pid": 7}'}
    assert {k: read["status"][k] for k in ("id", "state", "exit_code", "reason", "log_path")} == {
        "id": "c",
        "state": 2,
        "exit_code": 137,
        "reason": "",
        "log_path": "/l/o",
    }
    images = messages.decode("ListImagesResponse", bytes.fromhex(IMAGES))["images"]
    assert [(i["id"], i["repo_tags"], i["size"]) for i in images] == [("sha256:1", ["a:1", "b:2"], 2**40), ("z", [], 0)]


@pytest.mark.parametrize("size", range(1, len(bytes.fromhex(STATUS)) - 1))
def test_an_answer_that_was_cut_is_none_or_another_but_never_a_crash(size: int) -> None:
    try:
        messages.decode("ContainerStatusResponse", bytes.fromhex(STATUS)[:size])
    except TrialFailed as error:
        assert "ends in the middle" in str(error)


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        ("08ff", "ends in the middle"),
        ("0b", "which no message has"),
        ("0801", "is no ContainerId"),
        ("80" * 11, "ends"),
    ],
)
def test_what_is_no_message_is_told(wire: str, words: str) -> None:
    with pytest.raises(TrialFailed, match=words):
        messages.decode("ContainerId", bytes.fromhex(wire))


# --------------------------------------------------------------------------- the container's output and stdin


def test_lines_of_the_output_are_those_of_cri() -> None:
    """Kubernetes' CRI logging format: time, stream, tag (F full, P partial), text."""
    assert client.parsed(b"2016-10-06T00:17:09.669794202Z stdout F log content 1") == ("stdout", "log content 1\n")
    assert client.parsed(b"2016-10-06T00:17:09.669794203Z stderr P log content") == ("stderr", "log content")
    assert client.parsed(b"2016-10-06T00:17:09.669794203Z stdout F ") == ("stdout", "\n")
    with pytest.raises(TrialFailed, match="not written as CRI has it"):
        client.parsed(b"log content")


def test_a_frame_is_masked_as_rfc_6455_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its section 5.7: a masked message "Hello"; ours is binary (2) instead of text (1)."""
    monkeypatch.setattr(os, "urandom", lambda size: bytes.fromhex("37fa213d")[:size])
    assert client.frame(b"Hello").hex() == "8285" + "37fa213d" + "7f9f4d5158"
    assert client.frame(bytes(256))[:4].hex() == "82fe0100"
    assert client.frame(bytes(65536))[:10].hex() == "82ff0000000000010000"


def test_limits_are_a_share_of_a_period_and_bytes() -> None:
    assert client.resources(Limits()) == {}
    assert client.resources(Limits(1.5, 2**28)) == {
        "cpu_period": 100000,
        "cpu_quota": 150000,
        "memory_limit_in_bytes": 2**28,
    }


# --------------------------------------------------------------------------- the pause image


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="no pause program for this machine")
def test_the_pause_program_runs_and_does_nothing(tmp_path: Path) -> None:
    file = tmp_path / "pause"
    file.write_bytes(pause.program(os.uname().machine))
    file.chmod(0o755)
    with subprocess.Popen([file]) as process:
        try:
            deadline = time.monotonic() + 10
            while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == -signal.SIGTERM
        finally:
            process.kill()


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_the_pause_image_names_what_it_holds(machine: str, architecture: str) -> None:
    content = pause.archive(machine)
    assert content == pause.archive(machine)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    (manifest,) = json.loads(files["manifest.json"])
    (layer,) = manifest["Layers"]
    config = json.loads(files[manifest["Config"]])
    assert manifest["RepoTags"] == ["rtlab/pause:1"]
    assert manifest["Config"] == hashlib.sha256(files[manifest["Config"]]).hexdigest() + ".json"
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(files[layer]).hexdigest()]
    assert (config["architecture"], config["config"]["Entrypoint"]) == (architecture, ["/pause"])
    with tarfile.open(fileobj=io.BytesIO(files[layer])) as inner:
        assert [(m.name, m.mode) for m in inner] == [("pause", 0o755)]


def test_another_machine_is_refused_by_name() -> None:
    with pytest.raises(HostUnfit, match="no pause program for riscv64"):
        pause.archive("riscv64")


# --------------------------------------------------------------------------- configuration


@pytest.fixture
def private(tmp_path: Path) -> Engine:
    return Engine("0badcafe", tmp_path / "run")


def test_everything_with_a_fixed_place_is_in_the_testbeds_own(private: Engine, tmp_path: Path) -> None:
    data, folder = tmp_path / 'state "local"', tmp_path / "bin"
    handlers = {"runc": private.runc_like("/x/runc"), "run sc": {"type": "t", "path": "/p", "options": {"A": "b"}}}
    found = tomllib.loads(private.toml(data, folder, handlers))
    assert found["version"] == 3
    assert found["root"] == str(data / "cri")
    assert found["state"].startswith(f"{private.folder}/")
    assert found["grpc"]["address"] == str(private.socket)
    runtime = found["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["restrict_oom_score_adj"] and runtime["netns_mounts_under_state_dir"]
    assert runtime["cni"] == {"bin_dirs": [str(folder)], "conf_dir": str(private.place / "net.d")}
    assert runtime["containerd"]["runtimes"]["runc"] == {
        "runtime_type": "io.containerd.runc.v2",
        "options": {"BinaryName": "/x/runc", "Root": str(private.place / "runtimes"), "SystemdCgroup": False},
    }
    assert runtime["containerd"]["runtimes"]["run sc"] == {
        "runtime_type": "t",
        "runtime_path": "/p",
        "options": {"A": "b"},
    }
    (network,) = private.cni()["plugins"]
    assert network["ipam"]["dataDir"].startswith(f"{private.folder}/")
    assert not network["ipMasq"]


@pytest.mark.parametrize(
    ("status", "may"),
    [
        ("CapEff:\t000001ffffffffff\n", True),  # root on a whole machine
        ("CapEff:\t000001fffeffffff\n", False),  # root without CAP_SYS_RESOURCE (bit 24)
        ("", False),
    ],
)
def test_who_may_lower_an_oom_score(status: str, may: bool) -> None:
    assert may_lower_oom_score(status) is may


def test_results_of_cni_are_found_by_the_testbeds_namespaces(private: Engine, tmp_path: Path) -> None:
    """The loopback's are named by the pod alone; another testbed's stay."""
    results = tmp_path / "results"
    assert private.kept_by_cni(results) == ()
    results.mkdir()
    mine, other = results / "cni-loopback-abc-lo", results / "rtlab-11111111-abc-eth0"
    mine.write_text(json.dumps({"containerId": "abc", "netns": f"{private.folder}/cri/state/netns/cni-1"}))
    other.write_text(json.dumps({"containerId": "abc", "netns": "/run/rtlab-11111111/cri/state/netns/cni-1"}))
    (results / "linked").symlink_to(mine)
    assert private.kept_by_cni(results) == (mine,)


# --------------------------------------------------------------------------- the client against a false containerd


class FalseContainerd:
    """Answers CRI's methods over a real socket with gRPC's own server."""

    def __init__(self, path: Path, answers: dict[str, Any]) -> None:
        import grpc

        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers = answers
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        fake = self

        class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
            def service(self, details: Any) -> Any:
                return grpc.unary_unary_rpc_method_handler(
                    lambda request, context: fake.answer(details.method, request, context)
                )

        self.server.add_generic_rpc_handlers((Handler(),))
        self.server.add_insecure_port(f"unix:{path}")
        self.server.start()

    def answer(self, method: str, request: bytes, context: Any) -> bytes:
        import grpc

        short = method.rpartition(".")[2]
        asks, says = messages.METHODS[short.replace("v1.", "")]
        name = short.rpartition("/")[2]
        self.asked.append((name, messages.decode(asks, request)))
        answer = self.answers.get(name, {})
        if isinstance(answer, float):
            time.sleep(answer)
            answer = {}
        if isinstance(answer, str):
            context.abort(grpc.StatusCode.NOT_FOUND if "not found" in answer else grpc.StatusCode.UNKNOWN, answer)
        if isinstance(answer, bytes):
            return answer
        return messages.encode(says, answer)


@pytest.fixture
def cri(tmp_path: Path) -> Iterator[Any]:
    pytest.importorskip("grpc", reason="grpcio is not installed: .venv/bin/pip install grpcio")
    started = []

    def start(answers: dict[str, Any], seconds: float = 10) -> tuple[FalseContainerd, client.Client]:
        path = tmp_path / "c.sock"
        started.append(FalseContainerd(path, answers))
        settings = {"cgroup": "rtlab-0badcafe", "logs": str(tmp_path / "logs")}
        return started[-1], client.Client(str(path), time.monotonic() + seconds, settings)

    yield start
    for fake in started:
        fake.server.stop(0)


def test_a_container_is_a_pod_whose_cgroups_and_shim_are_found_by_its_id(cri: Any) -> None:
    fake, engine = cri({"RunPodSandbox": {"pod_sandbox_id": "p1"}, "CreateContainer": {"container_id": "c1"}})
    assert engine.create("runsc", "rtlab/httpd:x", ["a", "b"], Limits(0.5, None), {"rtlab.trial": "t"}) == "p1"
    engine.start("p1")
    engine.stop("p1", 3)
    (_, pod), (_, container), (_, started), (_, stopped), (last, _) = fake.asked
    assert pod["runtime_handler"] == "runsc"
    assert pod["config"]["labels"] == {"rtlab.trial": "t"}
    assert pod["config"]["linux"]["cgroup_parent"] == "/rtlab-0badcafe"
    assert container["sandbox_config"]["linux"]["cgroup_parent"] == "/rtlab-0badcafe/pod-p1"
    assert container["config"]["args"] == ["a", "b"]
    assert container["config"]["linux"]["resources"]["cpu_quota"] == 50000
    assert started["container_id"] == stopped["container_id"] == "c1"
    assert (stopped["timeout"], last) == (3, "StopPodSandbox")


def test_a_container_that_cannot_be_made_leaves_no_pod(cri: Any) -> None:
    fake, engine = cri({"RunPodSandbox": {"pod_sandbox_id": "p1"}, "CreateContainer": "image is not there"})
    with pytest.raises(TrialFailed, match="refused CreateContainer: image is not there"):
        engine.create("runc", "none")
    assert [name for name, _ in fake.asked[-2:]] == ["StopPodSandbox", "RemovePodSandbox"]
    assert not list(Path(engine.settings["logs"]).iterdir())


def test_a_container_that_is_not_there_is_removed_without_an_error(cri: Any) -> None:
    _, engine = cri({"PodSandboxStatus": "sandbox not found"})
    engine.remove("p1")


def test_a_command_in_a_container_tells_its_output_and_its_exit_status(cri: Any) -> None:
    fake, engine = cri(
        {
            "ListContainers": {"containers": [{"id": "c1"}]},
            "ExecSync": {"stdout": b"out\n", "stderr": b"\xff", "exit_code": 3},
        }
    )
    done = engine.exec("p1", ["sh", "-c", "exit 3"])
    assert (done.stdout, done.stderr, done.exit_status()) == ("out\n", "\ufffd", 3)
    assert fake.asked[-1][1]["cmd"] == ["sh", "-c", "exit 3"]


def test_no_call_outlasts_the_trial(cri: Any) -> None:
    _, engine = cri({"Version": 30.0}, seconds=0.5)
    began = time.monotonic()
    with pytest.raises(TrialTimedOut, match="did not answer Version in time"):
        engine.ping()
    assert time.monotonic() - began < 5


def test_an_engine_that_is_not_there_and_one_that_talks_nonsense(cri: Any, tmp_path: Path) -> None:
    _, engine = cri({"RunPodSandbox": b"\x0a\xff"})
    with pytest.raises(TrialFailed, match="ends in the middle"):
        engine.create("runc", "x")
    nobody = client.Client(str(tmp_path / "none"), time.monotonic() + 5, engine.settings)
    with pytest.raises(TrialFailed, match="the engine does not answer at"):
        nobody.ping()


def test_the_output_is_followed_to_the_marker_and_no_further_than_the_end(cri: Any, tmp_path: Path) -> None:
    log = tmp_path / "output"
    log.write_bytes(
        b"T stdout F one\nT stderr F two\nT stdout P thr\nT stdout F ee\nT stdout F rtlab-done 7\n"
        b"T stderr P three\nT stderr F rtlab-done\nT stdo"
    )
    status: dict[str, Any] = {"id": "c1", "state": client.EXITED, "exit_code": 9, "log_path": str(log)}
    _, engine = cri({"ListContainers": {"containers": [{"id": "c1"}]}, "ContainerStatus": {"status": status}})
    assert engine.follow("p1", "rtlab-done") == ("one\nthree\n", "7")
    assert engine.follow("p1", "rtlab-done", STDERR) == ("two\nthree", "")
    with pytest.raises(TrialFailed, match="ended with status 9 before rtlab-more: two"):
        engine.follow("p1", "rtlab-more")
    status["reason"] = "OOMKilled"
    with pytest.raises(TrialFailed, match=r"ended with status 9 \(the kernel killed it for want of memory\) before"):
        engine.follow("p1", "rtlab-more")


def test_addresses_and_namespaces_come_from_what_containerd_tells_beyond_cri(cri: Any) -> None:
    info = {
        "cniResult": {
            "Interfaces": {"lo": None, "eth0": {"IPConfigs": [{"IP": "172.30.0.2", "Gateway": "172.30.0.1"}]}}
        },
        "runtimeSpec": {"linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/run/n"}]}},
    }
    status = {"status": {"id": "p1", "network": {"ip": "172.30.0.2"}}, "info": {"info": json.dumps(info)}}
    _, engine = cri({"PodSandboxStatus": status})
    assert engine.address("p1") == ("172.30.0.2", "172.30.0.1")
    assert engine.namespace("p1") == "/run/n"


def test_runtimes_are_the_handlers_of_its_configuration(cri: Any, tmp_path: Path) -> None:
    shim = tmp_path / "runc"
    shim.write_bytes(b"")
    known = {
        "runc": {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": str(shim)}},
        "runsc": {"runtimeType": "io.containerd.runsc.v1", "options": None},
    }
    config = {"containerd": {"runtimes": known}}
    _, engine = cri({"Status": {"info": {"config": json.dumps(config)}}})
    found = engine.runtimes()
    assert list(found) == ["runc", "runsc"]
    assert engine.program("runc", found["runc"]) == str(shim)
    assert shim_of("io.containerd.runsc.v1") == "containerd-shim-runsc-v1"


def test_boot_starts_nothing_by_a_command_line_that_is_none(cri: Any) -> None:
    """The starts by `docker run` have no values there; the trial is none the worse."""
    _, engine = cri({})

    parameters = {"page_sha256": "0", "page_port": 80, "starts": 0, "cli_starts": 2, "null_starts": 1}
    request = {"netns": "/run/netns/x", "engine": {"cli": ""}}
    trial: Any = SimpleNamespace(request=request, parameters=parameters, engine=engine)
    measured = boot.measure(trial)
    assert (measured["socket"], measured["cli"], len(measured["null"])) == ([], [], 1)
