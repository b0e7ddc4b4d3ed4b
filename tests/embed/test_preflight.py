"""Scripts of partners' sites may ask for fragments and quotations with the validators that they have."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "path", ["/embed/fragment?lang=en", "/oembed?url=x", "/feeds/en/all.json", "/feeds/custom.json?q=a"]
)
async def test_a_preflight_is_answered_with_what_may_be_asked(press, path):
    status, headers, text = await press.answer(path, "OPTIONS", Origin="https://partner.example")
    assert (status, text) == (204, "")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Allow-Headers"] == "*"
    assert "GET" in headers["Access-Control-Allow-Methods"]
