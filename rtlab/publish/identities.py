"""What names one machine, disk, network or account in the world: it becomes a pseudonym."""

from __future__ import annotations

import re

from rtlab.publish.rule import Known, Rule

_WORD = (
    r"(?:product[_-]?|system[_-]?|part|fs)?uuid|machine[_ -]?id|serial(?:[_ -]?(?:number|no|short))?|s/n|wwn|wwid|"
    r"nguid|eui64|instance[_ -]?id|asset[_ -]?tag|subscription[_ -]?id|tenant[_ -]?id|account[_ -]?id|project[_ -]?id|"
    r"vm[_ -]?id|host[_ -]?id|device[_ -]?id|volume[_ -]?id|invocation[_ -]?id|imei|iccid|nqn|iqn"
)
# A key of a document under which whatever stands is such a name; boot ids are told apart before.
IDENTITY_KEY = re.compile(rf"[\w-]{{0,40}}(?:{_WORD}|e?ssid|bssid)", re.I)
BOOT_ID_KEY = re.compile(r"(?:[a-z]{1,20}_)?boot_id")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)


def _named(match: re.Match[str], known: Known) -> str:
    value = match[2]
    return match[0] if value.startswith("[") else f"{match[1]}{known.pseudonym(value)}"


def _whole(match: re.Match[str], known: Known) -> str:
    return match[0] if match[0].lower() in known.boot_ids else known.pseudonym(match[0])


def _mac(match: re.Match[str], _: Known) -> str:
    bare = match[0].lower()
    # Twelve digits alone are a number.
    return match[0] if bare.isdigit() else "[mac]"


RULES = (
    # A network's name may have blanks in it.
    Rule(
        kind="identity",
        pattern=re.compile(
            r"((?<![a-z])(?:e?ssid|bssid)\\{0,3}[\"']?\s{0,9}[=:]?\s{0,9}\\{0,3})"
            r"(\"[^\"\n]{1,64}\"|'[^'\n]{1,64}'|[^\s,;\"'\]=:\\][^\n,;\"'\]]{0,63})",
            re.I,
        ),
        new=_named,
    ),
    Rule(
        kind="identity",
        pattern=re.compile(
            rf"((?<![a-z])(?:{_WORD})[\"']?(?:\s{{0,9}}[=:]\s{{0,9}}|\s)[\"']?)((?=[^\s\d]{{0,60}}[\d\[])"
            rf"[^\s,;\"'\]]+(?:[ -][0-9a-f]{{2}}\b){{0,16}})",
            re.I,
        ),
        new=_named,
    ),
    Rule(
        kind="identity",
        pattern=re.compile(
            r"(?<=\baccount )\d{12}\b|\barn:aws[\w-]{0,10}:[^\s\"',;]{1,300}"
            r"|(?<![\w-])(?:i|vol|eni|ami|vpc|subnet|sg|snap|rtb|igw|nat|eipalloc|lt|fs)-(?:[0-9a-f]{17}|[0-9a-f]{8})(?![\w-])"
            r"|\bocid1\.[^\s\"',;]{1,300}|/subscriptions/[^\s\"',;]{1,300}|\bprojects/[a-z][\w-]{3,60}[^\s\"',;]{0,200}"
            r"|(?<![\w.])(?:(?:naa\.|eui\.|nvme\.|wwn-0x|wwn-)[0-9a-f]{16,40}|0x[56][0-9a-f]{15})(?!\w)"
            r"|(?<![\w])5[0-9a-f]{3}(?=[0-9a-f]{0,12}[a-f])[0-9a-f]{12}(?!\w)|(?<![\w:])(?:[0-9a-f]{2}:){7}[0-9a-f]{2}(?![\w:])"
            r"|\b(?:iqn|nqn)\.\d{4}-\d\d\.[^\s\"',;]{1,200}"
            r"|(?<=/by-id/)[^\s/\"',;]{1,200}|(?<=/by-uuid/)[^\s/\"',;]{1,200}|(?<=/by-partuuid/)[^\s/\"',;]{1,200}"
            r"|(?<=/by-label/)[^\s/\"',;]{1,200}",
            re.I,
        ),
        new=_whole,
    ),
    Rule(kind="identity", pattern=re.compile(rf"(?<![\w-]){UUID.pattern}(?![\w-])", re.I), new=_whole),
    # 32 hexadecimal digits: a machine-id, a UUID without its lines, a trace. rtlab's digests have 64, commits have 40.
    Rule(kind="identity", pattern=re.compile(r"(?<![0-9a-z:])[0-9a-f]{32}(?![\w-])", re.I), new=_whole),
    Rule(
        kind="mac",
        pattern=re.compile(
            r"(?<![\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4,18}(?![\w:-])"
            r"|(?<![\w.])(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}(?![\w.])"
            r"|(?<![\w:-])[0-9a-f]{4}([:-])[0-9a-f]{4}\2[0-9a-f]{4}(?![\w:-])"
            r"|(?<![\w:-])[0-9a-f]{6}[:-][0-9a-f]{6}(?![\w:-])"
            r"|(?:(?<=\benx)|(?<=\bwlx)|(?<=\bether )|(?<=\bmac[ =:]))[0-9a-f]{12}\b"
            r"|(?<![\w:])(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}(?![\w:])|(?<!\S)(?:[0-9a-f]{2} ){5}[0-9a-f]{2}(?!\S)",
            re.I,
        ),
    ),
    Rule(kind="mac", pattern=re.compile(r"(?<![\w.-])[0-9a-f]{12}(?![\w.-])|(?<=ether )\d{12}\b", re.I), new=_mac),
)
