"""Who may know whom: the core knows no framework and no Redis client; nobody pays for what they don't use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import admitgate

PACKAGE = Path(admitgate.__file__).parent
FRAMEWORKS = {"django", "flask", "asgiref", "starlette"}

# What each module may import besides the standard library. Tools beside the gate (demo, cli) are not here.
CORE = {
    "errors": "",
    "visit": "",
    "decision": "",
    "memory": "tokens",
    "known_events": "memory",
    "rules": "werkzeug known_events",
    "unknown": "page visit",
    "tokens": "itsdangerous errors",
    "brand": "",
    "clients": "",
    "keys": "",
    "config": "address brand clients decision errors keys rules",
    "cookies": "werkzeug config rules visit",
    "address": "",
    "hurry": "redis memory",
    "wire": "",
    "connections": "redis hurry memory",
    "connection": "redis connections errors hurry memory topology",
    "doctor/facts": "",
    "doctor/findings": "",
    "doctor/replication": "facts findings",
    "doctor/diagnosis": "facts findings replication",
    "doctor/weakness": "config findings keys",
    "start": "config doctor",
    "topology": "redis address connection connections errors hurry memory",
    "counter": "connection errors memory rules tokens wire",
    "admission": "rules tokens",
    "places": "decision memory rules",
    "gating": "errors rules",
    "endpoints": "config errors gating rules",
    "gate": "admission config cookies counter decision errors memory places rules tokens visit",
    "languages": "werkzeug visit",
    "words": "languages",
    "figures": "decision languages words",
    "policy": "",
    "template": "jinja2 markupsafe",
    "page": "jinja2 markupsafe werkzeug brand decision errors figures languages policy rules template visit"
    " words",
    "road": "config cookies decision page rules visit",
    "status": "_typeshed config cookies counter decision errors gate memory page road room rules tokens"
    " visit",
}


def imported(path: Path) -> set[str]:
    """The modules that a file imports: siblings by their name, others by their first."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return names - set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_what_its_table_says(module: str) -> None:
    """A new import here is a decision, not an accident."""
    assert imported(PACKAGE / f"{module}.py") <= set(CORE[module].split())


def test_redis_is_known_to_its_own_modules_only() -> None:
    """Everybody else is told Outage."""
    knowing = {path.stem for path in PACKAGE.rglob("*.py") if "redis" in imported(path)}
    assert knowing == {"hurry", "connections", "connection", "topology", "looking"}


def test_a_framework_is_known_to_its_own_edge_only() -> None:
    """django/ knows Django, flask.py knows Flask, nothing else knows either."""
    for path in PACKAGE.rglob("*.py"):
        own = {"django"} if path.parent.name == "django" else {path.stem} & {"flask"}
        assert imported(path) & FRAMEWORKS <= own, path


def test_no_clock_but_redis_and_the_monotonic_one() -> None:
    """A worker's wall clock may be an hour off; nothing about order or expiry may ask it.

    ``figures`` is what people read.
    """
    for module in sorted({*CORE, "edge", "middleware", "flask"} - {"figures"}):
        text = (PACKAGE / f"{module}.py").read_text("utf-8")
        assert not any(word in text for word in ("time.time(", ".now(", ".utcnow(", ".today(")), module


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        pytest.param("import admitgate", {"django", "flask", "playwright", "click"}, id="the package"),
        pytest.param("import admitgate.edge", {"admitgate.topology"}, id="one Redis"),
        pytest.param("import admitgate.edge", {"admitgate.doctor"}, id="no doctor"),
        pytest.param("import admitgate.flask", {"django"}, id="the Flask edge"),
        pytest.param("import admitgate.django", {"flask"}, id="the Django edge"),
    ],
)
def test_nobody_pays_for_a_framework_they_do_not_use(statement: str, absent: set[str]) -> None:
    """In a fresh interpreter."""
    program = f"import sys; {statement}; print(*sys.modules)"
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not absent & set(fresh.stdout.split())


def test_the_public_names() -> None:
    """The ones the README speaks of, and no others."""
    modules = {path.stem for path in PACKAGE.iterdir()}
    public = {name for name in vars(admitgate) if not name.startswith("_")} - modules
    assert public == {
        *("AdmitGate", "Admission", "Config", "Rule"),
        *("AdmitgateError", "BadToken", "ConfigError", "Outage"),
    }
