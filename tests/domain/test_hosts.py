"""What bounds for each host count by: one machine is one, however it is spelled."""

from __future__ import annotations

import pytest

from syndicator.domain.hosts import domain_of, host_of


@pytest.mark.parametrize(
    ("written", "host", "domain"),
    [
        ("Reader.Example.ORG", "reader.example.org", "example.org"),
        ("reader.example.org.", "reader.example.org", "example.org"),
        ("example.org", "example.org", "example.org"),
        ("a.b.reader.com.az", "a.b.reader.com.az", "reader.com.az"),
        ("reader.az", "reader.az", "reader.az"),
        ("www.migration.az", "www.migration.az", "migration.az"),
        ("localhost", "localhost", "localhost"),
        ("93.184.216.34", "93.184.216.34", "93.184.216.34"),
        ("::ffff:93.184.216.34", "93.184.216.34", "93.184.216.34"),
        ("[2606:2800:220:1:248:1893:25c8:1946]", "2606:2800:220:1::/64", "2606:2800:220:1::/64"),
        ("2606:2800:0220:0001::7", "2606:2800:220:1::/64", "2606:2800:220:1::/64"),
    ],
)
def test_one_host_is_one_however_it_is_spelled(written, host, domain):
    assert (host_of(written), domain_of(host_of(written))) == (host, domain)
