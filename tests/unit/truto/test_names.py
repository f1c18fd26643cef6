"""What ``import truto`` gives, and what it does not wait for."""

import subprocess
import sys

import pytest

import truto


@pytest.mark.parametrize("name", truto.__all__)
def test_every_name_that_the_package_gives_is_there(name: str) -> None:
    assert getattr(truto, name) is not None


def test_a_name_that_it_does_not_give_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'truto' has no attribute 'Nothing'"):
        truto.Nothing  # noqa: B018


def test_events_signatures_and_errors_need_neither_httpx_nor_pydantic() -> None:
    code = "import sys, truto; truto.sign(b'', 'secret'); truto.NotFound; print({'httpx', 'pydantic'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
