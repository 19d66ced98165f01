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
import threading

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
    src: /root/kata-static-3.32.0-amd64.tar.zst
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


def opened(path):
    """The archive as an open file, to be read from here to the end by this one descriptor: never by its name again.

    Raises:
        Refused: it is a link, or no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Refused("%s cannot be opened: %s" % (path, error.strerror))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused("%s is no regular file" % path)
    return os.fdopen(descriptor, "rb")


def digest_of(archive):
    archive.seek(0)
    sha = hashlib.sha256()
    for piece in iter(lambda: archive.read(1 << 20), b""):
        sha.update(piece)
    return sha.hexdigest()


def require_digest(archive, sha256):
    found = digest_of(archive)
    if found != sha256:
        raise Refused("its SHA-256 is %s, not %s: it is not the pinned archive. It was not opened" % (found, sha256))


# lzma.open raises EOFError where the end is missing, which tarfile alone would not see.
WITHOUT_XZ = "import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer)"


class Members(object):
    """A context: the members of an archive, one after the other, as a stream.

    Decompressed by the tools' own programs: Python knows Zstandard from 3.14 on only, and its tarfile does not see that
    the end of a compressed file is missing. They get the bytes through a pipe, and ``digest`` counts the same bytes:
    whoever can still write to the file cannot have something else unpacked than what was hashed. Whatever goes wrong
    inside the context is Refused: the archive is damaged.
    """

    def __init__(self, archive):
        self.archive = archive
        self.sha = hashlib.sha256()

    def __enter__(self):
        self.archive.seek(0)
        magic = self.archive.read(6)
        programs = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
        program = programs.get(magic[:4]) or programs.get(magic)
        if program is None:
            raise Refused("it is neither .tar.xz nor .tar.zst")
        self.errors = tempfile.TemporaryFile()
        argv = [program, "-dc"]
        if program == "xz" and shutil.which("xz") is None:
            argv = [sys.executable, "-c", WITHOUT_XZ]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.PIPE)
        self.feeder = threading.Thread(target=self._feed)
        self.feeder.daemon = True
        self.feeder.start()
        try:
            self.tar = tarfile.open(fileobj=self.process.stdout, mode="r|")
        except tarfile.TarError as error:
            self._end()
            raise Refused("it is damaged or no archive: %s" % error)
        return self

    def _feed(self):
        try:
            self.archive.seek(0)
            for piece in iter(lambda: self.archive.read(1 << 20), b""):
                self.sha.update(piece)
                self.process.stdin.write(piece)
        except (OSError, ValueError):
            pass  # the program ended before its input did; its status says so
        finally:
            try:
                self.process.stdin.close()
            except OSError:
                pass

    def digest(self):
        """SHA-256 of what the program got; after the last member."""
        self.feeder.join()
        return self.sha.hexdigest()

    def __iter__(self):
        for member in self.tar:
            yield member
        # What follows the last member: padding, and the compressor's own checksum.
        while self.process.stdout.read(1 << 20):
            pass
        if self.process.wait() != 0:
            self.errors.seek(0)
            said = self.errors.read().decode("utf-8", "replace").strip()
            raise Refused("it is damaged: %s" % said[-300:])

    def __exit__(self, kind, error, _):
        self._end()
        if kind is not None and issubclass(kind, (tarfile.TarError, EOFError, ValueError)):
            raise Refused("it is damaged: %s" % error)

    def _end(self):
        self.process.kill()
        self.process.wait()
        self.feeder.join()
        self.process.stdout.close()
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


def allowed(members, limit_bytes):
    """Each member, after every rule that can be applied to it; the same rules at the examination and at the unpacking.

    Raises:
        Refused: the first thing that speaks against it.
    """
    total, count, links = 0, 0, set()
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
        if member.issym():
            links.add(posixpath.normpath(member.name))
        yield member


def examine(archive, limit_bytes, architecture):
    """What the archive holds: ``bytes``, ``members``, ``layouts``. Reads all of it, writes nothing.

    Raises:
        Refused: the first thing that speaks against it.
    """
    total, count, layouts = 0, 0, set()
    known = {TREE + "/" + program: layout for layout, program in PROGRAMS}
    with Members(archive) as members:
        for member in allowed(members, limit_bytes):
            count += 1
            total += max(0, member.size)
            name = posixpath.normpath(member.name)
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


def unpack(archive, dest, sha256, limit_bytes):
    """Unpack beside the old tree, then put the new one in its place.

    The archive was examined before, but what counts is what is unpacked: the same rules again, and the digest of the
    very bytes that were unpacked, before anything gets its final name.
    """
    parent = os.path.join(dest, "opt")
    if not os.path.isdir(parent):
        os.makedirs(parent, 0o755)
    fresh = tempfile.mkdtemp(prefix=".rtlab-kata-", dir=parent)
    try:
        with Members(archive) as members:
            for member in allowed(members, limit_bytes):
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
                members.tar.extract(member, fresh, **trusted)
            if members.digest() != sha256:
                raise Refused("it changed while it was unpacked: its SHA-256 is now %s" % members.digest())
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
        with opened(given["src"]) as archive:
            require_digest(archive, given["sha256"])
            found = examine(archive, given["limit_bytes"], platform.machine())
            require_space(given["dest"], found["bytes"], given["spare_bytes"])
            if not module.check_mode:
                unpack(archive, given["dest"], given["sha256"], given["limit_bytes"])
    except Refused as error:
        module.fail_json(
            msg="The archive of Kata (%s) is not unpacked: %s. Docker and what was installed are as before."
            % (os.path.basename(given["src"]), error)
        )
    except OSError as error:
        module.fail_json(msg="The archive of Kata could not be unpacked: %s." % error)
    module.exit_json(changed=True, **found)


if __name__ == "__main__":
    main()
