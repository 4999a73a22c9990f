"""The outputs of a run on its page: streams in tabs, artifacts to download."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


def test_streams_have_tabs_and_artifacts_are_downloaded(console, server, tmp_path):
    run_id = server.schedule("apart", folder=str(tmp_path))
    page = console.open(f"/runs/{run_id}")
    output = page.locator(".run-out")
    expect(output.get_by_role("tab")).to_have_text(["output", "stdout", "stderr"])
    server.finished(run_id)
    lines = output.locator("ol.lines li")
    expect(lines).to_have_text(["a result", "a warning"])
    output.get_by_role("tab", name="stderr").click()
    expect(lines).to_have_text(["a warning"])
    output.get_by_role("tab", name="stdout").click()
    expect(lines).to_have_text(["a result"])
    with page.expect_download() as download:
        page.get_by_role("region", name="Artifacts").get_by_role("link").click()
    assert download.value.suggested_filename == "table.csv"
    assert download.value.path().read_text() == "1,2\n"
