"""Keys, passwords and tokens: by their own shape, or by the word before them.

The shapes are gitleaks' (leak-rules.toml, MIT licence) and, for a token that was cut short, its maker's prefix alone.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib import resources

from rtlab.publish.rule import Known, Rule, after_first_group

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PASSWORD = r"pass(?:word|wd|phrase|code)?|pwd|pw"
_WORD = (
    rf"(?:{_PASSWORD}|secret|token|credentials?|api[_-]?key|access[_-]?key|account[_-]?key|signing[_-]?key|"
    r"encryption[_-]?key|private[_-]?key|signature|sig|psk|webhook|auth)(?:[_-]?(?:key|id|hash|value|string))?"
)
# A key of a document under which whatever stands is a secret.
SECRET_KEY = re.compile(rf"(?:[\w-]{{0,60}}[_-])?{_WORD}|[\w-]{{0,60}}(?:password|secret|token|apikey)", re.I)
_QUOTED = r"\"(?:[^\"\\\n]|\\.){1,4000}\"|'[^'\n]{1,4000}'|\\\"[^\"\n]{1,4000}\\\""
# Not what was replaced already.
_VALUE = rf"(?!\[[a-z]{{1,9}}\])(?:{_QUOTED}|[^\s,;\"'\]]+)"
_NAME = rf"(?<![\w-])[\w-]{{0,60}}{_WORD}"
_PUBLIC_KEY = r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-[\w-]{1,30}|sk-[\w-]{1,40}@openssh\.com) AAAA[\w+/=]{8,}"

RULES = (
    Rule(kind="key", pattern=re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.S)),
    Rule(
        kind="key", pattern=re.compile(rf"{_PUBLIC_KEY}|\bSHA256:[A-Za-z0-9+/]{{43}}=?|\bMD5(?::[0-9a-f]{{2}}){{16}}")
    ),
    # A header's value is the rest of its line.
    Rule(
        kind="secret",
        pattern=re.compile(
            r"((?<![\w-])(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[a-z-]{0,40}(?:key|token|auth|signature))"
            r"[\"']?\s{0,3}[:=]\s{0,9}[\"']?)"
            r"(?:(?<=\")[^\"\n]{1,4000}|(?<=')[^'\n]{1,4000}|[^\s\"'][^\n]*)",
            re.I,
        ),
        new=after_first_group("secret"),
    ),
    # So is a password's, which may have blanks in it.
    Rule(
        kind="secret",
        pattern=re.compile(
            rf"(?m)((?<![\w-])[\w-]{{0,60}}(?:{_PASSWORD})[\"']?(?: for [\w@.-]{{1,80}})?: {{0,9}})"
            rf"(?:{_QUOTED}|[^\s\"'][^\n]*)",
            re.I,
        ),
        new=after_first_group("secret"),
    ),
    Rule(
        kind="secret",
        pattern=re.compile(
            rf"({_NAME}\\?[\"']?\s{{0,9}}(?:=>|:=|[=:])\s{{0,9}}(?:(?:bearer|basic) )?){_VALUE}"
            rf"|((?<![\w-])[a-z]{{0,20}}_proxy\s{{0,9}}[=:]\s{{0,9}}){_VALUE}"
            rf"|((?<![\w-])--?[\w-]{{0,40}}(?:passw(?:or)?d|passphrase|token|secret|api-?key|access-key)[ =]\s{{0,9}})"
            rf"{_VALUE}"
            r"|((?<!\S)(?:-u|--user|--proxy-user|-U)[ =]?)[^\s:]{1,80}:\S+"
            r"|(\b(?:bearer|basic)\s{1,9})(?=[a-z0-9+/._~-]{0,200}[0-9=])[^\s,;\"'\]]+"
            r"|(\b(?:password|passphrase|passwd)\s{1,9}(?!for\b|is\b|was\b|not\b|required\b|incorrect\b))[^\s,;:\"'\]]+"
            r"|(\bpassword (?:is|was)\s{1,9})[^\s,;\"'\]]+"
            rf"|(\b(?:sshpass|login|mysql\w{{0,10}}|mariadb\w{{0,10}}|redis-cli|ldap\w{{1,10}}|smbclient)\b[^\n]{{0,80}}"
            rf"\s-[pwa]\s?)(?![\s-]){_VALUE}",
            re.I,
        ),
        new=lambda match, _: next((g for g in match.groups() if g is not None), "") + "[secret]",
    ),
    # By the beginnings that their makers document, however long they are.
    Rule(
        kind="secret",
        pattern=re.compile(
            r"\b(?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks)/[^\s\"']{1,300}"
            r"|(?<![A-Za-z0-9])(?:(?:AKIA|ASIA|ABIA|ACCA|AGPA|AROA|AIDA)[0-9A-Z]{12,20}|gh[pousr]_[A-Za-z0-9]{10,255}"
            r"|github_pat_\w{10,255}|gl(?:pat|dt|rt|cbt|ptt|soat|ft|imt|agent)-[\w.-]{10,255}|xox[a-z]-[\w-]{8,255}"
            r"|xapp-[\w-]{8,255}|AIza[\w-]{20,60}|ya29\.[\w.-]{8,500}|1//0[\w-]{20,200}|GOCSPX-[\w-]{10,60}"
            r"|[srp]k_(?:live|test)_\w{10,255}|whsec_\w{10,255}|sk-[\w-]{16,255}|npm_[A-Za-z0-9]{20,60}|pypi-[\w-]{16,500}"
            r"|dckr_[a-z]{2,4}_[\w-]{10,100}|hf_[A-Za-z0-9]{16,60}|hv[sbr]\.[\w-]{10,300}|glsa_\w{16,100}"
            r"|do[opr]_v1_[0-9a-f]{16,80}|SG\.[\w-]{10,60}\.[\w-]{10,100}|AGE-SECRET-KEY-1[0-9A-Z]{10,100}"
            r"|cio[\w]{20,60}|PMAK-[\w-]{16,100}|shp(?:at|ca|pa|ss)_[0-9a-f]{16,60}|sq0[a-z]{3}-[\w-]{16,60}|EAA[\w]{40,300}"
            r"|tskey-[\w-]{10,100}|sha256~[\w-]{20,60}|[0-9]{8,10}:AA[\w-]{30,40}"
            r"|ey[JI][\w-]{8,4000}\.[\w-]{2,8000}(?:\.[\w-]{0,4000}){0,3}"
            r"|\$(?:1|2[abxy]|5|6|7|y|argon2id?)\$[\w./$=,+-]{8,200})"
        ),
    ),
)

# What is left as one long word of mixed signs may be a secret of any maker.
_LONG = re.compile(r"(?<![\w+/=.~-])[A-Za-z0-9+/_~-]{24,200}={0,2}(?![\w+/=~-])")
_LEAST_BITS = 3.7  # of 24 signs drawn from 64 all but 1 in 10,000 have more; words and paths seldom do


def _unlike_words(match: re.Match[str], _: Known) -> str:
    word = match[0]
    digits, upper = sum(c.isdigit() for c in word), sum("A" <= c <= "Z" for c in word)
    lower = sum("a" <= c <= "z" for c in word)
    runs = len(re.findall(r"[0-9]+|[A-Z]+|[a-z]+", word))
    count = Counter(word)
    bits = -sum(n / len(word) * math.log2(n / len(word)) for n in count.values())
    random = digits >= 1 and min(upper, lower) >= 2 and bits > _LEAST_BITS and runs >= len(word) / 4
    return "[secret]" if random else word


UNLIKE_WORDS = Rule(kind="secret", pattern=_LONG, new=_unlike_words)


def _but_its_surroundings(match: re.Match[str], _: Known) -> str:
    """A pattern's first group is the secret; what stands around it tells where it ends."""
    if not match.re.groups or match[1] is None:
        return "[secret]"
    begin, end = match.span(1)
    return match.string[match.start() : begin] + "[secret]" + match.string[end : match.end()]


@cache
def shapes() -> Mapping[str, tuple[str, ...]]:
    """gitleaks' patterns by the keywords, one of which stands in every text that they match."""
    text = resources.files("rtlab.publish").joinpath("leak-rules.toml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for rule in tomllib.loads(text)["rules"]:
        for keyword in rule["keywords"]:
            found.setdefault(keyword, []).append(rule["pattern"])
    return {keyword: tuple(patterns) for keyword, patterns in found.items()}


@cache
def _rule(pattern: str) -> Rule:
    return Rule(kind="secret", pattern=re.compile(pattern), new=_but_its_surroundings)


def shaped_rules(text: str) -> list[Rule]:
    """Those of gitleaks' rules that a text can match at all."""
    low = text.lower()
    patterns = {p: None for keyword in [k for k in shapes() if k in low] for p in shapes()[keyword]}
    return [_rule(pattern) for pattern in patterns]
