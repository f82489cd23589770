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
    "decision": "draw",
    "draw": "",
    "schedule": "",
    "memory": "draw tokens",
    "asked": "memory",
    "capacity": "asked",
    "signals": "asked memory",
    "history": "wire",
    "levels": "errors history memory rules wire",
    "known_events": "asked memory",
    "names": "",
    "paths": "werkzeug",
    "rules": "capacity known_events names paths schedule",
    "matching": "werkzeug names paths rules",
    "unknown": "page visit",
    "tokens": "itsdangerous errors",
    "brand": "",
    "challenge": "altcha asked rules",
    "clients": "",
    "keys": "",
    "identity": "",
    "in_flight": "admission page visit",
    "config": "address asked brand challenge clients decision errors identity keys matching names paths rules"
    " signals",
    "cookies": "werkzeug config rules visit",
    "address": "",
    "hurry": "redis memory",
    "wire": "",
    "async_connection": "redis connections hurry",
    "async_client": "redis async_connection async_topology connection connections",
    "async_topology": "redis address async_client connections errors topology",
    "async_counter": "async_client connection counter errors memory",
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
    "admission": "memory rules tokens",
    "health": "memory rules",
    "live": "rules schedule",
    "levers": "control counter history levels live memory passes rules tokens wire",
    "control": "config connection counter errors levers memory names rules tokens wire",
    "metrics": "_typeshed prometheus_client werkzeug config control errors history levels memory middleware"
    " visit",
    "passes": "config counter errors gate names road rules tokens visit",
    "places": "decision memory rules",
    "gating": "capacity errors rules",
    "endpoints": "config errors gating matching names rules",
    "bearers": "admission clients config cookies counter errors identity rules tokens visit",
    "leaving": "admission bearers counter errors health memory rules tokens",
    "gate": "admission bearers config counter decision errors leaving matching memory places rules tokens"
    " visit",
    "languages": "werkzeug visit",
    "words": "languages",
    "figures": "decision draw languages words",
    "policy": "",
    "smaller": "",
    "template": "jinja2 markupsafe smaller",
    "page": "jinja2 markupsafe werkzeug brand decision draw errors figures languages policy rules template"
    " visit words",
    "road": "config cookies decision page rules visit",
    "console/charts": "markupsafe history",
    "console/sight": "control history live memory",
    "console/forms": "control live",
    "console/access": "itsdangerous werkzeug asked config cookies visit",
    "console/pages": "jinja2 markupsafe charts control forms live names policy sight template visit",
    "console/console": "access config control errors figures forms live memory names pages sight visit",
    "status": "_typeshed challenge config cookies counter decision draw errors gate memory page passes"
    " road room rules tokens visit",
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
    assert knowing == {
        "hurry",
        "connections",
        "connection",
        "topology",
        "looking",
        "async_connection",
        "async_client",
        "async_topology",
    }


def test_a_framework_is_known_to_its_own_edge_only() -> None:
    """django/ knows Django, flask.py knows Flask, nothing else knows either."""
    for path in PACKAGE.rglob("*.py"):
        is_django = "django" in path.relative_to(PACKAGE).parts
        own = {"django", "asgiref"} if is_django else {path.stem} & {"flask"}
        assert imported(path) & FRAMEWORKS <= own, path


def test_no_clock_but_redis_and_the_monotonic_one() -> None:
    """A worker's wall clock may be an hour off; nothing about order or expiry may ask it.

    ``figures`` is what people read; ``console/access`` is about operators, whose sessions are no visitor's.
    """
    for module in sorted(
        {*CORE, "edge", "async_edge", "asgi", "middleware", "flask"} - {"figures", "console/access"}
    ):
        text = (PACKAGE / f"{module}.py").read_text("utf-8")
        assert not any(word in text for word in ("time.time(", ".now(", ".utcnow(", ".today(")), module


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        pytest.param("import admitgate", {"django", "flask", "playwright", "click"}, id="the package"),
        pytest.param("import admitgate.edge", {"admitgate.topology"}, id="one Redis"),
        pytest.param(
            "import admitgate.asgi", {"django", "flask", "admitgate.async_topology"}, id="the ASGI edge"
        ),
        pytest.param("import admitgate.edge", {"admitgate.async_edge"}, id="no event loop"),
        pytest.param("import admitgate.edge", {"admitgate.doctor"}, id="no doctor"),
        pytest.param("import admitgate.middleware", {"pytest", "admitgate.testing"}, id="no tests"),
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
