"""Secrets of every class, made from a seed, in lines as programs print them. Nothing here knows how rtlab searches."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Planted:
    """A line, and what of it must not be found in the archive."""

    kind: str
    line: str
    pieces: tuple[str, ...]


class Maker:
    """Draws names and numbers that occur nowhere else."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def of(self, letters: str, length: int) -> str:
        return "".join(self._random.choices(letters, k=length))

    def hex(self, length: int) -> str:
        """With a letter and a digit at both ends, so that it is no number and no word."""
        return f"{self._random.choice('bcde')}{self.of(HEX, length - 3)}{self._random.choice('3579')}a"

    def word(self) -> str:
        """Like a person's or a firm's name, nine letters."""
        return "".join(self._random.choice("bdfgklmnprtvz") + self._random.choice("aeiou") for _ in range(4)) + "q"

    def number(self, low: int, high: int) -> int:
        return self._random.randrange(low, high)

    def firm(self) -> str:
        return self.word()

    def password(self) -> str:
        return f"{self.word()}{self._random.randrange(10, 99)}"

    def uuid(self) -> str:
        return "-".join(self.hex(n) for n in (8, 4, 4, 4, 12))

    def mac(self) -> list[str]:
        return ["52", "54", *(f"{self._random.choice('bcdef')}{self._random.choice(HEX)}" for _ in range(4))]


ENDINGS = [
    "com", "net", "org", "de", "at", "ch", "co.uk", "co.jp", "com.au", "it", "fr", "nl", "pl", "se", "ai", "cloud",
    "info", "biz", "io", "dev", "app", "tech", "eu", "us", "ca", "ru", "cn", "in", "br", "internal.example", "local",
    "lan", "corp", "home.arpa", "box", "intra", "mylab", "xn--p1ai", "рф", "swiss", "berlin", "museum", "sh", "rs",
    "is", "so", "md", "py", "id",
]  # fmt: skip


def hosts(make: Maker) -> Iterator[tuple[str, str, list[str]]]:
    lines = (
        "connect to {} failed: Connection refused",
        "x509: certificate is valid for {}, not for localhost",
        'Get "https://{}/v2/": EOF',
        "curl: (6) Could not resolve host: {}",
        "lookup {} on 10.0.0.2:53: no such host",
        "error pulling image {}:5000/tools/httpd",
        "[  12.3] nfs: server {} not responding, timed out",
        "ping: {}: Name or service not known",
        "mounted /srv/{}/data",
    )
    for number, ending in enumerate(ENDINGS):
        firm = make.firm()
        yield "domain", lines[number % len(lines)].format(f"harbor.{firm}.{ending}"), [firm]
    for number, ending in enumerate(("ch", "com", "cloud", "de", "io", "mylab")):
        firm = make.firm()
        yield "domain of two labels", lines[number].format(f"{firm}.{ending}"), [firm]
    for line in (
        *lines[3:6],
        "dial tcp: lookup {}: Temporary failure in name resolution",
        "connect to {} port 443 after 3 ms: refused",
        "ssh: connect to host {} port 22: No route to host",
        "hostname={}",
        "Host: {}",
        "mount.nfs: {}:/export/data: access denied",
        "//{}/share on /mnt type cifs",
        "http://{}/x",
        "getaddrinfo {}: EAI_AGAIN",
    ):
        firm = make.firm()
        yield "host of one label", line.format(firm), [firm]
    firm = make.firm()
    yield "IDN", f"harbor.bücher-{firm}.example refused", [firm]
    firm = make.firm()
    yield "file named after a host", f"open /etc/ssl/harbor.{firm}.ch.pem: no such file", [firm]


def addresses(make: Maker) -> Iterator[tuple[str, str, list[str]]]:
    for line in ("from {}", "inet {}/24", "http://{}:8080/x", "[{}]", "src={} dst=127.0.0.1", "ip-{} booted"):
        mark = "-" if line.startswith("ip-") else "."
        numbers = [str(make.number(100, 250)) for _ in range(3)]
        yield "IPv4", line.format(mark.join(["10", *numbers])), [mark.join(numbers)]
    for line in ("inet6 {}/64", "http://[{}]:80/", "{}%eth0"):
        tail = f"{make.hex(4)}:{make.hex(4)}"
        yield "IPv6", line.format(f"fe80::5054:ff:{tail}"), [tail]
    for write in (
        lambda m: ":".join(m), lambda m: "-".join(m), lambda m: ":".join(m).upper(), lambda m: "-".join(m).upper(),
        lambda m: ".".join("".join(m)[i : i + 4] for i in (0, 4, 8)),
        lambda m: "enx" + "".join(m), lambda m: "wlx" + "".join(m), lambda m: "".join(m),
        lambda m: "ether " + "".join(m),
        lambda m: "".join(m[:3]) + "-" + "".join(m[3:]), lambda m: "".join(m[:3]) + ":" + "".join(m[3:]),
        lambda m: " ".join(m), lambda m: "".join(m).upper(),
    ):  # fmt: skip
        mac = make.mac()
        written = write(mac)
        tails = {"".join(mac)[-6:], ":".join(mac[-3:]), "-".join(mac[-3:]), " ".join(mac[-3:])}
        yield "MAC", f"eth0: {written} link up", sorted(t for t in tails if t in written.lower())


def people(make: Maker) -> Iterator[tuple[str, str, list[str]]]:
    for line in (
        "mail to {}@firm.example",
        "{}@localhost: refused",
        "by {}%40firm.example",
        "ssh {}@nas true",
        "mailto:{}@firm.example",
        "git@github.com:{}/x.git",
    ):
        name = make.word()
        yield "mail", line.format(name), [name]
    first, last = make.word(), make.word()
    yield "mail with a name", f"{first.title()} {last.title()} <{first}@firm.example>", [first, last]
    for line in (
        "open /home/{0}/x: denied", "cd /home/{0}", "'/home/{0}' is missing", "/home/{0} {1}/x: denied",
        "/Users/{0}/Library", "/Users/{0} {1}/x", r"C:\Users\{0} {1}\x", r"C:\\Users\\{0}\\x", "C:/Users/{0}/x",
        "/mnt/c/Users/{0} {1}", "/export/home/{0}/.ssh/id_rsa", "/media/{0}/USB", "/run/media/{0}/disk", "~{0}/bin",
        r"/home/{0}\ {1}/x", '"/home/{0} {1}"', "file:///home/{0}%20{1}/x", r"C:\Documents and Settings\{0} {1}\x",
        "/var/mail/{0}: locked", "/var/spool/cron/crontabs/{0}",
    ):  # fmt: skip
        a, b = make.word(), make.word()
        title = line.endswith("{1}") or "Users" in line
        found = line.format(a.title(), b.title()) if title else line.format(a, b)
        yield "home", found, [a, b] if "{1}" in line else [a]
    for line in ("uid=1000({0}) gid=1000({0})", "user={0} from tty1", "Failed password for invalid user {0} from here",
                 "session opened for user {0}", "owner: {0}", '"username": "{0}"', "login: {0}"):  # fmt: skip
        name = make.word()
        yield "account", line.format(name), [name]


def secrets(make: Maker) -> Iterator[tuple[str, str, list[str]]]:
    for line in (
        "password={}", "password: {}", '"password": "{}"', "'passwd': '{}'", "PGPASSWORD={} psql", "MYSQL_PWD={}",
        "DB_PASS={}", "client_secret={}", "api_key: {}", "X-Api-Key: {}", "--token {}", "--password={}",
        "--token={} run",
        "curl -u jane:{} https://x", "curl --user jane:{} x", "mysql -ujane -p{} db", "sshpass -p {} ssh x",
        "docker login -u jane -p {} r", "Authorization: Bearer {}", "authorization: token {}", "Cookie: session={}",
        "https://jane:{}@firm.example/x", "redis://:{}@cache:6379/0", "jane:{}@tcp(db:3306)/x",
        "aws_secret_access_key = {}",
        "AccountKey={};EndpointSuffix=x", "machine x login jane password {}", "token => {}", "secret := {}",
        "the password is {}", "?access_token={}&x=1", "?sig={}", "SECRET_KEY='{}'", "export GITHUB_TOKEN={}",
        "passphrase: {}", "http_proxy=http://jane:{}@proxy:3128", "password%3D{}", r'{{\"token\": \"{}\"}}',
        "wpa_passphrase={}", "psk={}", "private_key={}", "_authToken={}",
    ):  # fmt: skip
        password = make.password()
        yield "password or token", line.format(password), [password]
    a, b, c = make.word(), make.word(), make.word()
    yield "password with blanks", f'"password": "{a} {b} {c}"', [a, b, c]
    a, b, c = make.word(), make.word(), make.word()
    yield "password with blanks", f"password: {a} {b} {c}", [a, b, c]
    user, password = make.word(), make.password()
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    yield "docker auth", f'{{"auths": {{"r": {{"auth": "{basic}"}}}}}}', [user, password, basic]
    user, password = make.word(), make.password()
    yield (
        "basic",
        f"> Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}",
        [user, password],
    )
    user, password = make.word(), make.password()
    yield "Base64 of a text", f"data: {base64.b64encode(f'password={password}'.encode()).decode()}", [password]
    for prefix, letters, length in (
        ("AKIA", UPPER, 16), ("ASIA", UPPER, 16), ("ghp_", ALNUM, 36), ("gho_", ALNUM, 36), ("ghs_", ALNUM, 36),
        ("github_pat_", ALNUM, 82), ("glpat-", ALNUM, 20), ("glrt-", ALNUM, 20),
        ("xoxb-123456789012-123456789012-", ALNUM, 24),
        ("xoxp-123456789012-", ALNUM, 24), ("AIza", ALNUM, 35), ("ya29.", ALNUM, 60), ("GOCSPX-", ALNUM, 28),
        ("sk_live_", ALNUM, 24), ("rk_live_", ALNUM, 24), ("sk-", ALNUM, 48), ("sk-ant-api03-", ALNUM, 93),
        ("npm_", ALNUM, 36),
        ("pypi-AgEIcHlwaS5vcmc", ALNUM, 60), ("dckr_pat_", ALNUM, 27), ("hf_", ALNUM, 34), ("hvs.", ALNUM, 90),
        ("glsa_", ALNUM, 32), ("dop_v1_", HEX, 64), ("AGE-SECRET-KEY-1", UPPER, 58), ("PMAK-", HEX, 24),
        ("shpat_", HEX, 32),
        ("tskey-auth-", ALNUM, 30), ("sha256~", ALNUM, 43), ("1234567890:AA", ALNUM, 33), ("sq0atp-", ALNUM, 22),
        ("LTAI", LOWER, 20), ("EZAK", ALNUM, 54), ("lin_api_", ALNUM, 40), ("key-", HEX, 32), ("A3-", UPPER, 6),
        ("whsec_", ALNUM, 32), ("", ALNUM, 40), ("", ALNUM, 32),
    ):  # fmt: skip
        body = make.of(letters, length)
        if prefix == "A3-":
            body = "-".join(make.of(UPPER, n) for n in (6, 11, 5, 5, 5))
        yield f"token {prefix or 'of unknown make'}", f"using {prefix}{body} now", [body]
    parts = [base64.urlsafe_b64encode(f'{{"sub":"{make.word()}"}}'.encode()).decode().rstrip("=") for _ in range(2)]
    signature = make.of(ALNUM, 43)
    yield "JWT", f"got {'.'.join(parts)}.{signature}.", [signature, *parts]
    key = make.of(ALNUM, 64)
    yield "private key", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{key}\n-----END OPENSSH PRIVATE KEY-----", [key]
    key = make.of(ALNUM, 68)
    yield "public key", f"ssh-ed25519 AAAA{key} jane", [key]
    key = make.of(ALNUM, 43)
    yield "fingerprint", f"Accepted publickey: ED25519 SHA256:{key}", [key]
    hashed = make.of(ALNUM, 40)
    yield "password hash", f"root:$6$saltsalt${hashed}:19000:0:", [hashed]
    path = f"T{make.of(UPPER, 8)}/B{make.of(UPPER, 8)}/{make.of(ALNUM, 24)}"
    yield "webhook", f"POST https://hooks.slack.com/services/{path}", [path, path[-24:]]


def identities(make: Maker) -> Iterator[tuple[str, str, list[str]]]:
    for line in ("machine-id: {}", "machine id {}", "_MACHINE_ID={}", "id {}"):
        value = make.hex(32)
        yield "machine-id", line.format(value), [value]
    for line in (
        "Serial Number: {}",
        "serial={}",
        "usb 1-1: SerialNumber: {}",
        "Asset Tag: {}",
        '"serial": "{}"',
        "S/N: {}",
    ):
        value = f"{make.of(UPPER, 4)}{make.of(string.digits, 3)}{make.of(UPPER, 5)}"
        yield "serial", line.format(value), [value]
    for line in (
        "UUID={}",
        "uuid: {}",
        "EXT4-fs (sda1): mounted filesystem {} r/w",
        "[{}]",
        "PARTUUID={}",
        "id={};",
        "{}",
    ):
        value = make.uuid()
        yield "UUID", line.format(value), [value]
    value = make.uuid().upper()
    yield "UUID", f"System UUID: {value}", [value]
    for line in ("i-{}", "vol-{}", "eni-{}", "ami-{}", "instance-id: i-{}", "subnet-{} in vpc"):
        value = make.hex(17)
        yield "cloud", line.format(value), [value]
    value = f"{make.of(string.digits, 12)}"
    yield "ARN", f"arn:aws:iam::{value}:role/{make.word()}", [value]
    name = make.word()
    yield "ARN", f"assumed arn:aws:sts::1:assumed-role/{name}/x", [name]
    value = make.of(string.digits, 12)
    yield "registry", f"pull {value}.dkr.ecr.eu-west-1.amazonaws.com/x", [value]
    name = make.word()
    yield "project", f"projects/{name}-prod/zones/a", [name]
    name = make.word()
    yield "subscription", f"/subscriptions/{make.uuid()}/resourceGroups/{name}/x", [name]
    for line in ("wwn-0x5000{}", "naa.5000{}", "wwn: 0x5000{}", "disk 5000{} up", "WWN 5000{}", "eui.0025{}"):
        value = make.hex(12)
        yield "WWN", line.format(value), [value]
    value = ":".join(make.hex(4)[i : i + 2] for _ in range(3) for i in (0, 2))
    yield "WWN", f"host3: 50:00:{value}", [value]
    for line in ("SSID: {} WLAN", 'ESSID:"{} of Home"', "associated, ssid={}", 'ssid "{}"', "wlan0: SSID {}"):
        name = make.word()
        yield "SSID", line.format(name), [name]
    value = make.of(UPPER, 10)
    yield "disk", f"/dev/disk/by-id/ata-Samsung_SSD_860_{value}-part1", [value]
    name = make.word()
    yield "iSCSI", f"iqn.1993-08.org.debian:01:{name}", [name]
    name = make.word()
    yield "repository", f"clone https://github.com/{name}/private", [name]
    name = make.word()
    yield "image", f"docker.io/{name}/private:1", [name]


CLASSES: tuple[Callable[[Maker], Iterator[tuple[str, str, list[str]]]], ...] = (
    hosts, addresses, people, secrets, identities)  # fmt: skip


def planted(seed: int = 20261126) -> list[Planted]:
    make = Maker(seed)
    return [Planted(kind, line, tuple(pieces)) for of in CLASSES for kind, line, pieces in of(make)]
