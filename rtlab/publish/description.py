"""What stands beside a campaign in its archive: what was replaced, a citation, RO-Crate's metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rtlab
from rtlab import report
from rtlab.model import Json
from rtlab.publish.allowlist import TIME, shaped
from rtlab.publish.redaction import Redaction
from rtlab.store import Campaign

CRATE = "https://w3id.org/ro/crate/1.1"
# Names of withheld fields that may be told in the archive: any other name may itself be a secret.
TELLABLE = re.compile(
    r"(?:facts|testbed(?:\.machines|\.details)?|spec\.(?:images|parameters))(?:\.(?:\*|address|user|home|key_file|"
    r"known_hosts_file|netns|engine_socket|hostname|fqdn|machine_id|serial|network_interfaces|interfaces|mac|apt_sources|"
    r"proxy|environment|runtime_wiring|runtime_notes|unavailable_runtimes|reboots|scenario_name|scenario|kernel|reason|"
    r"kernel_command_line|words|distribution|cpu|model|microcode|docker|runtimes|images|path|version|arguments|components|"
    r"security|timeline|engine_id))*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What an archive says of itself."""

    name: str
    title: str
    moment: str
    authors: tuple[str, ...]
    licence: str


def moment_of(campaign: Campaign) -> str:
    """When the campaign began: the archive's own date, so that it does not depend on when it was packed."""
    return shaped(campaign.header.get("created_at"), TIME) or "1970-01-01T00:00:00Z"


def title_of(built: report.Report) -> str:
    runtimes = " and ".join(built.titles[r] for r in built.spec.runtimes)
    return f"{', '.join(built.spec.experiments)} of containers under {runtimes}, measured on {built.where}"


def told(redaction: Redaction, different: set[str]) -> dict[str, Json]:
    """redacted.json: names of fields only where the name itself tells nothing."""
    fields: dict[str, int] = {}
    others = 0
    for path, number in redaction.withheld.items():
        if TELLABLE.fullmatch(path):
            fields[path] = fields.get(path, 0) + number
        else:
            others += number
    return {
        "how": "Facts, testbed and spec hold only what is on rtlab's allow-list. Raw files and messages were searched "
        "for names of accounts and hosts, addresses, URLs, domains, home folders and secrets. A raw file in which "
        "something was replaced has another SHA-256 than what was measured; original-sha256.txt lists the originals.",
        "replaced_in_texts": {k: n for k, n in sorted(redaction.replaced.items()) if n},
        "withheld_fields": {k: n for k, n in sorted(fields.items()) if n},
        "withheld_other_fields": others,
        "machines_with_pseudonyms": sum(1 for old, new in redaction.machines.items() if old != new),
        "raw_files_changed": sorted(different),
    }


def readme(about: About, found: Mapping[str, Any]) -> str:
    changed = len(found["raw_files_changed"])
    verbatim = "Every raw file is as it was measured." if not changed else f"{changed} raw files are not as measured."
    return f"""# {about.title}

Raw files, records and report of a campaign of rtlab {rtlab.__version__}, begun {about.moment}.

    rtlab report {about.name}
    rtlab verify {about.name}

`{about.name}/report/index.html` shows everything without rtlab. {verbatim}
`redacted.json` says what was replaced or left out before publishing, `original-sha256.txt` has the SHA-256 of each raw
file as it was measured. The folder above is a BagIt bag: `sha256sum -c manifest-sha256.txt` there checks every file.
"""


def citation(about: About) -> str:
    """CITATION.cff 1.2.0; JSON's texts are YAML's."""
    lines = [
        "cff-version: 1.2.0",
        "message: Please cite this data set as below.",
        "type: dataset",
        f"title: {json.dumps(about.title)}",
        f"date-released: {about.moment[:10]}",
        *([f"license: {about.licence}"] if about.licence else []),
        "authors:",
    ]
    for author in about.authors:
        family, comma, given = (part.strip() for part in author.partition(","))
        if comma and family and given:
            lines += [f"  - family-names: {json.dumps(family)}", f"    given-names: {json.dumps(given)}"]
        else:
            lines.append(f"  - name: {json.dumps(author)}")
    if not about.authors:
        lines.append('  - name: "The authors of this campaign"')
    return "\n".join(lines) + "\n"


TYPES = {".json": "application/json", ".csv": "text/csv", ".html": "text/html", ".md": "text/markdown"}
TYPES |= {".svg": "image/svg+xml", ".txt": "text/plain", ".cff": "application/yaml", ".jsonl": "application/jsonl"}
TYPES |= {".pdf": "application/pdf", ".tex": "application/x-tex", ".parquet": "application/vnd.apache.parquet"}


def crate(about: About, data: Path, built: report.Report) -> dict[str, Json]:
    """RO-Crate 1.1: the folder ``data`` is its root. Trials are described as a folder; the manifest lists each file."""
    parts: list[dict[str, Any]] = []
    for file in sorted(p for p in data.rglob("*") if p.is_file() and "trials" not in p.relative_to(data).parts):
        path = file.relative_to(data).as_posix()
        kind = TYPES.get(file.suffix, "application/octet-stream")
        parts.append(
            {
                "@id": path,
                "@type": "File",
                "name": file.name,
                "encodingFormat": kind,
                "contentSize": str(file.stat().st_size),
            }
        )
    parts.append(
        {
            "@id": f"{about.name}/trials/",
            "@type": "Dataset",
            "name": "trials",
            "description": "One folder per trial: its record, and stdout, stderr and probe.json as they were given.",
        }
    )
    people = [
        {"@id": f"#author-{n}", "@type": "Person", "name": author} for n, author in enumerate(about.authors, 1)
    ] or [{"@id": "#author-1", "@type": "Organization", "name": "The authors of this campaign"}]
    licence: dict[str, Any] = {
        "@id": f"https://spdx.org/licenses/{about.licence}" if about.licence else "#no-licence",
        "@type": "CreativeWork",
        "name": about.licence or "No licence is granted",
        "description": "" if about.licence else "Ask the authors before you use it further.",
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": about.title,
        "description": f"{built.meaning} {built.design()}",
        "datePublished": about.moment[:10],
        "license": {"@id": licence["@id"]},
        "author": [{"@id": p["@id"]} for p in people],
        "hasPart": [{"@id": p["@id"]} for p in parts],
        "mentions": {"@id": "#campaign"},
    }
    action = {
        "@id": "#campaign",
        "@type": "CreateAction",
        "name": "rtlab bench",
        "startTime": about.moment,
        "instrument": {"@id": "#rtlab"},
        "result": {"@id": "./"},
    }
    tool = {"@id": "#rtlab", "@type": "SoftwareApplication", "name": "rtlab", "version": rtlab.__version__}
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": CRATE},
        "about": {"@id": "./"},
    }
    return {"@context": f"{CRATE}/context", "@graph": [descriptor, root, *parts, *people, licence, action, tool]}
