"""``admitgate preview``: every state in every language, with the page's own script and answers it reads."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_page import node
from werkzeug.test import Client

from admitgate import Config
from admitgate.languages import LANGUAGES
from admitgate.preview import SCENES, Preview
from admitgate.words import STATES

preview = Client(Preview())


def test_one_page_shows_every_state_in_every_language_and_scheme() -> None:
    """Each in a frame of its own, loaded when it comes into view."""
    index = preview.get("/").text
    frames = set(re.findall(r'src="/([\w-]+)/\?language=([\w-]+)&amp;scheme=(\w+)"', index))
    assert frames == {
        (scene, code, scheme) for scene in SCENES for code in LANGUAGES for scheme in ("light", "dark")
    }
    assert index.count("loading=lazy") == len(frames)


def test_no_state_is_left_out() -> None:
    """But the one that lasts for a moment."""
    assert set(STATES) - set(SCENES) == {"joining"}


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_is_the_page_itself(scene: str) -> None:
    """With its answers below it, which the page's script accepts."""
    page = preview.get(f"/{scene}/?language=de&scheme=dark").text
    assert '<html lang="de" dir="ltr">' in page
    assert "@media all" in page
    if scene == "left":
        return
    facts = json.loads(re.findall(r'id="admitgate">(.*?)</script>', page)[0])["facts"]
    answer = preview.get(facts["urls"]["status"])
    if SCENES[scene].status is None:
        assert answer.status_code == 500
        return
    program = 'const { isStatus } = require("./tests/js/script.js"); console.log(isStatus(%s, %s));'
    assert node("-e", program % (answer.text, json.dumps(facts["event"]))) == "true\n"


def test_it_shows_the_brand_of_the_settings() -> None:
    """And their template."""
    config = Config.from_options(
        {
            "secret_key": "a key for the tests, of no worth to anybody",
            "redis_url": "redis://nowhere",
            "rules": [{"path": "/buy", "capacity": 1}],
            "brand_name": "Lantern Hall",
            "template": lambda context: f"<html>{context['brand']['name']}",
        }
    )
    assert Client(Preview(config)).get("/waiting/").text == "<html>Lantern Hall"


def test_the_command_says_where_and_ends_with_ctrl_c() -> None:
    """It needs neither Redis nor settings."""
    command = [sys.executable, "-m", "admitgate", "preview", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout is not None
        assert re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "\nThe preview is closed.\n"
    assert process.returncode == 0


def test_settings_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    """In a sentence, with the exit status of what can't start."""
    command = [sys.executable, "-m", "admitgate", "preview", "--settings", "nowhere.at_all"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False)
    assert done.returncode == 2
    assert "nowhere.at_all" in done.stderr
    assert "Traceback" not in done.stderr
