"""The line to the relay, and the one to Telegram, fail while a release goes out: who got it, and how often?"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from tests.faulty.dying import TRIES_AFTER
from tests.faulty.proxy import ProxyThread
from tests.program import mail_through, make_program, wait_for
from tests.relay import RelayProcess
from tests.soak import FIRST, Metered

PEOPLE = 25
OPEN = ("due", "sending", "deferred")


def delayed(line) -> None:
    line.tell("delay", 0.1)
    time.sleep(1)


def hanging(line) -> None:
    line.tell("hang")
    time.sleep(1.5)


def half_closed(line) -> None:
    line.tell("half_close", "down")


def reset(line) -> None:
    line.tell("cut")


def silent(line) -> None:
    """What is sent arrives, and no answer to it comes back; then the line is gone."""
    line.tell("one_way", "down")
    time.sleep(0.7)
    line.tell("refuse")


WHOLE = (delayed, hanging)  # nothing is lost on the line
FAULTS = (*WHOLE, half_closed, reset, silent) if "TEST_TIMES" in os.environ else (hanging, half_closed)
CUTS = (*WHOLE, reset) if "TEST_TIMES" in os.environ else (hanging, reset)


def publish(program, number: int) -> str:
    title = f"Notice number {number}"
    program.write(f"n{number}.en.txt", f"{title}\n\nA text for everyone.\n")
    return title


@pytest.mark.slow
def test_whatever_the_line_to_the_relay_does_everybody_gets_the_mail_and_only_what_was_in_flight_twice(tmp_path):
    relay = RelayProcess(tmp_path, delay=0.03)
    with ProxyThread(("127.0.0.1", relay.port)) as line:
        program = mail_through(make_program(tmp_path, warm=True), line.port)
        del program.environ["SYNDICATOR_TELEGRAM__CHANNELS"]
        program.environ[TRIES_AFTER] = "0.5"
        try:
            program.subscribe(*(f"r@d{n}.example.org,email,en,,immediate" for n in range(PEOPLE)))
            program.start()
            for number, fault in enumerate(FAULTS):
                title = publish(program, number)

                def got(title=title) -> Counter:
                    return Counter(address for address, subject, _ in relay.arrivals() if subject == title)

                wait_for(lambda got=got: got().total() > 3, f"the first mails, before: {fault.__name__}")
                fault(line)
                in_flight = program.count("sending", "deferred")
                assert title in program.titles()
                line.tell("mend")
                wait_for(lambda: not program.count(*OPEN), f"everybody to be told, after: {fault.__name__}", 90)
                assert len(got()) == PEOPLE, fault.__name__
                assert max(got().values()) <= 2, fault.__name__
                assert got().total() - PEOPLE <= in_flight, fault.__name__
                assert got().total() == PEOPLE or fault not in WHOLE, fault.__name__
        finally:
            program.stop()
            relay.stop()


@pytest.mark.slow
def test_whatever_the_line_to_telegram_does_everybody_gets_the_post_and_only_what_was_in_flight_is_in_doubt(tmp_path):
    double = Metered(tmp_path, PEOPLE)
    with ProxyThread(("127.0.0.1", double.port)) as line:
        program = double.post_for(make_program(tmp_path, warm=True))
        program.environ |= {"SYNDICATOR_TELEGRAM__API_ROOT": f"http://127.0.0.1:{line.port}", TRIES_AFTER: "0.5"}
        try:
            program.subscribe(*(f"{FIRST + n},telegram,en,,immediate" for n in range(PEOPLE)))
            program.start()
            for number, fault in enumerate(CUTS):
                title = publish(program, number)

                def got(title=title) -> Counter:
                    chats = (chat for _, chat, text in double.lines() if text and title in text)
                    return Counter(chat for chat in chats if isinstance(chat, int) and chat > 0)

                wait_for(lambda got=got: got().total() > 3, f"the first posts, before: {fault.__name__}")
                fault(line)
                in_flight = program.count("sending", "deferred", "unknown", channel="telegram")
                assert title in program.titles()
                line.tell("mend")
                wait_for(
                    lambda: not program.count(*OPEN, channel="telegram"), f"all posts, after: {fault.__name__}", 20
                )
                doubted = program.count("unknown", channel="telegram")
                assert max(got().values()) == 1, fault.__name__
                assert PEOPLE - len(got()) <= doubted <= in_flight + 2, fault.__name__
                assert not doubted or fault not in WHOLE, fault.__name__
        finally:
            program.stop()
            double.stop()
