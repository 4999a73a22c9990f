import pytest

from callsheet.jobs.names import AmbiguousJob, NoSuchJob, match_job_id

IDS = [
    "match prefix",
    "match prefix suffix",
    "shop/orders",
    "shop/report",
    "night/close-berlin",
    "a.b",
]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("match prefix", "match prefix"),
        ("suf", "match prefix suffix"),
        ("orders", "shop/orders"),
        ("rep shop", "shop/report"),
        ("berlin/ni", "night/close-berlin"),
        ("b.a", "a.b"),
    ],
)
def test_words_in_any_order_find_a_job(target, found):
    assert match_job_id(target, IDS) == found


@pytest.mark.parametrize("target", ["", "/", "nope", "Shop/orders", "rders", "shop/orders/x"])
def test_what_means_no_job_is_said_to(target):
    with pytest.raises(NoSuchJob) as caught:
        match_job_id(target, IDS)
    assert str(caught.value) == f"no job id match: {target}"


def test_what_means_several_names_them():
    with pytest.raises(AmbiguousJob) as caught:
        match_job_id("match pre", IDS)
    assert str(caught.value) == "ambiguous job id: match prefix, match prefix suffix"


def test_at_most_eight_are_named():
    with pytest.raises(AmbiguousJob) as caught:
        match_job_id("job", [f"job {number}" for number in range(9)])
    assert str(caught.value).endswith("job 6, job 7 …")
    assert len(caught.value.matches) == 9
