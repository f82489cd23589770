"""Changes the scripts, and looks whether anybody notices."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest
import redis
from oracle import Violation
from play import Theatre
from virtual import Clock, hire_on

from admitgate import counter
from admitgate.memory import EventMemory


@dataclass(frozen=True)
class Mutant:
    """A rule that is taken out of a script, or bent; and who notices.

    Either the oracle, in some of the runs of ``mode`` with ``seeds``; or a test of one rule, ``scene``, where
    what the rule is for can't be seen by a crowd of this size and patience: "module.test", and its arguments.
    """

    rule: str
    file: str
    old: str
    new: str
    mode: str = ""
    seeds: Sequence[int] = range(6)
    scene: str = ""
    given: tuple[Any, ...] = ()

    def scripts(self) -> dict[str, str]:
        """The verbs, changed. Fails where the text isn't there exactly once: so that no mutant goes stale."""
        text = files("admitgate").joinpath(f"lua/{self.file}.lua").read_text("utf-8")
        assert text.count(self.old) == 1, f"{self.file}.lua has the text {text.count(self.old)} times"
        changed = text.replace(self.old, self.new)
        return {verb: source.replace(text, changed) for verb, source in counter.load_scripts().items()}

    def survives(self, theatre: Theatre, client: redis.Redis) -> bool:
        """True if nobody notices."""
        scripts = self.scripts()
        if self.scene:
            return passes(self.scene, self.given, scripts, client)
        return not any(_breaks_a_promise(theatre, self.mode, seed, scripts) for seed in self.seeds)


@dataclass(frozen=True)
class Forgetful:
    """A rule that a worker doesn't keep any more: a method of its memory, and what that says instead."""

    rule: str
    method: str
    says: Callable[..., Any]
    mode: str
    seeds: Sequence[int] = range(6)

    def survives(self, theatre: Theatre) -> bool:
        """True if nobody notices."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(EventMemory, self.method, self.says)
            return not any(_breaks_a_promise(theatre, self.mode, seed, None) for seed in self.seeds)


def _breaks_a_promise(theatre: Theatre, mode: str, seed: int, scripts: dict[str, str] | None) -> bool:
    try:
        theatre.play(mode, seed, scripts)
    except Violation:
        return True
    return False


def passes(scene: str, given: tuple[Any, ...], scripts: dict[str, str], client: redis.Redis) -> bool:
    """Whether a test of one rule, which knows nothing of this, is content with the changed scripts."""
    module_name, _, name = scene.partition(".")
    test = getattr(importlib.import_module(module_name), name)
    client.flushall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counter, "load_scripts", lambda: scripts)
        clock = Clock().run_workers(patch)
        props = {"hire": hire_on(client, clock), "redis_client": client, "clock": clock, "monkeypatch": patch}
        names = [name for name in inspect.signature(test).parameters if name not in props]
        try:
            test(
                **{name: props[name] for name in inspect.signature(test).parameters if name in props},
                **dict(zip(names, given, strict=True)),
            )
        except Exception:
            return False
    return True
