"""Names and addresses of hosts. A dotted name stays only when it is known to be something else: a vendor's server, a
version, a file, a program's own name for something."""

from __future__ import annotations

import ipaddress
import re

from rtlab.publish.rule import Known, Rule

# Keys of a document whose texts name a host.
HOST_KEY = re.compile(r"(?:[\w-]{0,40}[_-])?(?:host_?name|fqdn|domain(?:_?name)?|node_?name|server_?name|host)", re.I)

# Hosts that everybody knows: who made a program, or where it is got from.
PUBLIC = (
    "containerd.io",
    "gvisor.dev",
    "katacontainers.io",
    "kernel.org",
    "golang.org",
    "go.dev",
    "docker.com",
    "debian.org",
    "ubuntu.com",
    "apache.org",
    "w3.org",
    "opencontainers.org",
    "youki.dev",
    "python.org",
    "freedesktop.org",
    "gnu.org",
    "k8s.io",
    "gopkg.in",
    "libvirt.org",
    "qemu.org",
)
# Servers that everybody may put something on: what follows them must be of somebody known.
SHARED = frozenset(
    "github.com docker.io index.docker.io registry-1.docker.io auth.docker.io ghcr.io quay.io storage.googleapis.com "  # noqa: SIM905
    "proxy.golang.org crates.io pypi.org".split()
)
OWNERS = frozenset(
    "library containerd opencontainers moby docker google gvisor kata-containers containers youki-dev "  # noqa: SIM905
    "torvalds golang sirupsen spf13 urfave pkg gogo kubernetes checkpoint-restore seccomp vishvananda "
    "coreos cilium grpc prometheus open-telemetry hashicorp rust-lang rust-vmm cloud-hypervisor "
    "firecracker-microvm qemu libvirt python psutil giampaolo mrunalp cyphar docker-library httpd "
    "debian ubuntu opentracing fsnotify creack klauspost tonistiigi godbus coreutils curl bonnie".split()
)

# Ends of names that belong to domains; every one of two letters may.
_ENDS = frozenset(
    "com org net edu gov mil int dev lan internal corp home intra intranet intern private localdomain "  # noqa: SIM905
    "arpa example test invalid box cloud info biz app tech online site xyz shop blog page network "
    "systems solutions company gmbh hosting host email science academy berlin wien swiss fritz local "
    "cat pro mobi name museum travel coop aero jobs tel post asia bayern hamburg koeln ruhr saarland "
    "tirol nrw paris london amsterdam tokyo moscow global world life live group team work works "
    "agency digital media studio design software services support center consulting ventures capital "
    "finance bank health care clinic legal university college school institute foundation city land "
    "zone space store club news wiki link click top win bid loan icu".split()
)
# Ends of file names. Those in the second line are also ends of domains: they count where a path ends in them.
_FILES = frozenset(
    "go json jsonl toml yaml yml conf cfg ini log txt csv tsv html htm css js svg png pdf tex gz xz "  # noqa: SIM905
    "bz2 zst tar img iso qcow2 vmdk raw deb rpm whl ko sock socket service slice scope target timer "
    "mount path device swap pid lock tmp bak old new orig part sha256 asc sig crt key pem bin elf exe "
    "dll bat cmd ps1 container initrd vmlinux bpf sum mod list sources preset rules db sqlite pyc pyz "
    "pth egg hpp cpp cxx rst lua xml xsl xsd service-d d".split()
)
_FILES_TOO = frozenset("py sh so md rs pl pm id la mk ps in cc do tf st zip mov app".split())  # noqa: SIM905
_SOURCES = (".go", ".py", ".rs")  # a number behind it is a line's
# The first words of what programs call by dotted names: cgroup files, settings, modules, functions.
_PROGRAMS = frozenset(
    "cgroup memory cpu cpuset pids hugetlb rdma misc io kernel vm fs user net debug systemd "  # noqa: SIM905
    "hypervisor runtime agent factory image shim proxy netmon ratios failures noise effects drift "
    "main os sync syscall reflect errors context subprocess json asyncio threading socket select "
    "signal ctypes rtlab paramiko docker dockerd containerd runsc runc qemu virtiofsd eax ebx ecx edx "
    "kvm intel_idle processor cpufreq self std core alloc tokio clap ttrpc protocols".split()
)
_NAMESPACES = (
    "io.containerd",
    "io.containers",
    "io.katacontainers",
    "io.kubernetes",
    "org.opencontainers",
    "org.freedesktop",
    "org.systemd",
    "com.docker",
    "dev.gvisor",
    "net.ifnames",
    "net.core",
    "net.ipv4",
    "net.ipv6",
    "net.bridge",
    "net.netfilter",
)

_DOTTED = re.compile(r"(?<![\w-])[\w-]+(?:\.[\w-]+)+(?::\d{1,5}(?!\d))?", re.I)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}:(?:\\?/){2}[^\s\"'<>]+", re.I)
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:%[\w.-]{1,20})?(?![\w:])", re.I
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)|\bip-\d{1,3}(?:-\d{1,3}){3}\b")
_SCOPED = re.compile(r"(?<![\w./-])(?:github\.com|docker\.io|ghcr\.io|quay\.io)/[\w.-]+(?:/[\w.-]+)?", re.I)

# A name of one label is known by what stands around it: resolvers, dialers, curl, registries, file servers.
_LABEL = r"[^\W_][\w-]{0,62}"
_BEGIN = r"(?<![^\s\"'\[(])"
_BEFORE = (
    r"\blookup |\bresolve host address ['\"]?|\bresolve (?:the )?host(?:name)?:? |\bresolving |\bgetaddrinfo (?:for )?"
    r"|\bconnect(?:ed)? to (?:host |server )?(?=[\w-]{1,63} (?:port \d|\())|\bconnect to server |\broute to host "
    r"|\bTrying (?=[\w-]{1,63}\.\.\.)|\bHost (?=[\w-]{1,63}:\d)|\bnode (?=[\w-]{1,63} is )|\brsync: (?=[\w-]{1,63}: )"
    r"|\bdial (?:tcp|udp)[46]? (?=[\w-]{1,63}:\d)|\bUnknown host:? |\bping:? |\bssh: (?!connect|could)"
    r"|\b(?:host|node|server)_?(?:name)?[\"']? ?[:=] ?[\"']?|\bhostname |\bfrom host |\bon host |\bproxy |\bmirror "
    rf"|{_BEGIN}Linux (?=[\w-]{{1,63}} \d)|{_BEGIN}[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d "
    r"(?=[\w-]{1,63} [\w./-]{1,40}(?:\[\d{1,9}\])?:)"
    r"|(?<![\w:\\/])\\\\\\\\|(?<![\w:\\])\\\\(?=[\w-]{1,63}\\)|(?<![\w:/])//(?=[\w-]{1,63}/[\w.$-])"
)
_SINGLE = re.compile(rf"({_BEFORE})({_LABEL})(?![\w./-]*\.[a-z])", re.I | re.M)
_SINGLE_BEFORE = re.compile(
    rf"(?<![\w./:@-])({_LABEL})(?=:\d{{2,5}}/[a-z]|:(?:22|25|53|80|389|443|\d{{4,5}})(?![\w.])|:/[\w-]{{1,60}}/|"
    r" login: |(?:: | )(?:Temporary failure in name resolution|Name or service not known|"
    r"No address associated with hostname|nodename nor servname))",
    re.I,
)
_NOT_A_HOST = frozenset(
    "a the in of to on is for not with failed error timeout name type namespace lookup version pid port "  # noqa: SIM905
    "line cpu code uid gid id size count level server tcp udp".split()
)


def is_public(host: str) -> bool:
    """Whether everybody knows a host, and nobody may put his own things there."""
    host = host.lower()
    return any(host == known or host.endswith("." + known) for known in PUBLIC)


def _address(match: re.Match[str], _: Known) -> str:
    if match[0].lower().startswith("ip-"):
        return "[address]"
    try:
        address = ipaddress.ip_address(match[0].partition("%")[0])
    except ValueError:
        return match[0]
    return match[0] if address.is_loopback or address.is_unspecified else "[address]"


def _url(match: re.Match[str], _: Known) -> str:
    """A URL stays when its host is public, nobody's account is in it, and on a shared host when its owner is known."""
    after = re.sub(r"^[^/\\]*(?:\\?/){2}", "", match[0])
    host, _slash, path = after.replace("\\/", "/").partition("/")
    if "@" in host or "?" in match[0]:
        return "[url]"
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    owner = path.partition("/")[0].lower()
    known = is_public(host) or host in ("localhost", "127.0.0.1", "::1") or (host.lower() in SHARED and owner in OWNERS)
    return match[0] if known else "[url]"


def _scoped(match: re.Match[str], _: Known) -> str:
    """A module or an image on a shared server: `github.com/containerd/containerd`, `docker.io/library/httpd:2.4`."""
    host, owner, *_rest = match[0].split("/")
    return match[0] if owner.lower() in OWNERS else f"{host}/[owner]"


def _dotted(match: re.Match[str], _: Known) -> str:
    name, _colon, port = match[0].partition(":")
    text, begin, end = match.string, match.start(), match.end()
    in_path = text[max(0, begin - 1) : begin] in ("/", "\\")
    ends = text[end : end + 1] not in ("/", "\\")
    is_line_number = name.endswith(_SOURCES) and ends and (in_path or name.endswith(".go"))
    stays = _is_no_host(name.lower(), in_path=in_path, ends=ends and (not port or is_line_number))
    return match[0] if stays else "[host]"


def _is_no_host(name: str, *, in_path: bool, ends: bool) -> bool:
    labels = name.split(".")
    last = labels[-1]
    if is_public(name) or name in SHARED:
        return True
    if last.startswith("xn--"):
        return False
    if len(last) < 2 or not last.isalpha():  # 1.6.20, 2.00a, libc.so.6, runc.v2, max_cstate; not firm.ch-old
        piece = re.split("[-_]", last)[0]
        return piece == last or not piece.isalpha() or not _is_end(piece) or labels[0] in _PROGRAMS or _digits(labels)
    if any(name == known or name.startswith(known + ".") for known in _NAMESPACES) or last.endswith(
        ("error", "exception")
    ):
        return True
    if (ends or in_path) and (last in _FILES or (ends and last in _FILES_TOO and (in_path or name.startswith("lib")))):
        rest = ".".join(labels[:-1])
        return len(labels) == 2 or _is_no_host(rest, in_path=False, ends=True)
    if not _is_end(last):
        return labels[0] in _PROGRAMS or (in_path and ends) or _digits(labels[:2])
    return False


def _is_end(label: str) -> bool:
    return len(label) == 2 or label in _ENDS or not label.isascii()


def _digits(labels: list[str]) -> bool:
    return all(label.isdigit() for label in labels[:2])


def _single(match: re.Match[str], known: Known) -> str:
    name = match[2]
    return match[0] if known.names_nobody(name) or name.lower() in _NOT_A_HOST else f"{match[1]}[host]"


def _single_before(match: re.Match[str], known: Known) -> str:
    return match[0] if known.names_nobody(match[1]) else "[host]"


URL = Rule(kind="url", pattern=_URL, new=_url)
RULES = (
    Rule(kind="address", pattern=_IPV6, new=_address),
    Rule(kind="address", pattern=_IPV4, new=_address),
    Rule(kind="host", pattern=_SCOPED, new=_scoped),
    Rule(kind="host", pattern=_SINGLE, new=_single),
    Rule(kind="host", pattern=_SINGLE_BEFORE, new=_single_before),
    Rule(kind="host", pattern=_DOTTED, new=_dotted),
)
