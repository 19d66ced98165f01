#!/usr/bin/python
"""Unpack a release archive of Kata Containers, after every check that can be made without unpacking it.

Runs on the machine, under Python 3.6 and later. The functions above ``main`` know nothing of Ansible: tests call them.
"""

from __future__ import absolute_import, division, print_function

import hashlib
import os
import platform
import posixpath
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile

DOCUMENTATION = r"""
module: kata_archive
short_description: Check and unpack a release archive of Kata Containers
description:
  - Refuses an archive that has another digest, is damaged, is for another architecture, is too large, or would write or
    link outside O(dest)/opt/kata; nothing is written then.
  - Unpacks beside the old tree and puts the new one in its place in the end.
options:
  src: {type: path, required: true, description: The archive (.tar.xz or .tar.zst) on this machine.}
  sha256: {type: str, required: true, description: Its digest; an archive with the same one is not unpacked again.}
  dest: {type: path, default: /, description: Where opt/kata is made.}
  limit_bytes: {type: int, default: 12884901888, description: Size of all members together above which it is refused.}
  spare_bytes: {type: int, default: 1073741824, description: What must stay free on the disk.}
author: [rtlab]
"""
EXAMPLES = r"""
- kata_archive:
    src: /var/tmp/kata-static-3.32.0-amd64.tar.zst
    sha256: "{{ kata_sha256 }}"
"""
RETURN = r"""
bytes: {type: int, returned: when checked, description: Size of all members together.}
members: {type: int, returned: when checked, description: How many there are.}
layouts: {type: list, elements: str, returned: when checked, description: What it holds - path (1.x), go, rs.}
"""

TREE = "opt/kata"
STAMP = ".rtlab-sha256"
MOST_MEMBERS = 200000
# What tells the generations apart, and whose architecture is looked at.
PROGRAMS = (
    ("path", "bin/kata-shim"),
    ("path", "libexec/kata-containers/kata-shim"),
    ("path", "libexec/kata-containers/kata-proxy"),
    ("go", "bin/containerd-shim-kata-v2"),
    ("go", "bin/kata-runtime"),
    ("rs", "runtime-rs/bin/containerd-shim-kata-v2"),
)
# e_machine of the ELF header.
MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class Refused(Exception):
    """The archive is not unpacked; the message says why."""


def digest_of(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            sha.update(piece)
    return sha.hexdigest()


def require_digest(path, sha256):
    found = digest_of(path)
    if found != sha256:
        raise Refused(
            "%s is not the pinned archive: its SHA-256 is %s, not %s. It was not opened" % (path, found, sha256)
        )


# lzma.open raises EOFError where the end is missing, which tarfile alone would not see.
WITHOUT_XZ = "import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)"


class Members(object):
    """A context: the members of an archive, one after the other, as a stream.

    Decompressed by the tools' own programs: Python knows Zstandard from 3.14 on only, and its tarfile does not see that
    the end of a compressed file is missing. Whatever goes wrong inside the context is Refused: the archive is damaged.
    """

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        with open(self.path, "rb") as file:
            magic = file.read(6)
        programs = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
        program = programs.get(magic[:4]) or programs.get(magic)
        if program is None:
            raise Refused("%s is neither .tar.xz nor .tar.zst" % self.path)
        self.errors = tempfile.TemporaryFile()
        argv = [program, "-dc", "--", self.path]
        if program == "xz" and shutil.which("xz") is None:
            argv = [sys.executable, "-c", WITHOUT_XZ, self.path]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL)
        try:
            self.tar = tarfile.open(fileobj=self.process.stdout, mode="r|")
        except tarfile.TarError as error:
            self._end()
            raise Refused("%s is damaged or no archive: %s" % (self.path, error))
        return self

    def __iter__(self):
        for member in self.tar:
            yield member
        # What follows the last member: padding, and the compressor's own checksum.
        while self.process.stdout.read(1 << 20):
            pass
        if self.process.wait() != 0:
            self.errors.seek(0)
            said = self.errors.read().decode("utf-8", "replace").strip()
            raise Refused("%s is damaged: %s" % (self.path, said[-300:]))

    def __exit__(self, kind, error, _):
        self._end()
        if kind is not None and issubclass(kind, (tarfile.TarError, EOFError, ValueError)):
            raise Refused("%s is damaged: %s" % (self.path, error))

    def _end(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()


def objection(member, links):
    """Why this member must not be unpacked; None when it may. ``links``: paths of the symbolic links before it."""
    path = posixpath.normpath(member.name)
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "%s reaches out of the archive" % member.name
    if path in (".", "opt", TREE):
        return None if member.isdir() else "%s must be a folder" % member.name
    if not path.startswith(TREE + "/"):
        return "%s is outside /%s" % (member.name, TREE)
    parents = path.split("/")[:-1]
    if any("/".join(parents[:n]) in links for n in range(1, len(parents) + 1)):
        return "%s is reached through a symbolic link" % member.name
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return "%s is a device, a pipe or a socket" % member.name
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        return "%s has a set-user-id or set-group-id bit" % member.name
    if member.issym():
        target = member.linkname
        if target.startswith("/"):
            inside = posixpath.normpath(target)
        else:
            # ".." only in front: further on it would be counted from where another link leads.
            words = target.split("/")
            while words and words[0] in ("..", "."):
                words.pop(0)
            if ".." in words:
                return "%s links to %s, by a way that cannot be checked" % (member.name, target)
            inside = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target))
        if inside != "/" + TREE and not inside.startswith("/" + TREE + "/"):
            return "%s links out of it, to %s" % (member.name, target)
    if member.islnk():
        target = posixpath.normpath(member.linkname)
        if ".." in member.linkname.split("/") or not target.startswith(TREE + "/") or target in links:
            return "%s is a hard link out of it, to %s" % (member.name, member.linkname)
    return None


def architecture_of(head):
    """The architecture of an ELF file from its first 20 bytes; None when it is none (a script)."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    number = struct.unpack("<H" if head[5:6] == b"\x01" else ">H", head[18:20])[0]
    return MACHINES.get(number, "machine %d" % number)


def examine(path, limit_bytes, architecture):
    """What the archive holds: ``bytes``, ``members``, ``layouts``. Reads all of it, writes nothing.

    Raises:
        Refused: the first thing that speaks against it.
    """
    total, count, links, layouts = 0, 0, set(), set()
    known = {TREE + "/" + program: layout for layout, program in PROGRAMS}
    with Members(path) as members:
        for member in members:
            count += 1
            # Before the member's content is read: a bomb is not unpacked to be measured.
            total += max(0, member.size)
            if total > limit_bytes:
                raise Refused("it unpacks to more than %d bytes (kata_archive_limit_bytes)" % limit_bytes)
            if count > MOST_MEMBERS:
                raise Refused("it has more than %d members" % MOST_MEMBERS)
            why = objection(member, links)
            if why:
                raise Refused(why)
            name = posixpath.normpath(member.name)
            if member.issym():
                links.add(name)
            if name in known:
                layouts.add(known[name])
                if member.isfile():
                    found = architecture_of(members.tar.extractfile(member).read(20))
                    if found not in (None, architecture):
                        raise Refused("it is for %s: %s; this machine is %s" % (found, member.name, architecture))
    # 1.x has the program that later releases have, too.
    if "path" in layouts:
        layouts -= {"go"}
    if not layouts:
        raise Refused("it holds none of Kata's programs (%s)" % ", ".join(p for _, p in PROGRAMS))
    return {"bytes": total, "members": count, "layouts": sorted(layouts)}


def require_space(folder, wanted_bytes, spare_bytes):
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < wanted_bytes + spare_bytes:
        raise Refused(
            "it needs %d MiB and %d MiB to spare below %s, where %d MiB are free: "
            "give the machine a larger disk (disk_gb)" % (wanted_bytes >> 20, spare_bytes >> 20, folder, free >> 20)
        )


def unpack(path, dest, sha256):
    """Unpack beside the old tree, then put the new one in its place. The archive was examined before."""
    parent = os.path.join(dest, "opt")
    if not os.path.isdir(parent):
        os.makedirs(parent, 0o755)
    fresh = tempfile.mkdtemp(prefix=".rtlab-kata-", dir=parent)
    try:
        with Members(path) as members:
            for member in members:
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
                members.tar.extract(member, fresh, **trusted)
        tree = os.path.join(fresh, TREE)
        with open(os.path.join(tree, STAMP), "w") as file:
            file.write(sha256 + "\n")
        os.chmod(tree, 0o755)
        final = os.path.join(dest, TREE)
        if os.path.lexists(final):
            os.rename(final, os.path.join(fresh, "before"))
        os.rename(tree, final)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def installed(dest):
    """The digest of the archive that was unpacked there; empty when none was."""
    try:
        with open(os.path.join(dest, TREE, STAMP)) as file:
            return file.read().strip()
    except OSError:
        return ""


def main():
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "dest": {"type": "path", "default": "/"},
            "limit_bytes": {"type": "int", "default": 12884901888},
            "spare_bytes": {"type": "int", "default": 1073741824},
        },
        supports_check_mode=True,
    )
    given = module.params
    if installed(given["dest"]) == given["sha256"]:
        module.exit_json(changed=False)
    try:
        require_digest(given["src"], given["sha256"])
        found = examine(given["src"], given["limit_bytes"], platform.machine())
        require_space(given["dest"], found["bytes"], given["spare_bytes"])
        if not module.check_mode:
            unpack(given["src"], given["dest"], given["sha256"])
    except Refused as error:
        module.fail_json(
            msg="The archive of Kata is not unpacked: %s. Docker and what was installed are as before." % error
        )
    except OSError as error:
        module.fail_json(msg="The archive of Kata could not be unpacked: %s." % error)
    module.exit_json(changed=True, **found)


if __name__ == "__main__":
    main()
