"""What a machine's seed holds. Read back with isoinfo's own format knowledge via pycdlib, and as cloud-init does."""

from __future__ import annotations

import io
import json

import pycdlib

from rtlab.connection import keys
from rtlab.providers.vagrant import seed

HOST = keys.generate("node1")
CLIENT = keys.generate("client")


def make(**changes: str) -> seed.Seed:
    base = {"hostname": "node1", "instance_id": "rtlab-0123abcd-node1", "authorized_key": CLIENT.public}
    return seed.Seed(host_key=HOST, **(base | changes))


def read(image: bytes) -> tuple[str, dict[str, str]]:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    label = iso.pvd.volume_identifier.decode().strip()
    found = {}
    for folder, _, names in iso.walk(rr_path="/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            out = io.BytesIO()
            iso.get_file_from_iso_fp(out, rr_path=path)
            found[path.lstrip("/")] = out.getvalue().decode()
    iso.close()
    return label, found


def test_the_label_is_the_one_that_nocloud_looks_for() -> None:
    # cloud-init, doc/rtd/reference/datasources/nocloud.rst: a file system labelled "cidata".
    label, _ = read(seed.image(make()))
    assert label == "cidata"


def test_the_cd_holds_what_files_says() -> None:
    given = make(name_server="192.168.124.1", sources_list="deb http://deb.debian.org/debian bookworm main\n")
    _, found = read(seed.image(given))
    assert found == seed.files(given)
    assert found["rtlab/resolv.conf"] == "nameserver 192.168.124.1\n"
    assert found["rtlab/host_key"] == HOST.private
    assert found["rtlab/authorized_keys"].strip() == CLIENT.public


def test_the_client_s_private_key_is_not_on_the_cd() -> None:
    assert CLIENT.private.splitlines()[2].encode() not in seed.image(make())


def test_what_is_not_given_is_not_on_the_cd() -> None:
    names = seed.files(make())
    assert not {"rtlab/resolv.conf", "rtlab/sources.list", "rtlab/apt.conf", "rtlab/ca.crt"} & set(names)


def test_user_data_gives_cloud_init_the_same_identity() -> None:
    text = seed.user_data(make())
    first, _, rest = text.partition("\n")
    assert first == "#cloud-config"
    data = json.loads(rest)
    assert data["ssh_keys"]["ed25519_private"] == HOST.private
    assert data["ssh_deletekeys"] is True and data["ssh_genkeytypes"] == []
    assert data["ssh_pwauth"] is False and data["disable_root"] is True
    (user,) = data["users"]
    assert user["ssh_authorized_keys"] == [CLIENT.public] and user["lock_passwd"] is True


def test_meta_data_names_instance_and_host() -> None:
    assert json.loads(seed.meta_data(make())) == {
        "instance-id": "rtlab-0123abcd-node1",
        "local-hostname": "node1",
    }
