"""The example board and alerts name what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from sites import CHECKOUT_RULE, KEY

from admitgate import Config
from admitgate.control import Control
from admitgate.counter import event_keys
from admitgate.levels import STATES
from admitgate.metrics import Collector

FOLDER = Path(__file__).parents[1] / "examples" / "monitoring"
BOARD = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
GROUPS = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
ALERTS = [rule for group in GROUPS for rule in group["rules"]]
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
VARIABLES = [variable["query"] for variable in BOARD["templating"]["list"]]

of_ours = re.compile(r"admitgate_\w+").findall


@pytest.fixture
def known(redis_url: str, redis_client: redis.Redis) -> set[str]:
    """The name of every sample that a scrape has."""
    redis_client.hset(event_keys("admitgate", "gala").line, mapping={"event": "gala"})
    rule = CHECKOUT_RULE | {"ramp_seconds": 1}
    config = Config.from_options({"rules": [rule], "secret_key": KEY, "redis_url": redis_url})
    families = Collector(Control.of(config)).collect()
    return {sample.name for family in families for sample in family.samples}


@pytest.mark.parametrize("query", [*QUERIES, *VARIABLES, *(alert["expr"] for alert in ALERTS)])
def test_a_query_names_metrics_that_there_are(query: str, known: set[str]) -> None:
    """A name that was changed would leave an empty panel, or an alert that never comes."""
    assert set(of_ours(query)) <= known
    assert query.count("(") == query.count(")")


def test_every_metric_is_on_the_board(known: set[str]) -> None:
    """Or it is one that a panel reckons from others."""
    shown = set(of_ours(" ".join(QUERIES)))
    assert known - shown == {"admitgate_free_slots"}


def test_states_are_those_that_there_are() -> None:
    """In alerts, and in what the board says of them."""
    named = re.findall(r'state=~?"([a-z|]+)"', " ".join(alert["expr"] for alert in ALERTS))
    assert {state for names in named for state in names.split("|")} <= set(STATES)
    described = next(panel for panel in BOARD["panels"] if panel["title"] == "What it does")["description"]
    assert set(described.split(", ")) == set(STATES)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_says_what_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    """Whoever is woken up reads two sentences."""
    assert alert["labels"]["severity"] in ("page", "warn")
    assert alert["for"]
    assert set(alert["annotations"]) == {"summary", "description"}
    assert (
        "by (event)" not in alert["expr"]
        or "event" in alert["annotations"]["summary"]
        or "le" in alert["expr"]
    )


def test_panels_do_not_lie_on_each_other() -> None:
    """Each has its place on the grid, and an id."""
    places = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        fields = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not fields & places
        assert all(0 <= x < 24 for x, _ in fields)
        places |= fields
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


@pytest.mark.parametrize("words", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")])
def test_prometheus_own_tool_agrees(words: tuple[str, ...]) -> None:
    """Where it is installed (Debian's package ``prometheus``): it reads the rules, and tries them."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: 'apt install prometheus' (Debian)")
    done = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
