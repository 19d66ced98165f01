"""What of a campaign may be published. Facts leave by an allow-list of fields and shapes; texts are searched for names,
addresses and secrets. Pure: the names to look for are given."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from rtlab.model import CampaignSpec, EngineAt, Record, Testbed, Trial
from rtlab.publish.vocabulary import KEYS, WORDS

# Words that name nobody, though a host or an account may be called so; and rtlab's own, which data is made of.
GENERIC = frozenset(
    [
        "root",
        "localhost",
        "localdomain",
        "local",
        "user",
        "users",
        "admin",
        "home",
        "work",
        "tmp",
        "host",
        "machine",
        "debian",
        "ubuntu",
        "fedora",
        "vagrant",
        "docker",
        "linux",
        "runc",
        "kata",
        "gvisor",
        "crun",
        "youki",
        "boot",
        "io",
        "cpu",
        "memory",
        "network",
        "none",
        "simulated",
        "this-machine",
        "test",
        "guest",
        "rtlab",
        "ok",
        "failed",
    ]
)
# Hosts that everybody knows: who made a program, or where it is got from.
PUBLIC = (
    "containerd.io",
    "gvisor.dev",
    "katacontainers.io",
    "kernel.org",
    "golang.org",
    "github.com",
    "docker.com",
    "docker.io",
    "debian.org",
    "ubuntu.com",
    "apache.org",
    "googleapis.com",
    "w3.org",
)
OWN_MACHINE = re.compile(r"node\d{1,4}|this-machine|local|localhost")

_KEY = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.S)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>\\]+", re.I)
# Each pattern reads a text once: it begins where a word begins, and what it repeats is bounded or ends for certain.
_ACCOUNT = re.compile(r"(?<![\w.+%-])[\w.+-]+(?:@|%40)(?!sha256:)[\w-]+(?:\.[\w-]+)*", re.I)
_MAC = re.compile(
    r"(?<![\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4,18}(?![\w:-])"
    r"|(?<![\w.])(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}(?![\w.])|(?<=\benx)[0-9a-f]{12}\b"
    r"|(?<=\bether )[0-9a-f]{12}\b|(?<=\bmac[ =:])[0-9a-f]{12}\b",
    re.I,
)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])", re.I)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
# A name may have a blank in it where another folder follows, or where each of its parts begins with a capital letter.
_HOME = re.compile(
    r"(/(?:home|Users|export/home|var/home)/|\b[a-z]:\\+Users\\+)"
    r"(?:[^/\\\n\"':<>|]{1,64}(?=[/\\])|[^/\\\s\"':<>|]{1,255}(?:(?-i: [A-Z][\w.'-]{0,40})){0,4})",
    re.I,
)
# Ends of host names: countries and what else is common. Those that are also ends of file names count only from three
# labels on, or with a port or a path behind them: `www.perl.pl`, not `build.pl`.
_COUNTRIES = (
    "ad|ae|af|ag|ai|al|ao|aq|ar|at|au|aw|ax|az|ba|bb|bd|be|bf|bg|bh|bi|bj|bm|bn|bo|br|bs|bt|bw|by|bz|ca|cd|cf|cg|ch|ci|"
    "ck|cl|cm|cn|co|cr|cu|cv|cw|cx|cy|cz|de|dj|dk|dm|dz|ec|ee|eg|er|es|et|eu|fi|fj|fk|fm|fo|fr|ga|gb|gd|ge|gf|gg|gh|gi|"
    "gl|gm|gn|gp|gq|gr|gs|gt|gu|gw|gy|hk|hm|hn|hr|ht|hu|ie|il|im|iq|ir|it|je|jm|jo|jp|ke|kg|kh|ki|km|kn|kp|kr|kw|ky|kz|"
    "lb|lc|li|lk|lr|ls|lt|lu|lv|ly|ma|mc|mg|mh|mm|mn|mo|mp|mq|mr|mt|mu|mv|mw|mx|mz|nc|ne|nf|ng|ni|nl|np|nr|nu|nz|pa|pe|"
    "pf|pg|ph|pk|pn|pr|pt|pw|qa|re|ro|ru|rw|sa|sb|sd|se|sg|si|sk|sl|sm|sn|sr|ss|su|sv|sx|sy|sz|tc|td|tg|th|tj|tk|tl|tn|"
    "tr|tt|tv|tw|tz|ua|ug|uk|us|uy|uz|va|vc|ve|vg|vn|vu|wf|ws|ye|yt|za|zm|zw"
)
_ROOTS = (
    "com|org|net|edu|gov|mil|int|io|dev|local|lan|internal|corp|home|intranet|intern|private|localdomain|arpa|example|"
    "test|invalid|box|cloud|info|biz|app|tech|online|site|xyz|shop|blog|page|network|systems|solutions|company|gmbh|ag|"
    f"hosting|host|email|science|academy|berlin|wien|swiss|fritz|xn--[a-z0-9-]{{2,59}}|рф|中国|中國|भारत|한국|{_COUNTRIES}"
)
_FILES = "ac|am|as|cc|do|gz|id|in|is|la|md|me|mk|ml|ms|mt|my|no|pl|pm|ps|py|rs|sc|sh|so|st|tf|to|vi"
_DOMAIN = re.compile(
    rf"(?<![\w./-])(?:(?:[\w-]+\.)+(?:{_ROOTS})(?::\d+)?|(?:[\w-]+\.){{2,}}(?:{_FILES})(?::\d+)?"
    rf"|[\w-]+\.(?:{_FILES})(?::\d+(?=/)|(?=/)))(?![\w-]|\.[a-z0-9])",
    re.I,
)
# A name of one label is known by what stands around it: resolvers, dialers, curl, registries.
_HOST = re.compile(
    r"(\blookup |\bresolve host(?:name)?:? |\bconnect to (?=[\w-]{1,63} port \d)"
    r"|\bdial (?:tcp|udp)[46]? (?=[\w-]{1,63}:\d)"
    r"|\bhost(?:name)? ?[:=] ?)([a-z0-9_][\w-]{0,62})(?![\w./-])"
    r"|(?<![\w./:-])()([a-z][a-z0-9_-]{0,62})(?=:\d{2,5}/[a-z])",
    re.I,
)
_SECRET_WORD = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|auth)"
)
_SECRET_KEY = re.compile(rf"[\w-]{{0,60}}{_SECRET_WORD}(?:[_-]?(?:key|id))?", re.I)
_SECRET = re.compile(
    rf"((?<![\w-])[\w-]{{0,60}}{_SECRET_WORD}(?:[_-]?(?:key|id))?[\"']?\s{{0,9}}[=:]\s{{0,9}}"
    r"(?:(?:bearer|basic) )?[\"']?"
    r"|(?<![\w-])[a-z]{0,20}_proxy\s{0,9}[=:]\s{0,9}"
    r"|(?<![\w-])--?[\w-]{0,40}(?:password|passwd|passphrase|token|secret|api-?key)[ =]\s{0,9}"
    r"|(?<!\S)(?:-u|--user|--proxy-user)[ =]?(?=[^\s:]{1,80}:\S)"
    r"|\b(?:bearer|basic)\s{1,9}(?=[a-z0-9+/._~-]{0,200}[0-9=]))[^\s,;\"'\]]+",
    re.I,
)
# What is a secret by its own shape, as their makers document it.
_TOKEN = re.compile(
    r"(?<![\w-])(?:(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}"
    r"|gl(?:pat|dt|rt|cbt|ptt|soat)-[\w.-]{16,255}|xox[a-z]-[\w-]{8,255}|xapp-[\w-]{8,255}|AIza[\w-]{30,60}"
    r"|ya29\.[\w.-]{8,500}|[sr]k_(?:live|test)_\w{10,255}|sk-[\w-]{20,255}|npm_[A-Za-z0-9]{30,60}|pypi-[\w-]{16,500}"
    r"|dckr_[a-z]{2,4}_[\w-]{16,100}|hf_[A-Za-z0-9]{20,60}|hv[sbr]\.[\w-]{16,300}|glsa_\w{16,100}|dop_v1_[0-9a-f]{32,80}"
    r"|SG\.[\w-]{10,60}\.[\w-]{10,100}|AGE-SECRET-KEY-1[0-9A-Z]{10,100}|eyJ[\w-]{8,4000}\.[\w-]{2,8000}(?:\.[\w-]{0,4000}){0,3})"
)
# What names one machine, disk, network or account in the world, told by its own shape or by the word before it.
_IDENTITY = re.compile(
    r"\b((?:product[_-]?|system[_-]?|part|fs)?uuid|machine[_-]?id|serial(?:[_ -]?(?:number|no))?|wwn|wwid|e?ssid|bssid|"
    r"instance[_-]?id|asset[_-]?tag)([\"']?\s{0,9}[=:]\s{0,9}[\"']?)[^\s,;\"'\]]+"
    r"|\b()()arn:aws[\w-]{0,10}:[^\s\"',;]{1,300}|(?<![\w-])()()i-(?:[0-9a-f]{17}|[0-9a-f]{8})(?![\w-])"
    r"|(?<![\w.])()()(?:naa\.|0x|wwn-0x)5[0-9a-f]{15}(?!\w)",
    re.I,
)


class Redaction:
    """Replaces what names a person, a host or a place, and counts what it replaced.

    Attributes:
        replaced: Kind -> how often.
        withheld: Fields that were left out because no rule lets them leave: path -> how often.
    """

    def __init__(self, names: Iterable[str], machines: Iterable[str] = ()) -> None:
        """
        Args:
            names: Of accounts and hosts; those that name nobody are passed over.
            machines: The testbed's; names that a user gave are replaced by pseudonyms.
        """
        named = sorted(machines)
        if all(OWN_MACHINE.fullmatch(name) for name in named):
            self.machines = {name: name for name in named}
        else:  # all of them, in the order of their names, on which the sign of the machine's effect depends
            digits = len(str(len(named)))
            self.machines = {name: f"machine{number:0{digits}d}" for number, name in enumerate(named, 1)}
        renamed = [old for old, new in self.machines.items() if old != new]
        every = {n.strip().lower() for n in (*names, *renamed)}
        every |= {n.partition(".")[0] for n in every}
        named = [n for n in every if len(n) > 1 and n not in GENERIC and n not in WORDS and not n.isdigit()]
        self.names = sorted(named, key=lambda n: (-len(n), n))
        pattern = "|".join(map(re.escape, self.names))
        self._named = re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", re.I) if pattern else None
        self.replaced: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()

    # ------------------------------------------------------------- texts

    def text(self, value: str) -> str:
        """The text without keys, URLs, accounts, addresses, home folders, domains, secrets and the given names."""
        value = self._sub(_KEY, "key", value)
        value = self._sub(_TOKEN, "secret", value)
        value = self._sub(_SECRET, "secret", value, lambda m: f"{m[1]}[secret]")
        value = self._sub(_IDENTITY, "identity", value, lambda m: f"{m[1] or ''}{m[2] or ''}[identity]")
        value = self._sub(_URL, "url", value, self._url)
        value = self._sub(_ACCOUNT, "account", value)
        value = self._sub(_MAC, "mac", value)
        value = self._sub(_IPV6, "address", value, _address)
        value = self._sub(_IPV4, "address", value, _address)
        value = self._sub(_HOME, "home", value, lambda m: f"{m[1]}[user]")
        value = self._sub(_DOMAIN, "host", value, lambda m: m[0] if _public(m[0].partition(":")[0]) else "[host]")
        value = self._sub(_HOST, "host", value, self._host)
        return self._sub(self._named, "name", value) if self._named else value

    def _host(self, match: re.Match[str]) -> str:
        before, name = match[1] or "", match[2] or match[4]
        known = name.lower() in GENERIC or name in self.machines.values() or OWN_MACHINE.fullmatch(name)
        return match[0] if known or name.isdigit() else f"{before}[host]"

    def _sub(
        self, pattern: re.Pattern[str], kind: str, text: str, new: Callable[[re.Match[str]], str] | None = None
    ) -> str:
        def one(match: re.Match[str]) -> str:
            found = new(match) if new else f"[{kind}]"
            self.replaced[kind] += found != match[0]
            return found

        return pattern.sub(one, text)

    @staticmethod
    def _url(match: re.Match[str]) -> str:
        host = re.sub(r"^[^/]*//(?:[^/@]*@)?", "", match[0])
        host = re.split(r"[/:?#]", host)[0] if not host.startswith("[") else host[1:].partition("]")[0]
        keeps_account = "@" in match[0].partition("//")[2].partition("/")[0]
        return (
            match[0] if not keeps_account and (_public(host) or host in ("localhost", "127.0.0.1", "::1")) else "[url]"
        )

    def anything(self, value: Any) -> Any:
        """A JSON value with every text in it searched, and every key that is none of rtlab's own."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._key(str(k)): self._under(str(k), v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.anything(v) for v in value]
        return value

    def _under(self, key: str, value: Any) -> Any:
        """A value as it may leave from under its key: what a key calls a secret is one, whatever it looks like."""
        if isinstance(value, str) and value and key not in KEYS and _SECRET_KEY.fullmatch(key):
            self.replaced["secret"] += 1
            return "[secret]"
        return self.anything(value)

    def _key(self, key: str) -> str:
        return key if key in KEYS else self.text(key)

    # ------------------------------------------------------------- by allow-list

    def allowed(self, value: Any, rule: Any, path: str) -> Any:
        """The part of a value that its rule lets leave; WITHHELD for what it does not."""
        if rule is ANY:
            return self.anything(value)
        if rule is KERNEL_LINE and isinstance(value, str):
            words = value[:4096].split()
            known = [word for word in words if KERNEL_WORD.fullmatch(word)]
            self.withheld[f"{path}.words"] += len(words) - len(known)
            return self.text(" ".join(known))
        if isinstance(rule, Mapping):
            return self._fields(value, rule, path)
        if isinstance(rule, list):
            if not isinstance(value, list | tuple):
                return self._withhold(path)
            kept = [self.allowed(v, rule[0], path) for v in value[:1000]]
            return [v for v in kept if v is not WITHHELD]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return value if rule is NUMBER else self._withhold(path)
        if rule in (NUMBER, KERNEL_LINE) or not isinstance(value, str) or not rule.fullmatch(value):
            return self._withhold(path)
        return self.text(value)

    def _fields(self, value: Any, rule: Mapping[Any, Any], path: str) -> Any:
        if not isinstance(value, Mapping):
            return self._withhold(path)
        kept: dict[str, Any] = {}
        for key, item in value.items():
            for name, inner in rule.items():
                if isinstance(name, str) and name == key:
                    shown, found = key, self.allowed(item, inner, f"{path}.{name}")
                elif not isinstance(name, str) and isinstance(key, str) and name.fullmatch(key):
                    shown, found = self._key(key), self.allowed(item, inner, f"{path}.*")
                else:
                    continue
                if found is not WITHHELD:
                    kept[shown] = found
                break
            else:
                self._withhold(f"{path}.{key}")
        return kept

    def _withhold(self, path: str) -> Any:
        self.withheld[path] += 1
        return WITHHELD

    def facts(self, value: Any) -> dict[str, Any]:
        """One machine's facts as they may leave."""
        found = self.allowed(value, FACTS, "facts")
        return found if isinstance(found, dict) else {}

    # ------------------------------------------------------------- a campaign's documents

    def testbed(self, bed: Testbed) -> Testbed:
        """The testbed without addresses, accounts, paths and what its provider noted beyond DETAILS."""
        for key in ("address", "user", "home", "key_file", "known_hosts_file", "netns"):
            self.withheld[f"testbed.machines.{key}"] += sum(1 for m in bed.machines if getattr(m, key))
        self.withheld["testbed.machines.engine_socket"] += sum(1 for m in bed.machines if m.engine.socket)
        machines = tuple(
            replace(
                m,
                name=self.machines[m.name],
                transport=m.transport if m.transport in ("local", "simulated") else "ssh",
                sudo=bool(m.sudo),
                may_reboot=bool(m.may_reboot),
                address="",
                port=0,
                user="",
                key_file=None,
                known_hosts_file=None,
                python="",
                home="",
                netns=None,
                engine=EngineAt(name=self._word(str(m.engine.name)), socket=""),
                beside=tuple(EngineAt(name=self._word(str(e.name)), socket="", cli="") for e in m.beside),
                runtimes=tuple(self._arm(str(r)) for r in m.runtimes),
            )
            for m in bed.machines
        )
        details = self.allowed(bed.details, DETAILS, "testbed.details")
        return replace(
            bed,
            id=self._word(str(bed.id)),
            provider=self._word(str(bed.provider)),
            profile=self._word(str(bed.profile)),
            design="paper" if bed.design == "paper" else "crossover",
            machines=machines,
            created_at=bed.created_at if TIME.fullmatch(str(bed.created_at)) else "",
            details=details if details is not WITHHELD else {},
        )

    def spec(self, spec: CampaignSpec) -> dict[str, Any]:
        """A spec as JSON: numbers as they are, texts searched, images without their registry."""
        plain = asdict(spec)
        plain["images"] = self.allowed(plain["images"], {WORD: IMAGE}, "spec.images")
        plain["parameters"] = self.allowed(plain["parameters"], {WORD: {WORD: ANY}}, "spec.parameters")
        return {k: v if k in ("images", "parameters") else self.anything(v) for k, v in plain.items()}

    def arm(self, name: str) -> str:
        """An arm or a runtime as it is called where it leaves."""
        return self._arm(name)

    def trial(self, trial: Trial) -> Trial:
        """A trial on the machine's pseudonym."""
        return replace(
            trial,
            machine=self.machines.get(trial.machine) or "machine",
            arm=self._arm(trial.arm),
            runtime=self._arm(trial.runtime),
            experiment=self._word(trial.experiment),
        )

    def record(self, record: Record, files: Mapping[str, str]) -> Record:
        """A record as it may leave, with the digests of the files as they leave."""
        return replace(
            record,
            trial=self.trial(record.trial),
            reason=self.text(record.reason),
            boot_id=record.boot_id if record.boot_id and UUID.fullmatch(record.boot_id) else None,
            started_at=record.started_at if TIME.fullmatch(record.started_at) else "1970-01-01T00:00:00Z",
            ended_at=record.ended_at if TIME.fullmatch(record.ended_at) else "1970-01-01T00:00:00Z",
            files=dict(files),
        )

    def _word(self, value: str) -> str:
        return self.text(value) if WORD.fullmatch(value) else "withheld"

    def _arm(self, value: str) -> str:
        return self.text(value) if ARM.fullmatch(value) else "withheld"


def _address(match: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return match[0]
    return match[0] if address.is_loopback or address.is_unspecified else "[address]"


def _public(host: str) -> bool:
    host = host.lower()
    return any(host == known or host.endswith("." + known) for known in PUBLIC)


# --------------------------------------------------------------------------- the allow-list

WITHHELD: Any = object()
NUMBER: Any = object()
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
ARM = re.compile(r"[a-z0-9][a-z0-9_.:#-]{0,39}")
# The longest that is known is that of Kata's shim, 132 characters with quotes in them.
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,:;+~_()/\"'=-]{0,199}")
TEXT = re.compile(r"[\w .,:;()\[\]+/@#®™*=~%'-]{0,200}")
HEX = re.compile(r"(?:sha256:)?[0-9a-f]{7,64}")
PROGRAM = re.compile(r"/(?:usr|opt|bin|sbin|lib)/[A-Za-z0-9._/+-]{1,100}")
ARGUMENT = re.compile(
    r"/etc/kata-containers/configuration[a-z0-9-]{0,30}\.toml|--?[a-z][a-z0-9-]{0,40}(?:=[A-Za-z0-9._-]{0,40})?"
)
# Of Kata's configuration.toml: hypervisor.qemu.default_memory, and a number, true, a text in quotes, a list of these.
SETTING = re.compile(r"[A-Za-z0-9_]{1,40}(?:\.[A-Za-z0-9_-]{1,60}){0,4}")
SETTING_VALUE = re.compile(r"[\w .,:;()\[\]+/@=~%'\"-]{0,300}")
IMAGE = re.compile(r"(?:[a-z0-9_-]+/)*[a-z0-9._-]+(?::[A-Za-z0-9._-]{1,60})?(?:@sha256:[0-9a-f]{64})?")
SCENARIO = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{0,100000}")
KERNEL_WORD = re.compile(
    r"quiet|ro|rw|splash|nosmt|nokaslr|nomodule|(?:console|mitigations|panic|psi|clocksource|tsc|idle|isolcpus|nohz|nohz_full|"
    r"rcu_nocbs|transparent_hugepage|hugepages|hugepagesz|default_hugepagesz|intel_iommu|amd_iommu|iommu|swiotlb|"
    r"intel_pstate|intel_idle\.max_cstate|processor\.max_cstate|cpufreq\.default_governor|cgroup_enable|cgroup_no_v1|"
    r"swapaccount|systemd\.unified_cgroup_hierarchy|net\.ifnames|maxcpus|nr_cpus|mem|kvm[\w.-]*)=[A-Za-z0-9,._-]{0,60}"
)
# A text whose words leave one by one.
KERNEL_LINE: Any = object()
# Numbers, texts and lists of them; every text is searched.
ANY: Any = object()

FACTS: Mapping[Any, Any] = {
    "schema": NUMBER,
    "outcome": WORD,
    "reason": re.compile(""),
    "probe": VERSION,
    "scenario": TEXT,
    "taken_at": TIME,
    "boot_id": UUID,
    "kernel": VERSION,
    "kernel_command_line": KERNEL_LINE,
    "distribution": TEXT,
    "architecture": WORD,
    "python": VERSION,
    "psutil": VERSION,
    "cpu": {
        "model": TEXT,
        "vendor": VERSION,
        "count": NUMBER,
        "virtualization": [WORD],
        "hypervisor_seen": NUMBER,
        "microcode": VERSION,
        "governor": WORD,
        "mitigations": {WORD: TEXT},
    },
    **{
        f"{kind}_bytes": NUMBER
        for kind in ("memory_total", "memory_available", "swap_total", "disk_free", "disk_total")
    },
    "ksm": VERSION,
    "transparent_hugepages": re.compile(r"[a-z \[\]]{0,60}"),
    "clocksource": WORD,
    "cgroups": WORD,
    "kvm": NUMBER,
    "modules": [WORD],
    "uptime_s": NUMBER,
    "load": [NUMBER],
    "docker": {
        "version": VERSION,
        "api": VERSION,
        "components": {VERSION: VERSION},
        "storage_driver": WORD,
        "cgroup_driver": WORD,
        "security": [re.compile(r"name=[a-z0-9-]{1,40}(?:,profile=(?:default|builtin|unconfined))?")],
    },
    "runtimes": {
        ARM: {
            "path": PROGRAM,
            "sha256": HEX,
            "version": VERSION,
            "arguments": [ARGUMENT],
            "configuration": {SETTING: SETTING_VALUE},
        }
    },
    "images": {IMAGE: {"id": HEX, "digests": [IMAGE], "size_bytes": NUMBER}},
}

DETAILS: Mapping[Any, Any] = {
    "scenario": SCENARIO,
    "scenario_name": WORD,
    "images": {WORD: IMAGE},
    "accel": WORD,
    "backend": WORD,
    "cpus": NUMBER,
    "memory_mb": NUMBER,
    "disk_gb": NUMBER,
    "disk_cache": WORD,
    "box": {
        "name": re.compile(r"(?:rtlab-[0-9a-f]{8}/)?[a-z0-9.-]{1,60}"),
        "version": VERSION,
        "sha256": HEX,
        "provisioned": NUMBER,
    },
    "libvirt_version": VERSION,
    "qemu_version": VERSION,
    "virtualbox_version": VERSION,
    "engine": {"docker": VERSION, "containerd": VERSION},
    "storage_driver": WORD,
    "cgroup_version": VERSION,
    "cgroup_driver": WORD,
    "iptables": NUMBER,
    "allow_reboot": NUMBER,
    "kata": {WORD: {WORD: ANY}},
    "kata_version": VERSION,
    "kata_flavour": WORD,
}
