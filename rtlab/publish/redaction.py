"""What of a campaign may be published. Facts, testbed and spec leave by an allow-list of fields and shapes, texts are
searched. Pure: the names to look for are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from rtlab.model import CampaignSpec, EngineAt, Record, Testbed, Trial
from rtlab.publish.allowlist import (
    ANY,
    ARM,
    DETAILS,
    FACTS,
    HEX,
    IMAGE,
    KERNEL_LINE,
    KERNEL_WORD,
    NUMBER,
    TIME,
    UUID,
    WITHHELD,
    WORD,
)
from rtlab.publish.search import Search


class Redaction(Search):
    """A search that also knows which fields of a campaign's documents may leave.

    Attributes:
        withheld: Fields that were left out because no rule lets them leave: path -> how often.
    """

    def __init__(self, names: Iterable[str], machines: Iterable[str] = (), boot_ids: Iterable[str] = ()) -> None:
        super().__init__(names, machines, boot_ids)
        self.withheld: Counter[str] = Counter()

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
        # In these shapes there is no room for a name.
        return value if rule in (HEX, TIME, UUID) else self.text(value)

    def _fields(self, value: Any, rule: Mapping[Any, Any], path: str) -> Any:
        if not isinstance(value, Mapping):
            return self._withhold(path)
        kept: dict[str, Any] = {}
        for key, item in value.items():
            for name, inner in rule.items():
                if isinstance(name, str) and name == key:
                    shown, found = key, self.allowed(item, inner, f"{path}.{name}")
                elif not isinstance(name, str) and isinstance(key, str) and name.fullmatch(key):
                    shown, found = self.key(key), self.allowed(item, inner, f"{path}.*")
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
