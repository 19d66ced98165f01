#!/usr/bin/env python3
"""A stand-in for VBoxManage 7.0: records its arguments, keeps machines in a JSON file, boots nothing.

Answers are in the words of VirtualBox 7.0's manual, as far as Vagrant 2.3 reads them. RTLAB_STANDIN names its folder.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path

folder = Path(os.environ["RTLAB_STANDIN"])
argv = sys.argv[1:]
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(argv) + "\n")
file = folder / "machines.json"
machines: dict[str, dict[str, object]] = json.loads(file.read_text()) if file.exists() else {}


def find(key: str) -> dict[str, object]:
    for identity, machine in machines.items():
        if key in (identity, machine["name"]):
            return machine | {"uuid": identity}
    print(f"VBoxManage: error: Could not find a registered machine named '{key}'", file=sys.stderr)
    print("VBoxManage: error: Details: code VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)", file=sys.stderr)
    sys.exit(1)


def main() -> int:
    command = argv[0]
    if command == "--version":
        print("7.0.20r163906")
    elif command == "list" and argv[1] == "vms":
        for identity, machine in machines.items():
            print(f'"{machine["name"]}" {{{identity}}}')
    elif command == "list" and argv[1] == "systemproperties":
        print(f"Default machine folder:          {folder}/VMs")
    elif command == "import" and argv[1] == "-n":
        print('Virtual system 0:\n 0: Suggested OS type: "Debian_64"\n 1: Suggested VM name "rtlab-ubuntu-18.04"')
        print(f" 9: Hard disk image: source image=box-disk001.vmdk, target path={folder}/VMs/x/box-disk001.vmdk, ctl=5")
    elif command == "import":
        machines[str(uuid.uuid4())] = {"name": argv[argv.index("--vmname") + 1], "forwards": []}
    elif command == "showvminfo":
        machine = find(argv[1])
        print(f'name="{machine["name"]}"\nUUID="{machine["uuid"]}"\nVMState="poweroff"')
        print('storagecontrollername0="SATA"\nnic1="nat"\nmacaddress1="080027012301"')
    elif command in ("storagectl", "storageattach"):
        name = argv[argv.index("--name" if command == "storagectl" else "--storagectl") + 1]
        if name != "SATA":  # an imported OVF's, in VirtualBox 7.2
            print(f"VBoxManage: error: Could not find a storage controller named '{name}'", file=sys.stderr)
            return 1
    elif command == "modifyvm" and "--name" in argv:
        if os.environ.get("RTLAB_STANDIN_FAILS") == "name":
            return 1
        machines[str(find(argv[1])["uuid"])]["name"] = argv[argv.index("--name") + 1]
    elif command == "unregistervm":
        del machines[str(find(argv[1])["uuid"])]
    elif command == "startvm":
        print("VBoxManage: error: this stand-in boots nothing", file=sys.stderr)
        return 1
    file.write_text(json.dumps(machines))
    return 0


sys.exit(main())
