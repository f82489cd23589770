"""The command: the demo opens, shows its line, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, build_opener

import pytest
from click.testing import CliRunner

from admitgate import __version__, demo
from admitgate.board import Line, PlainLines, Table
from admitgate.cli import main
from admitgate.crowd import Browser, visitor

pytestmark = pytest.mark.usefixtures("redis_server")  # no Redis on this machine, no demo
here = Path(__file__).resolve().parent.parent


def until(is_true: Callable[[], object], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.05)


class Demo:
    """A running ``admitgate demo`` whose children can be told from any other's by their folder."""

    def __init__(self, process: subprocess.Popen[str], port: int, folder: Path) -> None:
        self.process = process
        self.address = f"http://127.0.0.1:{port}/"
        self.folder = folder

    def first_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def children(self) -> list[str]:
        """The command lines of all that was started, of whatever depth: all have TMPDIR from us."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                is_ours = os.fsencode(f"TMPDIR={self.folder}\0") in (entry / "environ").read_bytes()
                if is_ours and entry.name != str(self.process.pid):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def leaves_nothing(self) -> bool:
        return not self.children() and not list(self.folder.iterdir())


@contextmanager
def running(port: int, *options: str, before: Callable[[], object] | None = None) -> Iterator[Demo]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "admitgate", "demo", "--port", str(port), *options],
            env={**os.environ, "TMPDIR": folder},
            stdout=subprocess.PIPE,
            text=True,
            cwd=here,
            preexec_fn=before,
        )
        demo = Demo(process, port, Path(folder))
        with process:
            try:
                yield demo
            finally:
                process.kill()
                until(demo.leaves_nothing)


def person() -> OpenerDirector:
    return build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))


def status_and_page(person: OpenerDirector, url: str, form: dict[str, str] | None = None) -> tuple[int, str]:
    data = None if form is None else urlencode(form).encode()
    try:
        with person.open(url, data, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("site", ["flask", "django", "wsgi"])
def test_the_fourth_visitor_waits_and_goes_in_when_one_has_paid(site: str, free_port: int) -> None:
    """The demo's promise, on each of the sites."""
    with running(free_port, "--site", site) as demo:
        assert demo.address in demo.first_line()
        checkout = f"{demo.address}events/gala/checkout"
        people = [person() for _ in range(4)]
        pages = [status_and_page(someone, checkout) for someone in people]
        assert [status for status, _ in pages] == [200, 200, 200, 503]
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', pages[0][1]))
        form = {**hidden, "name": "Ada", "email": "ada@example.com", "seats": "2"}
        status, page = status_and_page(people[0], checkout, form)
        assert (status, "Thank you" in page) == (200, True)
        until(lambda: status_and_page(people[3], checkout)[0] == 200)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(15) == 0
        assert demo.leaves_nothing()


@pytest.mark.slow
def test_a_crowd_comes_waits_and_pays(free_port: int) -> None:
    with running(free_port, "--site", "wsgi", "--crowd", "12", "--capacity", "2") as demo:
        assert demo.process.stdout is not None
        admitted = re.compile(r"gala: .*[1-9]\d* in flight, .* [1-9]\d* in/min")
        assert any(map(admitted.search, demo.process.stdout))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 0, id="kill"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="kill -9"),
    ],
)
def test_however_it_ends_nothing_is_left(number: int, status: int, free_port: int) -> None:
    with running(free_port, "--site", "wsgi", "--crowd", "5") as demo:
        demo.first_line()
        for name in ("redis-server", "gunicorn", "admitgate.crowd"):  # a fork has its parent's name at first
            until(lambda name=name: name in " ".join(demo.children()), seconds=15)
        demo.process.send_signal(number)
        assert demo.process.wait(15) == status
        until(demo.leaves_nothing, seconds=15)


@pytest.mark.slow
def test_ctrl_c_reaches_a_background_job_of_a_script(free_port: int) -> None:
    """A shell without job control starts those with SIGINT ignored."""

    def ignore_ctrl_c() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with running(free_port, "--site", "wsgi", before=ignore_ctrl_c) as demo:
        demo.first_line()
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(15) == 0


def test_a_port_in_use_is_one_sentence_with_the_cure() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = CliRunner().invoke(main, ["demo", "--port", str(port)])
    assert result.exit_code == 1
    words = "is in use by another program: choose another with --port (make demo ARGS='--port 8001')."
    assert result.output == f"Error: Port {port} {words}\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(["--capacity", "-1"], "-1 is not in the range 0<=x<=100000", id="capacity below none"),
        pytest.param(["--capacity", "many"], "'many' is not a valid integer", id="capacity in words"),
        pytest.param(["--lease-seconds", "0"], "0 is not in the range 5<=x<=3600", id="no time to pay"),
        pytest.param(["--crowd", "9999"], "9999 is not in the range 0<=x<=2000", id="a crowd too large"),
        pytest.param(["--port", "70000"], "70000 is not in the range 1<=x<=65535", id="no such port"),
        pytest.param(["--site", "rails"], "'rails' is not one of", id="no such site"),
    ],
)
def test_a_value_of_no_use_is_refused(options: list[str], says: str) -> None:
    result = CliRunner().invoke(main, ["demo", *options])
    assert result.exit_code == 2
    assert says in result.output


def test_without_the_examples_it_says_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package can be installed without them."""
    monkeypatch.setattr(demo, "_code_folder", tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "comes with admitgate's source" in result.output


def test_without_gunicorn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert result.output == (
        "Error: The demo needs gunicorn, which is not installed: pip install 'admitgate[demo]'.\n"
    )


@pytest.mark.slow
def test_a_shop_that_can_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int
) -> None:
    site = tmp_path / "examples" / "wsgi_site"
    site.mkdir(parents=True)
    (site / "shop.py").write_text("raise RuntimeError('the till is broken')")
    (tmp_path / "admitgate").symlink_to(here / "admitgate")
    monkeypatch.setattr(demo, "_code_folder", tmp_path)
    result = CliRunner().invoke(main, ["demo", "--site", "wsgi", "--port", str(free_port)])
    assert result.exit_code == 1
    assert "RuntimeError: the till is broken" in result.output


def test_it_knows_its_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"admitgate, version {__version__}\n"


def line(**changes: object) -> Line:
    """An event's line that has moved by 30 since the board first saw it."""
    status = {
        "state": "waiting",
        "serving": 1_795_499_597_242_174,
        "issued": 1_795_499_597_242_250,
        "ready": 2,
        "waiting": 40,
        "leases": 3,
        "capacity": 3,
        "admitted_per_minute": 21.4,
    }
    line = Line("gala")
    line.take(status)
    line.take({**status, "serving": 1_795_499_597_242_204, **changes})
    return line


def test_a_line_is_told_in_small_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Ticket numbers have 16 digits and mean nothing to people."""
    PlainLines()([line()])
    assert capsys.readouterr().out == (
        "gala: waiting; 3 in flight, 0 free, 40 waiting, 2 ready, 30 serving, 21 in/min\n"
    )


def test_more_leases_than_room_leave_none_free(capsys: pytest.CaptureFixture[str]) -> None:
    """Capacity was lowered while the shop was full."""
    PlainLines()([line(leases=5, capacity=3)])
    assert "5 in flight, 0 free" in capsys.readouterr().out


def test_an_event_that_nobody_came_for_has_no_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    PlainLines()([line(leases=0, issued=0)])
    assert capsys.readouterr().out == ""


def test_the_table_is_redrawn_where_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    table = Table()
    unanswered = Line("river")
    table([line(), unanswered])
    first = capsys.readouterr().out
    table([line(), unanswered])
    second = capsys.readouterr().out
    assert second == f"\x1b[4F{first}"
    assert "\x1b[1m" not in first
    assert all(len(row) <= 79 for row in first.replace("\x1b[K", "").splitlines())
    assert "no answer" in first


def drawn(capsys: pytest.CaptureFixture[str], table: Table, *lines: Line) -> list[str]:
    """The rows of a table, with its head."""
    table(lines)
    return capsys.readouterr().out.replace("\x1b[K", "").splitlines()[1:]


@pytest.mark.parametrize(
    ("columns", "head"),
    [
        pytest.param(
            120,
            "event state in flight free waiting ready serving in/min waiting, 30 min",
            id="where there is room",
        ),
        pytest.param(80, "event state in flight waiting ready in/min waiting, 19 min", id="as most have it"),
        pytest.param(60, "event state in flight waiting waiting, 14 mi", id="on a telephone"),
        pytest.param(30, "event state in f", id="narrower still"),
    ],
)
def test_what_a_narrow_terminal_has_no_room_for_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, head: str
) -> None:
    """First what says least; what the line is doing is said in any case, and of its trail the newest part."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    gala = line()
    gala.trail = "".join(chr(ord("A") + minute % 26) for minute in range(30))
    names, figures = drawn(capsys, Table("waiting, {} min"), gala)
    assert names.split() == head.split()
    assert figures.split()[:2] == ["gala", "waiting"]
    assert columns < 60 or figures.endswith(gala.trail[-14:])
    assert max(map(len, (names, figures))) < columns


def test_a_table_is_never_taller_than_the_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be redrawn where it is. Events that nobody came for give way first."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LINES", "10")
    lines = [line(leases=0, issued=0) for _ in range(4)] + [line() for _ in range(5)]
    for number, each in enumerate(lines):
        each.event = f"event-{number}"
    _, *rows = drawn(capsys, Table(), *lines)
    assert [row.split()[0] for row in rows] == [f"event-{number}" for number in range(4, 9)] + ["and"]
    assert rows[-1] == "and 4 more"


def test_a_visitor_of_the_crowd_gives_up_when_there_is_no_shop(free_port: int) -> None:
    visit = visitor(Browser(f"http://127.0.0.1:{free_port}/"), "gala", random.Random(1))
    with pytest.raises(OSError, match="refused"):
        next(visit)
