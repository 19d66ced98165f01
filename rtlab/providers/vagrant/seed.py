"""The seed of a machine: a small CD image that gives it its identity at the first boot.

One image serves both kinds of box: NoCloud files (``user-data``, ``meta-data``) for cloud images, and plain files
in ``rtlab/`` for the boxes that rtlab installs itself (read by ``rtlab-seed``, see ``rtlab.artifacts.box.overlay``).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import pycdlib

from rtlab.connection.keys import KeyPair

LABEL = "cidata"
USER = "vagrant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What makes a machine this machine.

    Attributes:
        hostname: Also its instance id's first part.
        instance_id: A new one makes cloud-init run as at a first boot.
        host_key: The key its sshd shows.
        authorized_key: Public line of the client key that may log in as ``vagrant``.
        name_server: Address for /etc/resolv.conf; empty leaves what the box has.
        sources_list, apt_conf, ca_certificates: Of the machine that rtlab runs on; empty leaves what the box has.
    """

    hostname: str
    instance_id: str
    host_key: KeyPair
    authorized_key: str
    name_server: str = ""
    sources_list: str = ""
    apt_conf: str = ""
    ca_certificates: str = ""


def user_data(seed: Seed) -> str:
    """The NoCloud ``user-data``: cloud-init's YAML, of which JSON is a part."""
    document: dict[str, object] = {
        "hostname": seed.hostname,
        "manage_etc_hosts": True,
        "disable_root": True,
        "ssh_pwauth": False,
        # The image's own keys, if it has any, go; sshd then has exactly the key that known_hosts knows.
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": seed.host_key.private, "ed25519_public": seed.host_key.public},
        "users": [
            {
                "name": USER,
                "shell": "/bin/bash",
                "lock_passwd": True,
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "ssh_authorized_keys": [seed.authorized_key],
            }
        ],
        "package_update": False,
        "package_upgrade": False,
        "growpart": {"mode": "auto", "devices": ["/"]},
    }
    if seed.ca_certificates:
        document["ca_certs"] = {"trusted": [seed.ca_certificates]}
    if seed.apt_conf:
        document["apt"] = {"conf": seed.apt_conf}
    return "#cloud-config\n" + json.dumps(document, indent=1, sort_keys=True) + "\n"


def meta_data(seed: Seed) -> str:
    """The NoCloud ``meta-data``."""
    return json.dumps({"instance-id": seed.instance_id, "local-hostname": seed.hostname}, sort_keys=True) + "\n"


def files(seed: Seed) -> dict[str, str]:
    """All files of the CD, path -> content. Optional ones are absent when there is nothing to say."""
    plain = {
        "hostname": f"{seed.hostname}\n",
        "host_key": seed.host_key.private,
        "host_key.pub": f"{seed.host_key.public}\n",
        "authorized_keys": f"{seed.authorized_key}\n",
        "resolv.conf": f"nameserver {seed.name_server}\n" if seed.name_server else "",
        "sources.list": seed.sources_list,
        "apt.conf": seed.apt_conf,
        "ca.crt": seed.ca_certificates,
    }
    return {
        "user-data": user_data(seed),
        "meta-data": meta_data(seed),
        **{f"rtlab/{name}": content for name, content in plain.items() if content},
    }


def image(seed: Seed) -> bytes:
    """The ISO 9660 image, with Rock Ridge and Joliet names, volume label ``cidata``."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    iso.add_directory("/RTLAB", rr_name="rtlab", joliet_path="/rtlab")
    for number, (name, content) in enumerate(sorted(files(seed).items())):
        folder, _, base = name.rpartition("/")
        data = content.encode()
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"{'/RTLAB' if folder else ''}/F{number:03d}.;1",
            rr_name=base,
            joliet_path=f"/{name}",
        )
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
