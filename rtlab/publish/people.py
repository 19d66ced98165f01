"""Accounts and the folders that are called after them."""

from __future__ import annotations

import re

from rtlab.publish.rule import Known, Rule

# Keys of a document whose texts name an account.
ACCOUNT_KEY = re.compile(
    r"(?:[\w-]{0,40}[_-])?(?:user_?name|login|owner|author|account|user|real_?name|full_?name)", re.I
)

# A name may have a blank in it where another folder follows, in quotes up to their end, where each of its parts begins
# with a capital letter, and where nothing but one more word stands on the line.
_HOME = re.compile(
    r"(/(?:homes?|Users|export/home|var/home|run/media|media|var/mail|var/spool/mail|var/spool/cron/crontabs|"
    r"Documents and Settings)/|\b[a-z]:[\\/]{1,16}(?:Users|Documents and Settings)[\\/]{1,16}|"
    r"(?<!\\)\\{1,16}(?:Users|home)\\{1,16})"
    r"(?:(?<=['\"])[^'\"\n]{1,64}|(?:\\ |[^/\\\n\"':<>|]){1,64}(?=[/\\])"
    r"|[^/\\\s\"':<>|]{1,255}"
    r"(?:(?-i: [A-Z][\w.'-]{0,40}){1,4}|(?: [\w.-]{1,40}){0,3}(?=['\"])| [\w.-]{1,40}(?=\s*$))?)",
    re.I | re.M,
)
_NAME = r"[a-z_][\w.-]{0,63}\$?"


def _home(match: re.Match[str], known: Known) -> str:
    name = match[0][len(match[1]) :]
    return match[0] if name.startswith("[") or known.names_nobody(name) else f"{match[1]}[user]"


def _account(match: re.Match[str], known: Known) -> str:
    before, name = (group for group in match.groups() if group is not None)
    return match[0] if known.names_nobody(name) else f"{before}[account]"


RULES = (
    # Jane Doe <jane@example.org>: the name goes with the address.
    Rule(
        kind="account",
        pattern=re.compile(r"(?:(?<![\w.-])[\"]?[A-Z][\w.'-]{0,40}[\"]? ){1,4}<[^\s<>]{1,80}(?:@|%40)[^\s<>]{1,200}>"),
    ),
    Rule(
        kind="account",
        pattern=re.compile(
            r"(?<![^\s\"'=(\[,;/<>])[^\s@:/\"'=(\[,;<>]{1,64}:[^\s@/\"']{1,64}@[\w.-]+"
            r"|(?<![\w.+%-])[\w.+-]+(?:@|%40)(?!sha256:)[\w-]+(?:\.[\w-]+)*(?::(?=[a-z~])[\w./~-]+)?",
            re.I,
        ),
    ),
    Rule(kind="home", pattern=_HOME, new=_home),
    Rule(
        kind="home",
        pattern=re.compile(rf"(?<![\w/.])~(?=[a-z_])({_NAME})", re.I),
        new=lambda m, k: m[0] if k.names_nobody(m[1]) else "~[user]",
    ),
    Rule(
        kind="account",
        pattern=re.compile(
            rf"((?<![\w-])(?:[\w-]{{1,40}}[_-])?(?:user(?:name)?|login|owner|account|logname|sudo_user)"
            rf"[\"']?\s{{0,3}}[=:]\s{{0,3}}[\"']?)({_NAME})"
            rf"|((?<![\w-])(?:uid|gid|euid|egid|groups)=\d{{1,10}}\()({_NAME})(?=\))",
            re.I,
        ),
        new=_account,
    ),
    # ls -l: owner and group.
    Rule(
        kind="account",
        pattern=re.compile(
            rf"((?<![^\s\"'\[(])[dlbcps-][rwxsStT-]{{9}}[.+@]? {{1,9}}\d{{1,9}} {{1,9}})({_NAME} {{1,9}}{_NAME})", re.I
        ),
        new=lambda match, _: match[0] if match[2].split() == ["root", "root"] else f"{match[1]}[account] [account]",
    ),
    Rule(kind="account", pattern=re.compile(rf"(\bchown )({_NAME}:{_NAME})", re.I), new=_account),
    Rule(
        kind="account",
        pattern=re.compile(
            rf"(\b(?:for (?:invalid )?user |(?:by|as) user |opened for user |opened for |su: |sudo: |su - )\s{{0,6}})"
            rf"({_NAME})"
            rf"|(\blogin (?!failed|as\b|denied))({_NAME})(?= password)",
            re.I,
        ),
        new=_account,
    ),
)
