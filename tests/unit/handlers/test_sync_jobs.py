from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.integrated_account import SyncJobs
from worker import ConfigError

ONE = "51b79ace-a7b4-4077-93ba-8048a06ece2b"
TWO = "79A39D69-E27E-49CB-B9A9-79F5EEA7AA26"


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        ("", {}),
        (" , ,", {}),
        (f"calcom={ONE}", {"calcom": ONE}),
        (f" calcom = {ONE} ,", {"calcom": ONE}),
        (f"calcom={ONE},hubspot={TWO}", {"calcom": ONE, "hubspot": TWO}),
        (f"*={ONE}", {"*": ONE}),
        (f"calcom={ONE},hubspot={ONE}", {"calcom": ONE, "hubspot": ONE}),
    ],
    ids=["empty", "commas", "one", "spaces", "two", "any", "shared"],
)
def test_a_good_value_is_read(text: str, jobs: dict[str, str]) -> None:
    assert SyncJobs.parse(text).by_integration == jobs


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("calcom", "calcom"),
        ("calcom=", "calcom="),
        (f"={ONE}", f"={ONE}"),
        (ONE, ONE),
        ("calcom=job-1", "calcom=job-1"),
        (f"calcom={{{ONE}}}", "calcom="),
        (f"calcom={ONE.replace('-', '')}", "calcom="),
        (f"calcom=urn:uuid:{ONE}", "calcom="),
        (f"calcom={ONE};hubspot={TWO}", "calcom="),
        (f"calcom={ONE},hubspot=x", "hubspot=x"),
        (f"calcom={ONE},calcom={TWO}", "there twice"),
    ],
    ids=[
        "no-job",
        "empty-job",
        "no-name",
        "bare",
        "no-uuid",
        "braces",
        "no-dashes",
        "urn",
        "semicolon",
        "second",
        "twice",
    ],
)
def test_a_bad_value_is_refused_naming_the_entry(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match="SYNC_JOBS") as caught:
        SyncJobs.parse(text)
    assert named in str(caught.value)


@given(text=st.text())
def test_no_value_fails_in_another_way(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(SyncJobs.parse(text), SyncJobs)


@pytest.mark.parametrize(
    ("integration", "job"), [("calcom", ONE), ("hubspot", TWO), ("Calcom", TWO), (None, TWO), ("", TWO)]
)
def test_the_own_job_of_an_integration_is_stronger_than_the_one_for_all(integration: str | None, job: str) -> None:
    assert SyncJobs.parse(f"*={TWO},calcom={ONE}").first_for(integration) == job


@pytest.mark.parametrize("integration", ["hubspot", None, ""])
def test_an_integration_without_a_job_has_none(integration: str | None) -> None:
    assert SyncJobs.parse(f"calcom={ONE}").first_for(integration) is None
