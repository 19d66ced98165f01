"""The roles: linted, their variables declared, and their logic run for real with stand-ins for docker and systemctl.

Whole roles on whole machines are what the `vm` tests run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rtlab import content, plugins
from rtlab.artifacts import profile
from rtlab.connection import archive

ROOT = content.root()
ROLES = sorted(folder.name for folder in (ROOT / "roles").iterdir())
BIN = Path(sys.executable).parent


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": os.environ["HOME"], "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [str(BIN / name), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_yamllint() -> None:
    result = tool("yamllint", "--strict", "roles", "playbooks", ".ansible-lint", ".yamllint")

    assert result.stdout == ""
    assert result.returncode == 0


def test_ansible_lint_production() -> None:
    result = tool("ansible-lint", "--offline", "-q", "--format", "pep8", "roles", "playbooks")

    assert result.stdout == ""
    assert result.returncode == 0


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_declared_with_its_type(role: str) -> None:
    """Each default is an option of meta/argument_specs.yml, with a type and a description."""
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text()) or {}
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    options = {name: option for spec in specs.values() for name, option in spec["options"].items()}

    assert set(defaults) <= set(options)
    assert all({"type", "description"} <= set(option) for option in options.values())


@pytest.mark.parametrize("name", profile.names())
def test_profiles_set_only_variables_that_roles_know(name: str) -> None:
    known = set()
    for role in ROLES:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        known |= {option for spec in specs.values() for option in spec["options"]}
    variables = {
        key
        for key in profile.load(name).role_variables
        if not key.startswith("images_") or key in ("images_registry", "images_archives")
    }

    assert variables <= known


# The roles of the machines; `controller` is for the machine that rtlab itself runs on.
PROVED = ("common", "docker", "images", "bench_tools", "runc", "crun", "gvisor", "kata")


def test_the_last_task_of_every_role_is_its_proof() -> None:
    for role in PROVED:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        assert "verify" in specs
        assert (ROOT / "roles" / role / "tasks" / "verify.yml").is_file()
        last = yaml.safe_load((ROOT / "roles" / role / "tasks" / "main.yml").read_text())[-1]
        assert last["ansible.builtin.include_tasks"] == "verify.yml", role
        assert "when" not in last, role


def test_each_runtime_has_a_role_of_its_name() -> None:
    """The playbooks include `{{ runtime }}`: a role that is called otherwise would not be found."""
    for name in plugins.names("runtimes"):
        assert plugins.runtime(name).role == name
        if name in ("runc", "crun", "gvisor", "kata"):
            assert name in ROLES
        defaults = yaml.safe_load((ROOT / "roles" / name / "defaults" / "main.yml").read_text())
        assert defaults[f"{name}_docker_name"] == plugins.runtime(name).docker_name


@pytest.mark.parametrize("playbook", ["site.yml", "verify.yml", "remove.yml", "kata.yml"])
def test_playbooks_parse_by_hand(playbook: str) -> None:
    result = tool("ansible-playbook", "--syntax-check", "-i", "localhost,", f"playbooks/{playbook}")

    assert result.returncode == 0, result.stderr


# --------------------------------------------------------------------------- logic, with stand-ins


class Bench:
    """Runs tasks on this machine with stand-ins in front of PATH; each notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        (folder / "bin").mkdir()

    def stand_in(self, name: str, script: str) -> Path:
        file = self.folder / "bin" / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        file.chmod(0o755)
        return file

    def play(self, tasks: list[dict[str, Any]], **variables: Any) -> subprocess.CompletedProcess[str]:
        playbook = self.folder / "play.yml"
        playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        extra = {
            **yaml.safe_load((ROOT / "playbooks" / "group_vars" / "all.yml").read_text()),
            "ansible_python_interpreter": sys.executable,
            "rtlab_owned": True,
            "rtlab_emulated": False,
            "rtlab_timeout_s": 60,
            "rtlab_home": str(self.folder / "home"),
            "docker_command": [str(self.folder / "bin" / "docker")],
            **variables,
        }
        (self.folder / "variables.json").write_text(json.dumps(extra))
        environment = {
            "PATH": f"{self.folder / 'bin'}:{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "ANSIBLE_NOCOLOR": "1",
        }
        return subprocess.run(
            [
                str(BIN / "ansible-playbook"), "-i", "here,", "-c", "local",
                "-e", f"@{self.folder / 'variables.json'}", str(playbook),
            ],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


SYSTEMCTL = """
case "$*" in
  *show*) printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\n' ;;
  *is-enabled*) echo enabled ;;
  *reload*|*restart*) exit %s ;;
esac
"""


def merge(bench: Bench, file: Path, runtimes: dict[str, Any], options: dict[str, Any] | None = None) -> str:
    result = bench.play(
        [{"ansible.builtin.include_role": {"name": "docker", "tasks_from": "daemon_json"}}],
        docker_daemon_json=str(file),
        docker_runtimes=runtimes,
        docker_options=options or {},
    )
    return result.stdout


def test_daemon_json_keeps_what_others_wrote(bench: Bench) -> None:
    """Keys of the user stay, also runtimes of theirs; an entry of ours is replaced whole, never mixed."""
    bench.stand_in("systemctl", SYSTEMCTL % 0)
    file = bench.folder / "docker" / "daemon.json"
    file.parent.mkdir()
    theirs = {"nvidia": {"path": "/n"}, "kata": {"path": "/old", "runtimeArgs": []}}
    file.write_text(json.dumps({"log-driver": "journald", "runtimes": theirs}))
    ours = ({"kata": {"runtimeType": "/opt/kata/shim"}}, {"log-driver": "none", "bip": "10.9.0.1/24"})

    first = merge(bench, file, *ours)
    again = merge(bench, file, *ours)

    assert json.loads(file.read_text()) == {
        "bip": "10.9.0.1/24",
        "log-driver": "journald",
        "runtimes": {"kata": {"runtimeType": "/opt/kata/shim"}, "nvidia": {"path": "/n"}},
    }
    assert "changed=2" in first
    assert "changed=0" in again


def test_daemon_json_is_made_where_there_is_none(bench: Bench) -> None:
    bench.stand_in("systemctl", SYSTEMCTL % 0)
    file = bench.folder / "docker" / "daemon.json"

    merge(bench, file, {"runsc": {"path": "/usr/bin/runsc"}})

    assert json.loads(file.read_text()) == {"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}}
    calls = bench.calls.read_text()
    assert "systemctl reload docker.service" in calls
    assert "restart" not in calls


@pytest.mark.parametrize("text", ['["not", "an", "object"]', '{"live-restore": true,}', "true", "live-restore: true"])
def test_daemon_json_that_is_no_json_is_left_alone(bench: Bench, text: str) -> None:
    bench.stand_in("systemctl", SYSTEMCTL % 0)
    file = bench.folder / "daemon.json"
    file.write_text(text)

    said = merge(bench, file, {"runsc": {"path": "/usr/bin/runsc"}})

    assert "is not a JSON object" in said and "Mend or remove it" in said
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("text", "theirs"), [('\ufeff{"live-restore": true}\n', {"live-restore": True}), (" \n\t\n", {}), ("\ufeff", {})]
)
def test_a_mark_in_front_and_blanks_mean_nothing(bench: Bench, text: str, theirs: dict[str, Any]) -> None:
    bench.stand_in("systemctl", SYSTEMCTL % 0)
    file = bench.folder / "daemon.json"
    file.write_text(text, encoding="utf-8")

    merge(bench, file, {"runsc": {"path": "/usr/bin/runsc"}})

    assert json.loads(file.read_text()) == {**theirs, "runtimes": {"runsc": {"path": "/usr/bin/runsc"}}}


def test_daemon_json_that_docker_refuses_is_put_back(bench: Bench) -> None:
    bench.stand_in(
        "systemctl",
        SYSTEMCTL.replace(
            "*reload*|*restart*) exit %s", f"*reload*) grep -q refused {bench.folder}/daemon.json && exit 1"
        ),
    )
    file = bench.folder / "daemon.json"
    file.write_text('{"live-restore": true}')

    said = merge(bench, file, {"runsc": {"path": "/refused"}})

    assert "The former file is back in place" in said
    assert json.loads(file.read_text()) == {"live-restore": True}
    assert "systemctl restart docker.service" in bench.calls.read_text()


# Rows of stack-facts §2 (Docker x Kata) and §13; None: nothing known against it.
MATRIX = [
    ("20.10.24+dfsg1", "1.12.1", "go", None),
    ("19.03.15", "1.12.1", "go", None),
    ("20.10.24", "3.32.0", "go", "Docker before 23 cannot use shim v2"),
    ("26.1.5+dfsg1", "1.12.1", "go", "Kata 1.x is an OCI command line"),
    ("25.0.5", "3.2.0", "go", "network set-up or CPU shares"),
    ("25.0.5", "3.3.0", "go", None),
    ("26.0.0", "3.3.0", "go", "26.0.0 attaches the network after"),
    ("26.0.1", "3.3.0", "go", None),
    ("27.5.1", "3.20.0", "go", None),
    ("28.0.0", "3.28.0", "go", "Docker 28 and later add interfaces"),
    ("28.0.0", "3.29.0", "go", None),
    ("28.5.0", "3.29.0", "rs", "Docker 28 and later add interfaces"),
    ("28.5.0", "3.30.0", "rs", None),
    # What the engine's containers have decides, not the engine's number: Docker 29.5 with its feature switched off, an
    # earlier one that has it, and moby's module, whose numbers begin anew.
    ("29.7.2 own-time", "3.31.0", "rs", "a time namespace of its own"),
    ("29.7.2 own-time", "3.32.0", "rs", None),
    ("29.7.2", "3.31.0", "rs", None),
    ("29.4.0 own-time", "3.31.0", "go", "a time namespace of its own"),
    ("2.0.0-beta.24 own-time", "3.31.0", "go", "a time namespace of its own"),
    ("2.0.0-beta.24 own-time", "3.32.0", "go", None),
    ("2.0.0-beta.24", "3.29.0", "go", None),
    ("2.0.0-beta.24", "3.28.0", "go", "Docker 28 and later add interfaces"),
]


def checks_of_kata() -> list[dict[str, Any]]:
    """The tasks of check.yml and of the file that it begins with, to be run from any folder."""
    folder = ROOT / "roles" / "kata" / "tasks"
    tasks = [*yaml.safe_load((folder / "engine.yml").read_text()), *yaml.safe_load((folder / "check.yml").read_text())]
    for task in tasks:
        if "ansible.builtin.include_vars" in task:
            task["ansible.builtin.include_vars"]["file"] = str(ROOT / "roles" / "kata" / "vars" / "matrix.yml")
    return [task for task in tasks if "ansible.builtin.include_tasks" not in task]


def test_kata_matrix(bench: Bench) -> None:
    """One play over all rows: each is refused with its reason, or passes on to the next check (cgroups)."""
    bench.stand_in(
        "docker",
        'case "$*" in *run*) echo time:$(cat "$RTLAB_TEST_VERSION.time") ;; *) cat "$RTLAB_TEST_VERSION" ;; esac',
    )
    bench.stand_in("readlink", "echo time:machine")
    tasks = checks_of_kata()[:5]
    check = bench.folder / "check.yml"
    check.write_text(yaml.safe_dump([{
        "block": tasks,
        "rescue": [{"ansible.builtin.debug": {"msg": "refused {{ row }}: {{ ansible_failed_result.msg }}"}}],
        "environment": {"RTLAB_TEST_VERSION": f"{bench.folder}/version-{{{{ row }}}}"},
    }]))  # fmt: skip
    for number, (docker, *_) in enumerate(MATRIX):
        version, _, own_time = docker.partition(" ")
        (bench.folder / f"version-{number}").write_text(version)
        (bench.folder / f"version-{number}.time").write_text("its own" if own_time else "machine")

    result = bench.play(
        [
            {"ansible.builtin.include_vars": {"file": str(ROOT / "roles" / "kata" / "vars" / "main.yml")}},
            *(
                {
                    "ansible.builtin.include_tasks": str(check),
                    "vars": {"row": number, "kata_version": kata, "kata_flavour": flavour},
                }
                for number, (_, kata, flavour, _) in enumerate(MATRIX)
            ),
        ],
        images_proof_reference="tools",
    )

    refused = {
        int(line.split("refused ")[1].split(":")[0]): line
        for line in result.stdout.splitlines()
        if '"msg": "refused ' in line
    }
    assert result.returncode == 0, result.stdout
    assert set(refused) == {number for number, row in enumerate(MATRIX) if row[3]}
    for number, (docker, kata, _, reason) in enumerate(MATRIX):
        if reason:
            assert reason in refused[number]
            assert f"Kata {kata} does not work under Docker {docker.split()[0]}:" in refused[number]
            assert "What does: " in refused[number]


@pytest.mark.parametrize(
    ("role", "variables", "message"),
    [
        ("kata", {"kata_version": "1.12.1", "kata_url": "https://example.org/k.tar.xz"}, "No independent SHA-256"),
        ("gvisor", {"gvisor_source": "release", "gvisor_url": "https://example.org/runsc"}, "No independent SHA-512"),
        ("crun", {"crun_source": "release"}, "give crun_url and crun_sha256"),
    ],
)
def test_nothing_without_its_digest(bench: Bench, role: str, variables: dict[str, str], message: str) -> None:
    tasks_from = "install" if role == "kata" else "release"
    result = bench.play([{"ansible.builtin.include_role": {"name": role, "tasks_from": tasks_from}}], **variables)

    assert result.returncode == 2
    assert message in result.stdout.replace("\\n", " ")


def test_image_archive_that_is_not_the_pinned_one_is_not_loaded(bench: Bench) -> None:
    bench.stand_in("docker", "true")
    archive = bench.folder / "httpd.tar"
    archive.write_bytes(b"something else")
    wanted = {"role": "httpd", "reference": "rtlab/httpd:1", "path": str(archive), "sha256": "0" * 64}

    result = bench.play([{"ansible.builtin.include_role": {"name": "images"}}], images_archives=[wanted])

    assert "is not the image that was pinned" in result.stdout
    assert "docker load" not in bench.calls.read_text()


def test_machines_that_rtlab_does_not_own_are_left_as_they_are(bench: Bench) -> None:
    """No package, no unit, no file in /etc: only the probe's folder, and commands that read."""
    for name in ("apt-get", "apt-mark", "systemctl", "modprobe", "dpkg"):
        bench.stand_in(name, "exit 1")
    bench.stand_in("docker", """case "$*" in *version*) echo '{"Version": "27.0"}' ;; esac""")
    tasks = [{"ansible.builtin.include_role": {"name": role}} for role in ("common", "docker", "bench_tools")]
    probe = bench.folder / "probe.pyz"
    probe.write_bytes(archive.built())

    result = bench.play(
        tasks,
        rtlab_owned=False,
        rtlab_python=sys.executable,
        docker_host="unix:///x",
        docker_version="20.10.24",
        bench_tools_probe=str(probe),
    )

    assert result.returncode == 0, result.stdout
    assert {line.split()[0] for line in bench.calls.read_text().splitlines()} == {"docker"}
    assert (bench.folder / "home" / "probe.pyz").is_file()


def tasks_of(file: str, *names: str) -> list[dict[str, Any]]:
    """Some tasks of a role's file, by name."""
    every = yaml.safe_load((ROOT / "roles" / file).read_text())
    found = [task for task in every if task["name"] in names]
    assert len(found) == len(names)
    return found


@pytest.mark.skipif(shutil.which("gpg") is None, reason="needs gpg to make keys")
def test_only_the_pinned_key_is_accepted(bench: Bench) -> None:
    """The right key alone passes; another key, or a second one beside it, is refused."""
    home = bench.folder / "gnupg"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> str:
        command = ["gpg", "--homedir", str(home), "--batch", "--quiet", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    for name in ("one", "two"):
        gpg("--passphrase", "", "--quick-gen-key", f"{name}@example.org", "ed25519", "sign", "never")
    listing = gpg("--with-colons", "--list-keys", "one@example.org")
    fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
    tasks = tasks_of(
        "docker/tasks/repository.yml", "Read its fingerprint", "The key is the pinned one and the only one in the file"
    )
    key = bench.folder / "key.asc"
    tasks[0]["ansible.builtin.command"]["argv"][-1] = str(key)

    codes = []
    for exported in (("one@example.org",), ("two@example.org",), ("one@example.org", "two@example.org")):
        key.write_text(gpg("--armor", "--export", *exported))
        codes.append(bench.play(tasks, docker_key_fingerprint=fingerprint, docker_key_url="u").returncode)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)

    assert codes == [0, 2, 2]


def test_kata_configuration_replaces_settings_and_nothing_else(bench: Bench) -> None:
    """On emulated machines the limits go up; a commented line is taken over, all other lines stay."""
    released = "[hypervisor.qemu]\n#default_memory = 2048\ndefault_vcpus = 1\n[agent.kata]\ndial_timeout = 45\n"
    out = bench.folder / "out.toml"
    result = bench.play(
        [
            {"ansible.builtin.template": {
                "src": str(ROOT / "roles" / "kata" / "templates" / "configuration.toml.j2"), "dest": str(out)}},
        ],
        kata_released={"stdout": released},
        kata_configuration="/opt/kata/x.toml",
        kata_arm={"settings": {"default_memory": 512}},
        kata_emulated_settings={"dial_timeout": 300},
        rtlab_emulated=True,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout
    assert out.read_text().splitlines() == [
        "# Written by rtlab from /opt/kata/x.toml; changed: default_memory, dial_timeout.",
        "[hypervisor.qemu]",
        "default_memory = 512",
        "default_vcpus = 1",
        "[agent.kata]",
        "dial_timeout = 300",
    ]


# As each release ships them (kata-containers, src/runtime/config and src/runtime-rs/config): in seconds, but for *_ms
# and, up to 3.20, runtime-rs's create_container_timeout.
WAITING = {
    ("3.29.0", "go"): ("dial_timeout = 45\n#create_container_timeout = 60\n",
                       ["dial_timeout = 300", "create_container_timeout = 600"]),
    ("4.1.0", "rs"): ("dial_timeout_ms = 10\nreconnect_timeout_ms = 3000\ncreate_container_timeout = 30\n",
                      ["dial_timeout_ms = 10", "reconnect_timeout_ms = 300000", "create_container_timeout = 600"]),
    ("3.20.0", "rs"): ("#reconnect_timeout_ms = 3000\n# create_container_timeout = 30\n",
                       ["reconnect_timeout_ms = 300000", "create_container_timeout = 600000"]),
    ("1.12.1", "go"): ("#enable_debug = true\n", ["#enable_debug = true"]),
}  # fmt: skip


@pytest.mark.parametrize(("version", "flavour"), list(WAITING))
def test_guests_that_boot_slowly_are_waited_for(bench: Bench, version: str, flavour: str) -> None:
    """Each generation has other names for how long it waits for its guest; what the file says was changed, was."""
    released, expected = WAITING[version, flavour]
    out = bench.folder / "out.toml"
    kata = ROOT / "roles" / "kata"
    defaults = yaml.safe_load((kata / "defaults" / "main.yml").read_text())
    result = bench.play(
        [
            {"ansible.builtin.include_vars": {"file": str(kata / "vars" / "main.yml")}},
            {"ansible.builtin.template": {"src": str(kata / "templates" / "configuration.toml.j2"), "dest": str(out)}},
        ],
        kata_released={"stdout": released.rstrip()}, kata_configuration="/opt/kata/x.toml",
        kata_arm={"settings": {}}, kata_version=version, kata_flavour=flavour,
        kata_emulated_settings=defaults["kata_emulated_settings"], rtlab_emulated=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    head, *rest = out.read_text().splitlines()
    assert rest == expected
    before = released.splitlines()
    changed = sorted(now.split(" = ")[0] for old, now in zip(before, expected, strict=True) if old != now)
    assert head == f"# Written by rtlab from /opt/kata/x.toml; changed: {', '.join(changed) or 'nothing'}."


def test_modules_are_listed_one_per_line(bench: Bench) -> None:
    """modules-load.d(5): a line that holds several names loads nothing, and says nothing."""
    tasks = tasks_of("common/tasks/modules.yml", "Load kernel modules at every boot")
    out = bench.folder / "modules.conf"
    tasks[0]["ansible.builtin.copy"] |= {"dest": str(out)}
    for key in ("owner", "group"):
        del tasks[0]["ansible.builtin.copy"][key]

    bench.play(tasks, common_kernel_modules=["vhost_net", "kvm_amd"])

    assert out.read_text().splitlines() == ["# Written by rtlab.", "vhost_net", "kvm_amd"]


# --------------------------------------------------------------------------- variants of Kata

ARMS = ["runc", "kata", "kata:small", "kata:clh"]
VARIANTS = {"small": {"hypervisor": "qemu", "default_memory": 512, "shared_fs": "virtio-9p"}}


@pytest.mark.parametrize(
    ("version", "flavour", "expected"),
    [
        (
            "1.12.1",
            "go",
            {
                "kata": {"path": "/opt/kata/bin/kata-runtime"},
                "kata-small": {
                    "path": "/opt/kata/bin/kata-runtime",
                    "runtimeArgs": ["--kata-config", "/etc/kata-containers/configuration-small.toml"],
                },
                "kata-clh": {
                    "path": "/opt/kata/bin/kata-runtime",
                    "runtimeArgs": ["--kata-config", "/etc/kata-containers/configuration-clh.toml"],
                },
            },
        ),
        (
            "3.32.0",
            "go",
            {
                "kata": {"runtimeType": "/opt/kata/bin/containerd-shim-kata-v2"},
                "kata-small": {
                    "runtimeType": "/opt/kata/bin/containerd-shim-kata-v2",
                    "options": {"ConfigPath": "/etc/kata-containers/configuration-small.toml"},
                },
                "kata-clh": {
                    "runtimeType": "/opt/kata/bin/containerd-shim-kata-v2",
                    "options": {"ConfigPath": "/etc/kata-containers/configuration-clh.toml"},
                },
            },
        ),
    ],
)
def test_each_arm_of_kata_gets_a_file_and_an_entry(
    bench: Bench, version: str, flavour: str, expected: dict[str, Any]
) -> None:
    (task,) = tasks_of("kata/tasks/main.yml", "Hand Kata to Docker")
    del task["ansible.builtin.include_role"]
    out = bench.folder / "out.json"
    result = bench.play(
        [
            {"ansible.builtin.include_vars": {"file": str(ROOT / "roles" / "kata" / "vars" / "main.yml")}},
            {
                **task,
                "ansible.builtin.copy": {
                    "dest": str(out), "content": "{{ {'arms': kata_arms, 'runtimes': docker_runtimes} | to_json }}"},
            },
        ],
        runtimes=ARMS, kata_variants=VARIANTS, kata_version=version, kata_flavour=flavour, kata_hypervisor="qemu",
        kata_docker_name="kata", kata_settings={"default_vcpus": 2}, kata_archive="x", kata_sha256="", kata_url="",
        kata_cache="",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    written = json.loads(out.read_text())
    assert written["runtimes"] == expected
    assert [(a["name"], a["docker_name"], a["hypervisor"], a["settings"]) for a in written["arms"]] == [
        ("kata", "kata", "qemu", {"default_vcpus": 2}),
        ("kata:small", "kata-small", "qemu", {"default_vcpus": 2, "default_memory": 512, "shared_fs": "virtio-9p"}),
        ("kata:clh", "kata-clh", "clh", {"default_vcpus": 2}),
    ]
    for arm in written["arms"]:
        assert plugins.runtime(arm["name"]).docker_name == arm["docker_name"], "as the probe asks Docker for it"


@pytest.mark.parametrize(
    ("version", "flavour", "arms", "files"),
    [
        ("1.12.1", "go", ["kata", "kata:clh"], ["configuration-qemu.toml", "configuration-clh.toml"]),
        ("3.29.0", "rs", ["kata", "kata:dragonball", "kata:fc", "kata:clh"],
         ["runtime-rs/configuration-qemu-runtime-rs.toml", "runtime-rs/configuration-dragonball.toml",
          "runtime-rs/configuration-rs-fc.toml", "runtime-rs/configuration-cloud-hypervisor.toml"]),
        ("4.1.0", "rs", ["kata:clh", "kata:openvmm"],
         ["runtime-rs/configuration-clh-runtime-rs.toml", "runtime-rs/configuration-openvmm-azure-runtime-rs.toml"]),
        ("9.0.0", "go", ["kata:new"], ["configuration-new.toml"]),
    ],
)  # fmt: skip
def test_each_arm_starts_from_the_file_that_its_release_ships(
    bench: Bench, version: str, flavour: str, arms: list[str], files: list[str]
) -> None:
    out = bench.folder / "out.json"
    result = bench.play(
        [
            {"ansible.builtin.include_vars": {"file": str(ROOT / "roles" / "kata" / "vars" / "main.yml")}},
            {"ansible.builtin.copy": {"dest": str(out), "content": "{{ kata_arms | to_json }}"}},
        ],
        runtimes=arms, kata_variants={}, kata_version=version, kata_flavour=flavour, kata_hypervisor="qemu",
        kata_docker_name="kata", kata_settings={}, kata_archive="x", kata_sha256="", kata_url="", kata_cache="",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    folder = "/opt/kata/share/defaults/kata-containers/"
    assert [arm["configuration"] for arm in json.loads(out.read_text())] == [folder + file for file in files]


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (
            {"name": "kata:clh", "hypervisor": "clh", "settings": {}},
            "It has configuration-fc.toml, configuration-qemu.toml",
        ),
        (
            {"name": "kata:small", "hypervisor": "qemu", "settings": {"defalt_memory": 512, "default_vcpus": 1}},
            "has no setting defalt_memory.",
        ),
    ],
)  # fmt: skip
def test_what_the_release_does_not_know_is_refused(bench: Bench, arm: dict[str, Any], message: str) -> None:
    release = bench.folder / "release"
    release.mkdir()
    (release / "configuration-qemu.toml").write_text("[hypervisor.qemu]\n#default_memory = 2048\ndefault_vcpus = 1\n")
    (release / "configuration-fc.toml").write_text("")
    result = bench.play(
        [{"ansible.builtin.include_tasks": str(ROOT / "roles" / "kata" / "tasks" / "configure.yml")}],
        kata_arm=arm,
        kata_configuration=f"{release}/configuration-{arm['hypervisor']}.toml",
        kata_version="1.12.1",
    )
    assert result.returncode != 0
    assert message in result.stdout
    assert "changed=0" in result.stdout, "nothing was written"


# --------------------------------------------------------------------------- what Kata cannot do without


@pytest.mark.parametrize(
    ("version", "cgroups", "kvm", "message"),
    [
        ("1.12.1", "cgroup2fs", True, "Kata 1.x knows cgroup v1 only"),
        ("1.12.1", "tmpfs", False, "There is no /dev/kvm on this machine"),
        ("3.32.0", "cgroup2fs", False, "VBoxManage modifyvm NAME --nested-hw-virt on"),
        ("1.12.1", "tmpfs", True, None),
        ("3.32.0", "cgroup2fs", True, None),
    ],
)
def test_a_machine_that_cannot_run_kata_is_refused_before_anything_is_installed(
    bench: Bench, version: str, cgroups: str, kvm: bool, message: str | None
) -> None:
    bench.stand_in("docker", f"echo {'20.10.24' if version[0] == '1' else '27.5.1'}")
    bench.stand_in("stat", f"echo {cgroups}")
    bench.stand_in("test", f"exit {0 if kvm else 1}")
    check = bench.folder / "check.yml"
    check.write_text(yaml.safe_dump(checks_of_kata()))

    result = bench.play(
        [
            {"ansible.builtin.include_vars": {"file": str(ROOT / "roles" / "kata" / "vars" / "main.yml")}},
            {"ansible.builtin.include_tasks": str(check)},
        ],
        kata_version=version,
        kata_flavour="go",
        images_proof_reference="tools",
    )

    assert (result.returncode == 0) == (message is None), result.stdout
    assert message is None or message in result.stdout
    assert "changed=0" in result.stdout


def test_the_role_checks_before_it_installs() -> None:
    names = [task["name"] for task in yaml.safe_load((ROOT / "roles" / "kata" / "tasks" / "main.yml").read_text())]
    assert names[0] == "Check that this Kata can run here"


def test_a_container_that_does_not_come_up_shows_the_console(bench: Bench) -> None:
    """Kata logs the guest's console only when told to: it is, for one more try, and the configuration comes back."""
    bench.stand_in("docker", 'case "$*" in *--runtime*) echo "timed out connecting to vsock" >&2; exit 125 ;; esac')
    bench.stand_in(
        "journalctl",
        f"grep -q 'enable_debug = true' {bench.folder}/configuration.toml && "
        """echo 'level=debug msg="reading guest console" vmconsole="[    1.2] Kernel panic - not syncing: no init"'""",
    )  # fmt: skip
    released = "[hypervisor.qemu]\n#enable_debug = true\ndefault_memory = 2048\n"
    (bench.folder / "release-qemu.toml").write_text(released)
    tasks = bench.folder / "tasks"
    shutil.copytree(ROOT / "roles" / "kata" / "tasks", tasks)
    shutil.copytree(ROOT / "roles" / "kata" / "templates", bench.folder / "templates")
    configure = tasks / "configure.yml"
    text = configure.read_text().replace("    owner: root\n    group: root\n", "")
    configure.write_text(text.replace("path: /etc/kata-containers", f"path: {bench.folder}/etc"))
    result = bench.play(
        [{"ansible.builtin.include_tasks": str(tasks / "prove.yml")}],
        kata_arm={"name": "kata", "docker_name": "kata", "hypervisor": "qemu", "settings": {},
                  "file": f"{bench.folder}/configuration.toml", "configuration": f"{bench.folder}/release-qemu.toml"},
        kata_version="3.32.0", kata_proof_tries=1, kata_emulated_settings={},
        images_httpd_reference="httpd", images_proof_reference="tools",
    )  # fmt: skip
    assert result.returncode != 0
    assert "No container ran under kata, in 1 tries: timed out connecting to vsock" in result.stdout
    assert "The last lines of its console: [    1.2] Kernel panic - not syncing: no init" in result.stdout
    assert "enable_debug = true" not in (bench.folder / "configuration.toml").read_text().replace("#enable_debug", "")


# --------------------------------------------------------------------------- programs that the controller brings


def bring(bench: Bench, *listed: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (bench.folder / "path").mkdir(exist_ok=True)
    return bench.play(
        [{"ansible.builtin.include_role": {"name": "common", "tasks_from": "programs"}}],
        common_programs=list(listed),
        common_programs_folder=str(bench.folder / "opt" / "bin"),
        common_programs_path=str(bench.folder / "path"),
    )


def test_programs_are_copied_linked_and_compared_once(bench: Bench) -> None:
    program = bench.folder / "dockerd-of-the-cache"
    program.write_bytes(b"#!/bin/sh\n")
    one = {"name": "dockerd", "path": str(program), "sha256": hashlib.sha256(b"#!/bin/sh\n").hexdigest()}
    beside = {**one, "name": "gvisor-bin/gvisor_sentry"}

    first, again = bring(bench, one, beside), bring(bench, one, beside)

    there = bench.folder / "opt/bin/dockerd"
    assert there.read_bytes() == b"#!/bin/sh\n"
    assert there.stat().st_mode & 0o7777 == 0o755
    assert (bench.folder / "path/dockerd").resolve() == there
    assert (bench.folder / "opt/bin/gvisor-bin/gvisor_sentry").read_bytes() == b"#!/bin/sh\n"
    assert [p.name for p in (bench.folder / "path").iterdir()] == ["dockerd"]
    assert "changed=3" in first.stdout  # folders, programs, link
    assert "changed=0" in again.stdout


@pytest.mark.parametrize(
    ("sha256", "told"),
    [("0" * 64, "dockerd is not what was pinned"), ("", "A program without a SHA-256 is not installed")],
)
def test_a_program_that_is_not_the_pinned_one_ends_the_role(bench: Bench, sha256: str, told: str) -> None:
    program = bench.folder / "dockerd-of-the-cache"
    program.write_bytes(b"another")

    result = bring(bench, {"name": "dockerd", "path": str(program), "sha256": sha256})

    assert result.returncode != 0
    assert told in result.stdout
    assert not (bench.folder / "path/dockerd").exists()


def test_a_unit_is_of_the_programs_that_it_starts(bench: Bench) -> None:
    """Other programs make another unit, and so a restart; the same ones none."""
    units = []
    for sha256 in ("a" * 64, "a" * 64, "b" * 64):
        bench.play(
            [
                {
                    "ansible.builtin.template": {
                        "src": str(ROOT / "roles/docker/templates/docker.service.j2"),
                        "dest": str(bench.folder / "unit"),
                        "mode": "0644",
                    }
                }
            ],
            docker_programs=[{"name": "dockerd", "path": "/x", "sha256": sha256}],
        )
        units.append((bench.folder / "unit").read_text())
    assert units[0] == units[1] != units[2]
    assert "ExecStart=/opt/rtlab/bin/dockerd\n" in units[0]
    assert "KillMode=process\n" in units[0]
