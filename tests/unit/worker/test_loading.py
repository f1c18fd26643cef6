from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.worker.samples import an_event
from worker import ConfigError
from worker.loading import BUILT_IN_FOLDER, handler_folders, load_handlers, own_package
from worker.registry import registry

Write = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """In an empty folder, with nothing registered; the import system is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_handlers", {})
    monkeypatch.setattr(registry, "_ignored", [])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("team", "handlers")):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(path: str, source: str = "") -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(source))

    return write


HANDLER = """
    from events import Event
    from worker import Context, on

    @on("a:b")
    async def handle(event: Event, ctx: Context) -> None: ...
"""


def test_every_module_of_a_package_is_imported_at_any_depth(write: Write) -> None:
    write("team1/__init__.py", "")
    write("team1/crm/__init__.py", HANDLER)
    write("team1/crm/contacts.py", HANDLER)
    write("team1/plain.py", HANDLER)
    assert sorted(load_handlers(["team1"])) == ["team1", "team1.crm", "team1.crm.contacts", "team1.plain"]
    assert registry.get("team1.crm.contacts.handle") is not None
    assert len(registry) == 3


def test_a_single_module_will_do(write: Write) -> None:
    write("team2.py", HANDLER)
    assert load_handlers(["team2"]) == ["team2"]
    assert len(registry) == 1


def test_loading_twice_registers_once(write: Write) -> None:
    write("team3.py", HANDLER)
    load_handlers(["team3"])
    load_handlers(["team3", "team3"])
    assert len(registry) == 1


def test_the_current_folder_comes_first_on_the_path_and_only_once(tmp_path: Path) -> None:
    load_handlers([])
    load_handlers([])
    assert sys.path[0] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("import sys; sys.exit('set FOO')", "set FOO"),
        ("from worker import ConfigError\nraise ConfigError('SYNC_JOBS: x is wrong')", "SYNC_JOBS: x is wrong"),
        ("from worker import on\n@on\nasync def handle(event, ctx): ...", "is not a pattern"),
    ],
    ids=["missing", "raises", "syntax", "exits", "config", "bare-decorator"],
)
@pytest.mark.parametrize("place", ["team4.py", "team4/__init__.py", "team4/deep/__init__.py", "team4/deep/x.py"])
def test_a_broken_module_is_named_with_its_reason(write: Write, place: str, source: str, reason: str) -> None:
    for parent in Path(place).parents:
        if parent.name:
            write(f"{parent}/__init__.py", "")
    write(place, source)
    with pytest.raises(ConfigError) as caught:
        load_handlers(["team4"])
    name = place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"{name}" in str(caught.value)
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_faults_are_in_one_message(write: Write) -> None:
    write("team5/__init__.py", "")
    write("team5/a.py", "1 / 0")
    write("team5/b/__init__.py", "[][1]")
    write("team5/c.py", HANDLER)
    with pytest.raises(ConfigError) as caught:
        load_handlers(["team5", "team5_absent", ""])
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert ["team5.a" in lines[0], "team5.b" in lines[1], "team5_absent" in lines[2]] == [True] * 3


def test_a_module_that_breaks_after_registering_is_blamed_for_what_broke_it(write: Write) -> None:
    write("team6/__init__.py", "")
    write("team6/crm/__init__.py", dedent(HANDLER) + "1 / 0")
    with pytest.raises(ConfigError, match="ZeroDivisionError") as caught:
        load_handlers(["team6"])
    assert "registered twice" not in str(caught.value)


@pytest.fixture
def installed(write: Write, tmp_path: Path) -> None:
    """A package of handlers that is installed, as ours is."""
    write("installed/team9/__init__.py", "")
    write("installed/team9/ours.py", HANDLER)
    sys.path.append(str(tmp_path / "installed"))


@pytest.mark.usefixtures("installed")
def test_handlers_that_another_package_of_their_name_hides_are_a_fault(write: Write) -> None:
    write("team9/booking.py", "raise RuntimeError('nobody imports this')")
    with pytest.raises(ConfigError, match=r"HANDLERS: .*team9 has no __init__\.py.*: add an empty one"):
        load_handlers(["team9"])


def test_handlers_in_a_folder_without_init_are_loaded_where_nothing_hides_them(write: Write) -> None:
    write("team9/booking.py", HANDLER)
    assert load_handlers(["team9"]) == ["team9", "team9.booking"]


@pytest.mark.usefixtures("installed")
def test_a_folder_of_the_same_name_without_modules_is_nobody_s_handlers(write: Write) -> None:
    write("team9/notes.txt", "")
    assert load_handlers(["team9"]) == ["team9", "team9.ours"]


BOOKED = """
    from worker import on

    @on("booking:made")
    async def book(event, ctx): ...
"""


@pytest.fixture
def _built_in_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in handlers as if nobody had imported them."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "handlers"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("_built_in_anew")
@pytest.mark.parametrize("init", [True, False], ids=["with-init", "without-init"])
def test_a_folder_of_handlers_is_loaded_beside_the_built_in_ones(write: Write, *, init: bool) -> None:
    write("handlers/booking.py", BOOKED)
    if init:
        write("handlers/__init__.py", "")
    load_handlers(["handlers"])
    assert "handlers.booking.book" in registry.names()
    assert "handlers.integrated_account.start_first_sync" in registry.names()


@pytest.mark.usefixtures("_built_in_anew")
def test_a_module_of_ones_own_takes_the_place_of_the_built_in_one_of_its_name(write: Write) -> None:
    write("handlers/record.py", BOOKED)
    load_handlers(["handlers"])
    assert "handlers.record.book" in registry.names()
    assert "handlers.record.read_record" not in registry.names()


@pytest.mark.usefixtures("_built_in_anew")
def test_own_packages_come_beside_the_built_in_one(write: Write) -> None:
    write("team10/booking.py", BOOKED)
    load_handlers(["handlers", "team10"])
    assert {"team10.booking.book", "handlers.record.read_record"} <= set(registry.names())


@pytest.mark.usefixtures("_built_in_anew")
@pytest.mark.parametrize("off", ["-handlers.record", "-handlers.record.read_record", " - handlers.record"])
def test_a_built_in_handler_is_switched_off_by_name(off: str) -> None:
    load_handlers(["handlers", off])
    assert "handlers.record.read_record" not in registry.names()
    assert "handlers.integrated_account.start_first_sync" in registry.names()


@pytest.mark.usefixtures("_built_in_anew")
def test_a_module_that_is_switched_off_ignores_no_events(write: Write) -> None:
    load_handlers(["handlers", "-handlers.sync_job_run"])
    assert not registry.ignores(an_event("sync_job_run:created"))


@pytest.mark.usefixtures("_built_in_anew")
def test_what_cannot_be_switched_off_is_named_with_what_was_meant() -> None:
    with pytest.raises(
        ConfigError, match=r"no handlers\.record\.red_record to switch off; did you mean handlers\.record\.r"
    ):
        load_handlers(["handlers", "-handlers.record.red_record"])


def test_a_folder_below_a_folder_of_handlers_needs_no_init(write: Write) -> None:
    write("team11/crm/contacts.py", HANDLER)
    assert load_handlers(["team11"]) == ["team11", "team11.crm", "team11.crm.contacts"]


def test_a_missing_variable_of_the_environment_is_named_with_its_line(write: Write) -> None:
    write("team12/booking.py", "import os\n\nURL = os.environ['BOOKING_URL']")
    with pytest.raises(ConfigError) as caught:
        load_handlers(["team12"])
    assert "the environment has no BOOKING_URL (team12/booking.py, line 3)" in str(caught.value)


def test_an_error_at_import_names_the_line_of_the_teams_code(write: Write) -> None:
    write("team13/booking.py", "import json\n\njson.loads('{')")
    with pytest.raises(ConfigError, match=r"JSONDecodeError: .* \(team13/booking\.py, line 3\)"):
        load_handlers(["team13"])


def test_a_teams_package_that_ours_hides_is_named(write: Write, tmp_path: Path) -> None:
    write("events/__init__.py", "")
    write("events/booking.py", "")
    write("team14.py", "from events.booking import Booking")
    with pytest.raises(ConfigError, match=f"hides your {tmp_path / 'events'}: rename yours"):
        load_handlers(["team14"])


def test_the_watched_folders_are_those_from_which_handlers_are_loaded(write: Write, tmp_path: Path) -> None:
    write("handlers/booking.py", "")
    write("team15.py", "")
    assert handler_folders(["handlers", " no_such_package", "team15", "-handlers.record"]) == [
        str(tmp_path / "handlers"),
        str(BUILT_IN_FOLDER),
        str(tmp_path / "team15.py"),
    ]


def test_a_new_handler_belongs_into_the_first_package_of_ones_own() -> None:
    assert own_package(["handlers", "acme"]) == "acme"
    assert own_package(["handlers"]) == "handlers"
