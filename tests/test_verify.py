"""``admitgate verify``: what anybody can find out about a draw, from what was published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from admitgate.cli import main
from admitgate.draw import Draw, drawn_number, place_in_draw, published, seed_hash
from admitgate.figures import reference

SEED, BORN = "5eed0fada7ab1e0ff1ce5eed0fada7ab", 1_795_511_700_000_000
DRAW = Draw(BORN, BORN + 1100, BORN + 400, BORN + 500)
HERE = ["--seed", SEED, "--count", "1000", "--ordinal", "7"]
AFTER = {"issued": BORN + 2000, "draw": published(DRAW, SEED)}


class Shop:
    """Answers everybody with the same, as a status does."""

    def __init__(self) -> None:
        self.body, self.status = b"", "200 OK"

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        start_response(self.status, [("Content-Type", "application/json")])
        return [self.body]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Shop, str]]:
    shop = Shop()
    with make_server("127.0.0.1", 0, shop) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield shop, f"http://127.0.0.1:{server.server_port}/_admitgate/status/gala"
        server.shutdown()
        thread.join()


@pytest.fixture
def shop(served: tuple[Shop, str]) -> Shop:
    served[0].body, served[0].status = json.dumps(AFTER).encode(), "200 OK"
    return served[0]


@pytest.fixture
def url(served: tuple[Shop, str]) -> str:
    return served[1]


def verify(*options: str) -> Result:
    return CliRunner().invoke(main, ["verify", *options])


def test_a_place_is_reckoned_from_the_seed_alone() -> None:
    """Without asking anybody."""
    done = verify(*HERE)
    assert done.exit_code == 0
    place = place_in_draw(SEED, 1000, 7)
    assert done.output == (
        f"Arrival 7 of 1,000 drew place {place}. The seed's SHA-256 is {seed_hash(SEED)}.\n"
    )


@pytest.mark.parametrize("hash_of", [str.lower, str.upper])
def test_the_seed_that_was_promised_is_recognised(hash_of: Any) -> None:
    """In capitals too."""
    assert verify(*HERE, "--hash", hash_of(seed_hash(SEED))).exit_code == 0


def test_a_seed_with_one_wrong_bit_is_found_out() -> None:
    """By its hash: the exit status says so, for scripts."""
    done = verify("--seed", SEED[:-1] + "a", *HERE[2:], "--hash", seed_hash(SEED))
    assert done.exit_code == 1
    assert done.output.startswith("The seed is not the one whose hash was promised: its own is ")


@pytest.mark.parametrize("ordinal", [1, 400, 401, 1000])
@pytest.mark.parametrize("way", ["number", "reference"])
def test_a_visitors_place_is_found_in_the_status(shop: Shop, url: str, ordinal: int, way: str) -> None:
    """By their number, or by the reference that their page shows; a hole counts for nobody."""
    number = BORN + ordinal + (100 if ordinal > 400 else 0)
    done = verify(url, f"--{way}", str(number) if way == "number" else reference(number), "--json")
    assert done.exit_code == 0
    assert json.loads(done.output) == {
        "seed": SEED,
        "count": 1000,
        "ordinal": ordinal,
        "place": drawn_number(DRAW, SEED, number) - BORN,
        "hash": seed_hash(SEED),
        "is_right": True,
    }


def test_who_came_after_the_draw_is_told_so(shop: Shop, url: str) -> None:
    """They have no place in it, and that is no mistake."""
    done = verify(url, "--number", str(BORN + 1101))
    assert (done.exit_code, done.output[:39]) == (0, "This number took no part in the draw: w")


def test_a_shop_that_publishes_another_seed_is_found_out(shop: Shop, url: str) -> None:
    """By the hash that it told itself, and by the one that somebody wrote down."""
    other = {**AFTER, "draw": {**published(DRAW, SEED[:-1] + "a"), "hash": seed_hash(SEED)}}
    shop.body = json.dumps(other).encode()
    assert verify(url, "--number", str(BORN + 1)).exit_code == 1
    shop.body = json.dumps(AFTER).encode()
    assert verify(url, "--number", str(BORN + 1), "--hash", "0" * 64).exit_code == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param([], "Give --seed, --count and --ordinal, or the URL", id="nothing"),
        pytest.param(HERE[:4], "Give --seed, --count and --ordinal, or the URL", id="half of it"),
        pytest.param([*HERE[:4], "--ordinal", "1001"], "from 1 to 1000", id="more than came"),
        pytest.param([*HERE[:4], "--ordinal", "0"], "from 1 to 1000", id="the arrival before the first"),
        pytest.param(["--seed", "a", "--count", "0", "--ordinal", "1"], "1 or more", id="nobody came"),
        pytest.param([*HERE, "--hash", "5eed"], "the 64 signs", id="no hash"),
        pytest.param(["--reference", "7K3-M9Q"], "need the URL of the status", id="a reference of nothing"),
        pytest.param(["shop.example"], "such as https://shop.example/", id="no URL"),
        pytest.param(["file:///etc/passwd", "--number", "1"], "such as https://", id="a file"),
        pytest.param(["http://127.0.0.1:1/", "--number", "1"], "can't be asked", id="nobody is there"),
    ],
)
def test_what_cannot_be_reckoned_is_said_with_its_cure(options: list[str], said: str) -> None:
    """In one sentence, with an exit status of its own."""
    done = verify(*options)
    assert done.exit_code == 2
    assert said in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "options", "said"),
    [
        pytest.param(AFTER, [], "Whose place?", id="nobody's place"),
        pytest.param(AFTER, ["--ordinal", "3"], "The status tells", id="an ordinal to what tells it"),
        pytest.param(AFTER, ["--reference", "7K3"], "is no reference", id="half a reference"),
        pytest.param({"issued": 5}, ["--number", "1"], "has no draw", id="an event without a draw"),
        pytest.param({"draw": {"hash": "ab"}}, ["--number", "1"], "still to come", id="before the draw"),
        pytest.param({"draw": {"seed": "ab"}}, ["--number", "1"], "no status", id="half a draw"),
        pytest.param([1], ["--number", "1"], "not with an event's status", id="another answer"),
        pytest.param("<html>", ["--number", "1"], "not with an event's status", id="a page"),
        pytest.param(None, ["--number", "1"], "answers 404 Not Found", id="no such event"),
    ],
)
def test_a_status_that_does_not_help(
    shop: Shop, url: str, status: Any, options: list[str], said: str
) -> None:
    """Is told in a sentence, too."""
    shop.body = status.encode() if isinstance(status, str) else json.dumps(status).encode()
    shop.status = "404 Not Found" if status is None else "200 OK"
    done = verify(url, *options)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output
