"""Packs a disk image as a Vagrant box: qcow2 for libvirt, OVF and VMDK for VirtualBox."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

from rtlab import atomic
from rtlab.connection.shell import run_checked
from rtlab.errors import HostUnfit, Unsafe
from rtlab.files import digest_of
from rtlab.units import GIB

Backend = Literal["libvirt", "virtualbox"]

BOX_VAGRANTFILE = "# No settings: rtlab's own Vagrantfile holds them all.\n"

_OVF = """\
<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" \
xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
    <File ovf:id="file1" ovf:href="box-disk001.vmdk" ovf:size="{vmdk_size}"/>
  </References>
  <DiskSection>
    <Info>The disk</Info>
    <Disk ovf:capacity="{capacity}" ovf:diskId="vmdisk1" ovf:fileRef="file1" \
ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>NAT, through which Vagrant forwards a port to sshd</Info>
    <Network ovf:name="NAT"><Description>NAT</Description></Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A machine of rtlab; Vagrant sets processors, memory and the rest</Info>
    <OperatingSystemSection ovf:id="{system_id}">
      <Info>The kind of guest</Info>
      <Description>{system}</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>virtualbox-2.2</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:Caption>1 virtual CPU</rasd:Caption>
        <rasd:ElementName>1 virtual CPU</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>1</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>
        <rasd:Caption>1024 MB of memory</rasd:Caption>
        <rasd:ElementName>1024 MB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>1024</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Caption>SATA Controller</rasd:Caption>
        <rasd:ElementName>SATA Controller</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>AHCI</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Caption>Ethernet adapter on NAT</rasd:Caption>
        <rasd:Connection>NAT</rasd:Connection>
        <rasd:ElementName>Ethernet adapter on NAT</rasd:ElementName>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:Caption>Disk</rasd:Caption>
        <rasd:ElementName>Disk</rasd:ElementName>
        <rasd:HostResource>/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>5</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""
# CIM_OperatingSystem.OsType.
_SYSTEMS = {"debian": (96, "Debian_64"), "ubuntu": (94, "Ubuntu_64")}


def disk_info(image: Path, log: Path, image_format: str) -> tuple[int, str]:
    """(virtual size in bytes, format) of an image, opened as ``image_format`` and nothing else.

    Raises:
        Unsafe: the image refers to another file (a backing file could be any file of this machine).
        CommandFailed: it is not an image of that format.
    """
    result = run_checked(
        ("qemu-img", "info", "--output=json", "-f", image_format, str(image)),
        timeout_s=60,
        doing=f"read {image.name} as a disk image",
        log=log,
    )
    info = json.loads(result.stdout)
    if info.get("backing-filename") or info.get("format-specific", {}).get("data", {}).get("data-file"):
        raise Unsafe(f"The disk image {image} refers to another file.", remedy="Use an image that is whole by itself.")
    return int(info["virtual-size"]), str(info["format"])


def convert(
    source: Path, target: Path, *, source_format: str, target_format: str, log: Path, options: tuple[str, ...] = ()
) -> None:
    """qemu-img convert, with both formats stated."""
    run_checked(
        ("qemu-img", "convert", "-f", source_format, "-O", target_format, *options, str(source), str(target)),
        timeout_s=1800,
        doing=f"convert the disk to {target_format}",
        remedy="See that there is enough free space for one more copy of the disk.",
        log=log,
    )


def pack(image: Path, image_format: str, backend: Backend, suite: str, box: Path, log: Path) -> str:
    """Write ``box`` from a disk image (which stays) and return the box's SHA-256, hex."""
    work = box.parent
    virtual_size, _ = disk_info(image, log, image_format)
    members: list[tuple[str, Path]] = []
    if backend == "libvirt":
        disk = work / "box.img"
        convert(image, disk, source_format=image_format, target_format="qcow2", log=log)
        whole_gb = -(-virtual_size // GIB)
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": whole_gb}
        members.append(("box.img", disk))
    else:
        disk = work / "box-disk001.vmdk"
        options = ("-o", "subformat=streamOptimized")
        convert(image, disk, source_format=image_format, target_format="vmdk", log=log, options=options)
        metadata = {"provider": "virtualbox"}
        ovf = work / "box.ovf"
        atomic.write_bytes(ovf, descriptor(suite, virtual_size, disk.stat().st_size).encode())
        members += [("box.ovf", ovf), ("box-disk001.vmdk", disk)]
    for name, text in (
        ("metadata.json", json.dumps(metadata, sort_keys=True) + "\n"),
        ("Vagrantfile", BOX_VAGRANTFILE),
    ):
        file = work / f"box-{name}"
        atomic.write_bytes(file, text.encode())
        members.insert(0, (name, file))
    try:
        with tarfile.open(box, "w", format=tarfile.GNU_FORMAT) as archive:
            for name, file in members:
                archive.add(file, arcname=name, filter=_anonymous)
    except OSError as error:
        raise HostUnfit(
            f"Cannot write {box}: {error.strerror or error}.",
            remedy="Free some space, or set RTLAB_CACHE to a folder on a larger disk.",
        ) from error
    for _, file in members:
        file.unlink()
    return digest_of(box)


def descriptor(suite: str, capacity: int, vmdk_size: int) -> str:
    """The OVF of a VirtualBox box: one disk on a SATA controller, one adapter on NAT."""
    system_id, system = _SYSTEMS[suite.split("-")[0]]
    return _OVF.format(
        capacity=capacity, vmdk_size=vmdk_size, name=escape(f"rtlab-{suite}"), system_id=system_id, system=system
    )


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    member.mtime = 0  # the same disk packed twice is the same box, to the byte
    return member
