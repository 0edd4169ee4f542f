"""Names of folders, from names of campaigns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import CountingIds
from ttrpg_mcp.play.campaigns import campaign_id


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Night Harbour", "night-harbour-"),
        ("Ärger im Paradies", "arger-im-paradies-"),
        ("日本語", "campaign-"),
        ("../../etc", "etc-"),
        ("x" * 80, "x" * 40 + "-"),
    ],
)
def test_the_id_is_readable_and_plain(name: str, slug: str) -> None:
    made = campaign_id(CountingIds(), name)

    assert made.startswith(slug)
    assert len(slug) + 6 == len(made)


@given(st.text(min_size=1, max_size=80))
def test_no_name_whatever_makes_an_id_that_is_a_path(name: str) -> None:
    made = campaign_id(CountingIds(), name)

    assert made.isascii()
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not made.startswith("-")
