"""Many mails over one connection: which leave together, what one mail's trouble does to the others (nothing), and what
is told of each when the line breaks.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bots.email import smtp
from bots.email.addresses import Address
from bots.email.mails import Mail
from bots.email.pace import Limits, Pace
from bots.email.pace.limits import Ceiling
from bots.email.relay import line as waiting
from bots.email.relay import session as line
from bots.email.relay.queue import Batch, Job, Waiting
from bots.email.smtp import SmtpTransport
from syndicator.domain.letters import Gone, Later, Refused, Sent, Unknown
from tests.email.conftest import DROP, HANG, Relay

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
OK = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", "END": "250 ok", "BODY": ""}


def mails(count, *, size=200, domain="example.com"):
    data = b"Subject: x\r\n\r\n" + b"y" * (size % 70) + (b"z" * 68 + b"\r\n") * (size // 70)
    return [
        Mail("b@example.org", Address(f"r{n}@{domain}", utf8=False), f"m{n}@x", data + b"%d\r\n" % n)
        for n in range(count)
    ]


def kinds(outcomes):
    return [type(outcome).__name__ for outcome in outcomes]


def recipients(relay):
    return [to for _, to, _ in relay.taken]


async def groups(offers):
    """What arrives together, as the relay of a slow line sees it: each read, by its verbs."""
    seen = []

    class Slow(asyncio.Protocol):
        held = b""

        def connection_made(self, transport):
            self.transport = transport
            transport.write(b"220 hi\r\n")

        def data_received(self, data):
            verbs, replies = [], b""
            self.held += data
            while b"\r\n" in self.held:
                line, _, self.held = self.held.partition(b"\r\n")
                verb = line[:4].decode()
                if getattr(self, "in_data", False):
                    if line != b".":
                        continue
                    self.in_data, verb = False, "."
                verbs.append(verb)
                self.in_data = verb == "DATA"
                ehlo = "".join(f"250-{o}\r\n" for o in ("x", *offers)) + "250 HELP\r\n"
                replies += {"EHLO": ehlo.encode(), "DATA": b"354 go\r\n"}.get(verb, b"250 ok\r\n")
            seen.append(verbs)
            self.transport.write(replies)

    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = SmtpTransport("127.0.0.1", port, local_hostname="x", tls="none", connections=1, timeout=2)
    await transport.send(mails(1), NOW)
    seen.clear()
    got = await transport.send(mails(3), NOW)
    assert kinds(got) == ["Sent"] * 3
    shown = list(seen)
    await transport.close()
    server.close()
    await server.wait_closed()
    return shown


async def test_with_pipelining_a_body_and_the_next_envelope_leave_together():
    assert await groups(["PIPELINING"]) == [
        ["MAIL", "RCPT", "DATA"],
        [".", "MAIL", "RCPT", "DATA"],
        [".", "MAIL", "RCPT", "DATA"],
        ["."],
    ]


async def test_without_it_one_command_leaves_at_a_time():
    assert await groups([]) == [["MAIL"], ["RCPT"], ["DATA"], ["."]] * 3


FAULTS = [
    ("MAIL", "451 4.3.0 local error", Later),
    ("MAIL", "552 5.3.4 too big", Refused),
    ("RCPT", "550 5.1.1 no such user", Gone),
    ("RCPT", "450 4.2.0 greylisted", Later),
    ("RCPT", "452 4.2.2 mailbox full", Later),
    ("RCPT", "554 5.7.1 blocked by policy", Refused),
    ("DATA", "451 4.3.0 try again", Later),
    ("DATA", "554 5.5.1 no", Refused),
    ("END", "451 4.7.1 greylisted", Later),
    ("END", "554 5.7.1 looks like spam", Refused),
    ("RCPT", "421 4.7.0 too many from you", Later),
    ("END", "421 4.7.0 too many from you", Later),
    ("MAIL", DROP, Sent),  # nothing had been said about it: it goes again
    ("RCPT", DROP, Later),
    ("DATA", DROP, Later),
    ("BODY", DROP, Unknown),
    ("END", DROP, Unknown),
    ("END", HANG, Unknown),
    ("RCPT", HANG, Later),
    ("RCPT", "what is SMTP", Later),
    ("END", "what is SMTP", Unknown),
    ("END", "354 what", Unknown),
    ("MAIL", "354 what", Sent),
    ("RCPT", "354 what", Later),
    ("DATA", "250 what", Later),
]


@pytest.mark.parametrize("offers", [["PIPELINING"], []], ids=["pipelined", "plain"])
@pytest.mark.parametrize(("stage", "action", "outcome"), FAULTS)
async def test_one_mails_trouble_harms_nobody_else(relay, sender, stage, action, outcome, offers):
    relay.offers = offers
    relay.script = {stage: [OK[stage], OK[stage], action]}
    given = [mails(5, domain=f"d{n}.example")[n] for n in range(5)]
    got = await sender().send(given, NOW)
    assert [isinstance(one, Sent) for one in got] == [True, True, outcome is Sent, True, True], got
    assert type(got[2]) is outcome, got[2]
    assert sorted(recipients(relay)) == [f"r{n}@d{n}.example" for n, one in enumerate(got) if isinstance(one, Sent)]


@pytest.mark.parametrize(
    ("script", "void", "behind"),
    [
        ({"MAIL": ["250 ok", "451 4.3.0 no"]}, False, "MAIL"),
        ({"RCPT": ["250 ok", "550 5.1.1 no"]}, False, "RSET"),
        ({"RCPT": ["250 ok", "550 5.1.1 no"]}, True, "."),
        ({"DATA": ["354 go", "451 4.3.0 no"]}, False, "RSET"),
        ({"END": ["250 ok", "554 5.7.1 no"]}, False, "MAIL"),
    ],
)
async def test_a_transaction_is_reset_only_where_one_is_left_open(relay, sender, script, void, behind):
    relay.script, relay.takes_void = script, void
    got = await sender().send(mails(3), NOW)
    assert [isinstance(one, Sent) for one in got] == [True, False, True]
    assert relay.commands.count("RSET") == (behind == "RSET")
    assert relay.connections == 1
    assert len(relay.mails) == (3 if "END" in script else 2)


async def test_everybody_refused_and_data_taken_all_the_same_is_ended_by_a_lone_dot_each_time(relay, sender):
    relay.takes_void = True
    relay.script = {"RCPT": ["250 ok"] + ["550 5.1.1 no"] * 4}
    got = await sender().send(mails(6), NOW)
    assert kinds(got) == ["Sent", "Gone", "Gone", "Gone", "Gone", "Sent"]
    assert len(relay.mails) == 2
    assert relay.connections == 1


async def test_a_relay_that_knows_only_helo_gets_plain_commands(relay, sender):
    relay.script = {"EHLO": ["502 5.5.1 what"]}
    got = await sender().send(mails(2), NOW)
    assert kinds(got) == ["Sent", "Sent"]
    assert relay.commands[:3] == ["EHLO press.example.org", "HELO press.example.org", "MAIL FROM:<b@example.org>"]


async def test_dsn_is_asked_for_where_it_is_offered(relay, sender):
    relay.offers.append("DSN")
    await sender().send([replace(one, envelope_id="t0ken") for one in mails(1)], NOW)
    assert "MAIL FROM:<b@example.org> SIZE=217 RET=HDRS ENVID=t0ken" in relay.commands
    assert "RCPT TO:<r0@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;r0@example.com" in relay.commands


async def test_what_somebody_slips_in_behind_the_answer_to_starttls_is_not_believed(relay, sender, certificate):

    relay.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    relay.tls.load_cert_chain(certificate)
    relay.offers = ["STARTTLS", "SIZE 100000"]
    relay.script = {"STARTTLS": ["220 go\r\n250-relay.evil\r\n250 SIZE 1"]}
    trusting = ssl.create_default_context(cafile=str(certificate))
    got = await sender(tls="starttls", tls_context=trusting, timeout=3).send(mails(2), NOW)
    assert kinds(got) == ["Sent", "Sent"]
    assert any(line.startswith("MAIL FROM:<b@example.org> SIZE=") for line in relay.commands)


@pytest.mark.parametrize("tls", [False, True])
async def test_large_bodies_go_through_whole(relay, sender, certificate, tls):

    given = {"timeout": 5}
    if tls:
        relay.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        relay.tls.load_cert_chain(certificate)
        relay.offers.append("STARTTLS")
        given |= {"tls": "starttls", "tls_context": ssl.create_default_context(cafile=str(certificate))}
    many = mails(4, size=1_500_000)
    got = await sender(**given).send(many, NOW)
    assert kinds(got) == ["Sent"] * 4
    assert [mail.removesuffix(b".\r\n") for _, _, mail in relay.taken] == [one.data for one in many]


@pytest.mark.parametrize(
    ("script", "size", "outcome", "says"),
    [
        ({"DATA": ["354 go", "354 go\r\n250 2.0.0 taken"]}, 20_000_000, Later, "had not left"),
        ({"BODY": ["", "250 2.0.0 taken"]}, 20_000_000, Later, "had not left"),
        ({"DATA": ["354 go", "354 go\r\n250 2.0.0 taken"]}, 200, Unknown, "had left"),
    ],
)
async def test_nobody_has_taken_what_he_has_not_got(relay, sender, script, size, outcome, says):
    relay.script, relay.offers = script, ["PIPELINING"]
    got = await sender(timeout=5).send([*mails(1), *mails(1, size=size), *mails(1)], NOW)
    assert kinds(got) == ["Sent", outcome.__name__, "Sent"]
    assert "took the message before it had it" in got[1].reason
    assert says in got[1].reason


async def test_a_refusal_behind_the_leave_to_send_is_heard_and_ends_the_connection(relay, sender):
    relay.script = {"DATA": ["354 go\r\n552 5.3.4 too big"]}
    got = await sender().send(mails(2), NOW)
    assert kinds(got) == ["Refused", "Sent"]
    assert relay.connections == 2


class Impatient(Pace):
    """Has little patience with one domain."""

    def patience(self, domain):
        return 0.05 if domain == "slow.example" else 60


@pytest.mark.parametrize("before", [[], mails(1)], ids=["alone", "behind another"])
async def test_little_patience_is_had_at_once_however_much_there_was_before(relay, sender, before):
    relay.scripts = {"r0@slow.example": {"RCPT": [HANG]}}
    transport = sender(timeout=60, pace=Impatient(Limits()))
    async with asyncio.timeout(5):
        assert kinds(await transport.send(mails(3), NOW)) == ["Sent"] * 3
        got = await transport.send([*before, *mails(1, domain="slow.example")], NOW)
    assert "did not answer in time" in got[-1].reason


async def test_a_goodbye_is_waited_for_a_moment_only(relay, sender, monkeypatch):
    monkeypatch.setattr(line, "GOODBYE", 0.05)
    relay.script = {"QUIT": [HANG]}
    transport = sender(timeout=60)
    await transport.send(mails(1), NOW)
    async with asyncio.timeout(5):
        await transport.close()


async def test_a_mail_that_has_no_envelope_is_refused_and_the_others_go(relay, sender):
    given = mails(3)
    given[1] = replace(given[1], recipient=Address("r\udc80@example.com", utf8=False))
    got = await sender().send(given, NOW)
    assert kinds(got) == ["Sent", "Refused", "Sent"]
    assert recipients(relay) == ["r0@example.com", "r2@example.com"]


async def test_a_relay_that_reads_too_slowly_gets_no_mail_in_the_end(relay, sender):
    """The limit for a whole mail holds until its dot has left, however often something moves."""
    relay.script = {"MAIL": ["250 ok"], "BODY": ["", HANG]}
    relay.offers = ["PIPELINING"]
    got = await sender().send([*mails(1), *mails(1, size=30_000_000)], NOW)
    assert isinstance(got[1], Later)
    assert "had not left" in got[1].reason


async def test_a_domain_that_never_answered_holds_one_connection_and_nobody_waits_behind_it(relay, sender):
    relay.scripts = {f"r{n}@tarpit.example": {"RCPT": [HANG]} for n in range(20)}
    transport = sender(connections=4, timeout=0.6)
    await transport.send(mails(1), NOW)
    slow = asyncio.create_task(transport.send(mails(20, domain="tarpit.example"), NOW))
    await asyncio.sleep(0)
    got = await transport.send(mails(100), NOW)
    assert kinds(got) == ["Sent"] * 100
    assert not slow.done()
    held = await slow
    assert set(kinds(held)) == {"Later"}
    assert sum("did not answer" in one.reason for one in held) == 1
    assert sum(not one.counts and one.not_before > NOW for one in held) == 19


async def test_however_many_domains_never_answer_the_others_keep_half_of_the_connections(relay, sender):
    relay.scripts = {f"r0@{n}.tarpit.example": {"RCPT": [HANG]} for n in range(6)}
    transport = sender(connections=4, timeout=0.6)
    await transport.send(mails(1), NOW)
    silent = [one for n in range(6) for one in mails(1, domain=f"{n}.tarpit.example")]
    told: list[int] = []
    slow = asyncio.create_task(transport.send(silent, NOW, lambda place, _: told.append(place)))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while len(told) < 4:  # somebody answers all the time
            assert kinds(await transport.send(mails(20), NOW)) == ["Sent"] * 20
        held = await slow
    assert sorted(told) == list(range(6))
    put_off = [one for one in held if not one.counts]
    assert len(put_off) >= 4, "the others waited, and did not wait until time was out"
    assert len({one.not_before for one in put_off}) == len(put_off), "they do not come back together"


async def tried(number, answers, seconds=60):
    """Silent domains were there first, with four connections: when the healthy one behind them is asked first."""
    waiting, batch = Waiting(4, 3.0), Batch(number + 20, NOW)
    names = [f"{n}.tarpit.example" for n in range(number)] + ["example.com"] * 20
    waiting.jobs.extend(Job(None, batch, place, name, 60) for place, name in enumerate(names))
    if answers:
        waiting.over(Job(None, batch, 0, "other.example", 60), 0.0, answered=True)
    asked = []
    for now in range(seconds):
        for job in waiting.giving_way(asked, now, has_room=len(asked) < 4):
            asked.remove(job)
            waiting.over(job, now, answered=False, timed_out=True)
            waiting.rest(job.domain, now)
        put_off = waiting.silenced(now)
        waiting.jobs.extend(job for job in put_off if not waiting.was_silent(job.domain))  # those come back soon
        while len(asked) < 4 and (job := waiting.take(now)) is not None:
            if job.domain == "example.com":
                return now
            asked.append(job)
    return None


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 8])
async def test_who_comes_behind_silent_domains_is_tried_long_before_their_time_is_out(number, answers):
    assert await tried(number, answers) <= 3 * number


async def test_over_a_relay_that_takes_its_time_for_all_nobody_has_to_give_way():
    waiting, batch = Waiting(2, 3.0), Batch(9, NOW)
    waiting.jobs.extend(Job(None, batch, place, f"{place}.example", 60) for place in range(9))
    waiting.over(waiting.take(0.0), 5.0, answered=True)
    asked = [waiting.take(9.0)]
    assert waiting.giving_way(asked, 18.0, has_room=False) == []
    assert waiting.giving_way(asked, 19.0, has_room=False) == asked, "twice as long as answers take"


async def test_a_first_mail_that_is_kept_waiting_keeps_the_others_for_a_moment_only(relay, sender):
    relay.scripts = {"r0@tarpit.example": {"RCPT": [HANG]}}
    transport = sender(connections=3, timeout=0.6)
    slow = asyncio.create_task(transport.send(mails(1, domain="tarpit.example"), NOW))
    await asyncio.sleep(0)
    assert kinds(await transport.send(mails(10), NOW)) == ["Sent"] * 10
    assert not slow.done()
    assert kinds(await slow) == ["Later"]


async def test_what_comes_while_a_first_mail_is_kept_waiting_waits_for_a_moment_only(relay, sender, monkeypatch):
    monkeypatch.setattr(waiting, "QUIET", 0.1)
    relay.scripts = {"r0@tarpit.example": {"RCPT": [HANG]}}
    transport = sender(connections=4, timeout=60)
    slow = asyncio.create_task(transport.send(mails(1, domain="tarpit.example"), NOW))
    async with asyncio.timeout(5):
        while not any(one.startswith("RCPT") for one in relay.commands):
            await asyncio.sleep(0.001)
        got = await transport.send([replace(one, urgent=True) for one in mails(10)], NOW)
    assert kinds(got) == ["Sent"] * 10
    assert not slow.done()
    await transport.close()
    assert kinds(await slow) == ["Later"]


async def test_what_is_asked_by_a_clock_that_is_ahead_is_answered_while_the_relay_is_closed(relay, sender):
    """One lane asks with the time of before a step back, when the pause seems over; another asks with that of after."""
    relay.script = {"CONNECT": ["421 4.3.2 closed"]}
    transport = sender(timeout=60)
    await transport.send(mails(1), NOW)
    assert transport.ready_at(NOW) is not None
    ahead = asyncio.create_task(transport.send(mails(1), NOW + timedelta(minutes=2)))
    behind = asyncio.create_task(transport.send(mails(1), NOW))
    async with asyncio.timeout(5):
        got = [*await ahead, *await behind]
    assert [one.reason for one in got] == ["421 4.3.2 closed"] * 2


class Faulty(Pace):
    """Has a bug with one domain."""

    def admit(self, domain, now, **more):
        if domain == "bad.example":
            raise LookupError(domain)
        return super().admit(domain, now, **more)


@pytest.mark.parametrize("place", [0, 2])
async def test_a_bug_before_anything_left_leaves_nobody_in_doubt_and_nothing_behind(relay, sender, place):
    pace = Faulty(Limits(every=Ceiling(connections=50)))
    transport = sender(pace=pace)
    given = mails(4)
    given[place] = mails(1, domain="bad.example")[0]
    async with asyncio.timeout(5):
        assert kinds(await transport.send(given, NOW)) == ["Later"] * 4
        assert kinds(await transport.send(mails(1), NOW)) == ["Sent"]
    assert len(relay.mails) == 1


async def test_a_domain_that_answers_gets_every_connection(relay, sender):
    transport = sender(connections=4, timeout=4)
    relay.scripts = {f"r{n}@example.com": {"END": ["250 ok"]} for n in range(60)}
    got = await transport.send(mails(60), NOW)
    assert kinds(got) == ["Sent"] * 60
    assert relay.most_open == 4


async def test_a_stop_answers_what_is_known_and_leaves_the_rest_to_the_ledger(relay, sender, monkeypatch):
    monkeypatch.setattr(smtp, "DRAIN", 0.05)
    relay.script = {"END": ["250 ok", "250 ok", HANG]}
    transport = sender(timeout=30)
    sending = asyncio.create_task(transport.send(mails(6), NOW))
    async with asyncio.timeout(5):
        while len(relay.mails) < 3:
            await asyncio.sleep(0.001)
    sending.cancel()
    got = await sending
    assert kinds(got) == ["Sent", "Sent", "Unknown", "Later", "Later", "Later"]
    assert not any(one.counts for one in got[3:])


async def test_another_batch_on_the_same_connection_survives_a_stop(relay, sender, monkeypatch):
    monkeypatch.setattr(smtp, "DRAIN", 0.01)
    relay.scripts = {"r0@slow.example": {"END": [HANG]}}
    transport = sender(timeout=30)
    await transport.send(mails(1), NOW)
    stopped = asyncio.create_task(transport.send(mails(1, domain="slow.example"), NOW))
    kept = asyncio.create_task(transport.send(mails(3), NOW))
    async with asyncio.timeout(5):
        while len(relay.mails) < 2:
            await asyncio.sleep(0.001)
    stopped.cancel()
    assert kinds(await stopped) == ["Unknown"]
    assert kinds(await kept) == ["Sent"] * 3


@pytest.mark.parametrize("says", ["421 4.7.0 too many connections", "554 5.7.1 go away", "what is SMTP", DROP, HANG])
async def test_a_relay_that_takes_no_more_connections_keeps_those_it_has(relay, sender, monkeypatch, capsys, says):
    monkeypatch.setattr(waiting, "open_connection", partial(impatiently, waiting.open_connection))
    relay.script = {"CONNECT": ["220 hi", says, says]}
    transport = sender(connections=3, timeout=2)
    await transport.send(mails(1), NOW)
    got = await transport.send(mails(40), NOW)
    assert kinds(got) == ["Sent"] * 40
    out = ""
    async with asyncio.timeout(5):
        while out.count("relay takes no further connection") < 2:
            await asyncio.sleep(0.001)
            out += capsys.readouterr().out
    assert kinds(await transport.send(mails(40), NOW)) == ["Sent"] * 40
    assert transport.ready_at(NOW) is None
    assert relay.connections == 3
    assert kinds(await transport.send(mails(40), NOW + timedelta(seconds=61))) == ["Sent"] * 40
    assert relay.connections > 3, "it is tried again after a while"


async def impatiently(open_connection, client, patience, now):
    client.timeout = 0.05
    return await open_connection(client, patience, now)


async def test_a_mail_that_only_meets_dead_connections_waits_and_that_is_not_its_fault(relay, sender):
    relay.script = {"END": ["250 ok"] + [DROP] * 3}
    got = await sender().send(mails(6), NOW)
    assert kinds(got) == ["Sent", "Unknown", "Unknown", "Unknown", "Sent", "Sent"]


async def test_what_its_domain_cannot_take_now_waits_for_its_turn_and_uses_no_attempt(relay, sender):
    pace = Pace(Limits(domains={"slow.example": Ceiling(connections=2)}))
    transport = sender(pace=pace)
    got = await transport.send([*mails(4, domain="slow.example"), *mails(2)], NOW)
    assert [isinstance(one, Sent) for one in got][-2:] == [True, True]
    waits = [one for one in got if isinstance(one, Later)]
    assert waits
    assert all(not one.counts and one.not_before and one.not_before > NOW for one in waits)
    then = NOW + timedelta(hours=1)
    assert [pace.admit(domain, then) for domain in ("slow.example", "example.com")] == [None, None]


async def test_every_turn_that_was_taken_is_given_back_whatever_happens(relay, sender):
    pace = Pace(Limits(every=Ceiling(connections=50)))
    relay.script = {"MAIL": ["250 ok", "421 4.3.2 closed"], "RCPT": ["250 ok"]}
    transport = sender(pace=pace, connections=2)
    got = await transport.send(mails(20), NOW)
    assert {"Sent", "Later"} == set(kinds(got))
    then = NOW + timedelta(minutes=2)
    assert [pace.admit("example.com", then, urgent=True) for _ in range(51)].count(None) == 50
    assert transport.ready_at(NOW) == NOW + timedelta(seconds=60)


ACTIONS = {
    "MAIL": ["250 ok", "250 ok", "250 ok", "451 4.3.0 no", "550 5.7.1 no", DROP, "what"],
    "RCPT": ["250 ok", "250 ok", "250 ok", "450 4.2.0 no", "550 5.1.1 no", "421 4.7.0 slow", DROP, "354 what"],
    "DATA": ["354 go", "354 go", "354 go", "451 4.3.0 no", "554 5.5.1 no", DROP, "250 what"],
    "BODY": ["", "", "", DROP],
    "END": ["250 ok", "250 ok", "250 ok", "451 4.3.0 no", "554 5.7.1 no", "421 4.7.0 slow", DROP, "what"],
    "RSET": ["250 ok", "250 ok", "502 what", DROP],
}


@given(
    script=st.fixed_dictionaries(
        {stage: st.lists(st.sampled_from(does), max_size=6) for stage, does in ACTIONS.items()}
    ),
    pipelined=st.booleans(),
    void=st.booleans(),
    run=st.sampled_from([asyncio.run, uvloop.run]),
    connections=st.integers(1, 3),
    sizes=st.lists(st.sampled_from([100, 40_000]), min_size=8, max_size=8),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_relay_does_nobody_is_told_what_is_not_so(script, pipelined, void, run, connections, sizes):
    async def send():
        relay = Relay()
        relay.script, relay.takes_void = script, void
        relay.offers = ["PIPELINING"] if pipelined else []
        await relay.start()
        transport = SmtpTransport(
            "127.0.0.1", relay.port, local_hostname="x", tls="none", connections=connections, timeout=2
        )
        given = [mails(n + 1, size=size)[n] for n, size in enumerate(sizes)]
        async with asyncio.timeout(20):
            outcomes = await transport.send(given, NOW)
            await transport.close()
        await relay.stop()
        return outcomes, relay

    outcomes, relay = run(send())
    assert relay.faults == []
    taken = recipients(relay)
    assert len(outcomes) == len(sizes)
    for n, outcome in enumerate(outcomes):
        times = taken.count(f"r{n}@example.com")
        if isinstance(outcome, Sent):
            assert times == 1
            assert outcome.answer["message_id"] == f"<m{n}@x>"
        elif isinstance(outcome, Unknown):
            assert times <= 1
        else:
            assert times == 0, outcome
    for _, to, data in relay.taken:
        n = int(to.partition("@")[0][1:])
        assert data.removesuffix(b".\r\n") == mails(n + 1, size=sizes[n])[n].data
