from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from worker import ConfigError
from worker.loading import load_handlers
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
        if name.startswith("team"):
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
