"""What a build can be, as data. Pure.

A build is one obtainable version of a program or of programs that belong together: what it is, where it comes from,
by which digest it is known, and what making it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GoModule:
    """Programs compiled from a version of a Go module.

    Attributes:
        name: What rtlab calls it: ``runc``, ``gvisor``, ``containerd`` …
        version: As the module proxy knows it: ``v1.5.2``, or a pseudo-version.
        h1: Its hash as in the checksum database (sum.golang.org): ``h1:…``.
        programs: Name of the file made -> package in the module (``./cmd/ctr``).
        go: The oldest Go that compiles it (``1.26.3``), as its go.mod says.
        label: The release that people know it by, where ``version`` does not say it.
        cgo: Whether C is compiled in; then gcc is needed.
        buildmode, tags, ldflags: For the compiler; each flag of the linker is one word.
        go_mod: The file in the module that is its go.mod where that is kept under another name (``vendor.mod``); the
            hashes of what it needs lie beside it (``vendor.sum``).
        dropped_replaces: Modules whose ``replace`` in go.mod is left out.
        libraries: Files of libraries that the compiler must find (``libseccomp.a``).
        packages: Debian packages that bring compiler and libraries.
        seconds: How long it takes on two cores with nothing compiled before.
    """

    name: str
    module: str
    version: str
    h1: str
    programs: Mapping[str, str]
    go: str
    label: str = ""
    cgo: bool = False
    buildmode: str = ""
    tags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    go_mod: str = ""
    dropped_replaces: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crate:
    """Programs compiled from a crate of crates.io, with the dependencies that its Cargo.lock names.

    Attributes:
        sha256: Of the ``.crate`` file, as in the registry's index.
        programs: Name of the file made -> name of the crate's binary.
        rust: The oldest Rust that compiles it.
        features: Cargo's; ``default_features`` false takes only these.
        static: Whether the C library is linked in, so that the program runs under an older one.
    """

    name: str
    crate: str
    version: str
    sha256: str
    programs: Mapping[str, str]
    rust: str
    label: str = ""
    features: tuple[str, ...] = ()
    default_features: bool = True
    static: bool = True
    libraries: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    seconds: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Programs of a release that its vendor serves: a file or a tar archive.

    Attributes:
        programs: Name -> path in the archive; an empty path: the file itself is the program.
        folders: Folders of the archive whose plain files are programs, too, and keep their names.
    """

    name: str
    version: str
    url: str
    sha256: str
    programs: Mapping[str, str]
    label: str = ""
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFile:
    """A program or a tar archive that the user has.

    Attributes:
        programs: As in ``Release``.
    """

    name: str
    version: str
    path: str
    sha256: str
    programs: Mapping[str, str]
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Programs that packages of the machine's distribution install; taken where they lie, not copied.

    Attributes:
        programs: Name -> the command that PATH is searched for.
        packages: Which packages bring them.
    """

    name: str
    programs: Mapping[str, str]
    packages: tuple[str, ...]
    version: str = ""
    label: str = ""


Build = GoModule | Crate | Release | UserFile | Distribution
KINDS: Mapping[str, type[Build]] = {
    "go-module": GoModule,
    "crate": Crate,
    "release": Release,
    "file": UserFile,
    "distribution": Distribution,
}


def kind_of(build: Build) -> str:
    """Its ``kind`` in a file of pins."""
    return next(kind for kind, made in KINDS.items() if isinstance(build, made))


def title(build: Build) -> str:
    """What people call it: ``runc v1.5.2``."""
    # A vendor's release and what is compiled here stand side by side in the pins.
    name, shown = build.name.removesuffix("-release"), build.label or build.version
    return f"{name} {shown}" if shown else f"{name} of the distribution"
