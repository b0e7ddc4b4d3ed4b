"""Mails that come back, in the forms that mail servers give them: written here, after what each of them sends."""

from __future__ import annotations

from textwrap import dedent

READER = "reader@example.org"


def mail(head: str, *body: str) -> bytes:
    """Headers and body as they come over the wire."""
    return "\r\n".join([*dedent(head).strip().splitlines(), "", *body, ""]).encode("utf-8", "surrogateescape")


def ours(token: str = "", link: str = "", leave: str = "") -> str:
    """The headers of a mail of ours as a server gives them back."""
    lines = ["Subject: =?utf-8?q?Yeni_r=C3=BCsumlar?=", "Message-ID: <0123abcd@press.example.org>", f"To: {READER}"]
    if token:
        lines.insert(0, f"Return-Path: <bounces+{token}@press.example.org>")
    ways = [f"<https://press.example.org/unsubscribe/{link}>"] * bool(link)
    ways += [f"<mailto:unsubscribe+{leave}@press.example.org>"] * bool(leave)
    return "\r\n".join([*lines, *([f"List-Unsubscribe: {', '.join(ways)}"] if ways else [])])


def dsn(
    *recipients: str,
    envelope_id: str = "",
    returned: str = "",
    kind: str = "message/delivery-status",
    text: str = "Your mail could not be delivered.",
    sender: str = "MAILER-DAEMON@mx.example.net",
    returned_as: str = "text/rfc822-headers",
) -> bytes:
    """A report of delivery (RFC 3464) with these blocks of recipients."""
    first = "Reporting-MTA: dns; mx.example.net" + f"\r\nOriginal-Envelope-Id: {envelope_id}" * bool(envelope_id)
    status = "\r\n\r\n".join([first, *("\r\n".join(dedent(one).strip().splitlines()) for one in recipients)])
    return mail(
        f"""
        From: Mail Delivery System <{sender}>
        To: bounces@press.example.org
        Subject: Undelivered Mail Returned to Sender
        Auto-Submitted: auto-replied
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status;
         boundary="=_b1/mx.example.net"
        """,
        "This is a MIME-encapsulated message.",
        "",
        "--=_b1/mx.example.net",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        text,
        "",
        "--=_b1/mx.example.net",
        "Content-Description: Delivery report",
        f"Content-Type: {kind}",
        "",
        status,
        "",
        "--=_b1/mx.example.net",
        f"Content-Type: {returned_as}",
        "",
        returned,
        "",
        "--=_b1/mx.example.net--",
    )


FAILED = """
    Final-Recipient: rfc822; reader@example.org
    Original-Recipient: rfc822;reader@example.org
    Action: failed
    Status: 5.1.1
    Remote-MTA: dns; mx.example.org
    Diagnostic-Code: smtp; 550 5.1.1 <reader@example.org>: Recipient address
        rejected: User unknown in virtual mailbox table
"""

# server: (blocks, kind, status, addresses)
REPORTS = {
    "Postfix": ((FAILED,), "hard", "5.1.1", (READER,)),
    "Exim": (
        (
            """
            Action: failed
            Final-Recipient: rfc822;reader@example.org
            Status: 5.0.0
            Remote-MTA: dns; mx.example.org
            Diagnostic-Code: smtp; 550 5.1.1 no mailbox of that name
            """,
        ),
        "hard",
        "5.1.1",
        (READER,),
    ),
    "Exchange": (
        (
            """
            Final-Recipient: rfc822;reader@example.org
            Action: failed
            Status: 5.1.10
            Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
            X-Display-Name: Reader
            """,
        ),
        "hard",
        "5.1.10",
        (READER,),
    ),
    "Gmail": (
        (
            """
            Final-Recipient: rfc822; reader@example.org
            Action: failed
            Status: 5.2.2
            Remote-MTA: dns; gmail-smtp-in.example.com. (192.0.2.27, the server for the domain example.org.)
            Diagnostic-Code: smtp; 552-5.2.2 The recipient's inbox is out of storage space.
            Last-Attempt-Date: Sun, 22 Nov 2026 00:00:00 -0800 (PST)
            """,
        ),
        "soft",
        "5.2.2",
        (READER,),
    ),
    "Sendmail": (
        (
            """
            Final-Recipient: RFC822; reader@example.org
            Action: failed
            Status: 5.1.2
            Remote-MTA: DNS; example.org
            Last-Attempt-Date: Sun, 22 Nov 2026 08:00:00 GMT
            """,
        ),
        "hard",
        "5.1.2",
        (READER,),
    ),
    "Amazon SES": (
        (
            """
            Action: failed
            Final-Recipient: rfc822; reader@example.org
            Diagnostic-Code: smtp; 554 5.7.1 Message rejected under suspicion of SPAM
            Status: 5.7.1
            """,
        ),
        "policy",
        "5.7.1",
        (READER,),
    ),
    "mail.ru": (
        (
            """
            Final-Recipient: rfc822; reader@example.org
            Action: failed
            Status: 5.0.0
            Diagnostic-Code: smtp; 550 Message was not accepted -- invalid mailbox. Local mailbox reader@example.org is
             unavailable: user not found
            """,
        ),
        "hard",
        "5.0.0",
        (READER,),
    ),
    "Yandex": (
        (
            """
            Final-Recipient: rfc822; reader@example.org
            Action: failed
            Status: 5.7.1
            Diagnostic-Code: smtp; 550 5.7.1 No such user!
            """,
        ),
        "hard",
        "5.7.1",
        (READER,),
    ),
    "OpenSMTPD": (
        (
            """
            Final-Recipient: rfc822; reader@example.org
            Action: error
            Status: 4.4.7
            """,
        ),
        "soft",
        "4.4.7",
        (READER,),
    ),
    "a forwarder": (
        (
            """
            Original-Recipient: rfc822;reader@example.org
            Final-Recipient: rfc822;elsewhere@forwarded.example
            Action: failed
            Status: 5.1.1 (bad destination mailbox address)
            """,
        ),
        "hard",
        "5.1.1",
        (READER, "elsewhere@forwarded.example"),
    ),
    "two recipients, one of them taken": (
        (
            """
            Final-Recipient: rfc822; other@example.org
            Action: relayed
            Status: 2.0.0
            """,
            FAILED,
        ),
        "hard",
        "5.1.1",
        (READER,),
    ),
}

QMAIL = mail(
    """
    From: MAILER-DAEMON@mx.example.net
    To: bounces@press.example.org
    Subject: failure notice
    """,
    "Hi. This is the qmail-send program at mx.example.net.",
    "I'm afraid I wasn't able to deliver your message to the following addresses.",
    "This is a permanent error; I've given up. Sorry it didn't work out.",
    "",
    f"<{READER}>:",
    "192.0.2.1 does not like recipient.",
    "Remote host said: 550 5.1.1 no mailbox here by that name",
    "Giving up on 192.0.2.1.",
    "",
    "--- Below this line is a copy of the message.",
    "",
    "Subject: visas: no such user will be fined",
)
EXIM_OLD = mail(
    f"""
    X-Failed-Recipients: {READER}
    Auto-Submitted: auto-replied
    From: Mail Delivery System <Mailer-Daemon@mx.example.net>
    To: bounces@press.example.org
    Subject: Mail delivery failed: returning message to sender
    """,
    "This message was created automatically by mail delivery software.",
    "",
    "A message that you sent could not be delivered to one or more of its",
    "recipients. This is a permanent error. The following address(es) failed:",
    "",
    f"  {READER}",
    "    host mx.example.org [192.0.2.7]",
    f"    SMTP error from remote mail server after RCPT TO:<{READER}>:",
    "    552 5.2.2 mailbox is full",
    "",
    "------ This is a copy of the message, including all the headers. ------",
    "",
    "Subject: no such user",
)
ODD = {"qmail": (QMAIL, "hard", "5.1.1"), "Exim without MIME": (EXIM_OLD, "soft", "5.2.2")}

VACATION = {
    "by RFC 3834": "Auto-Submitted: auto-replied\nSubject: Re: Yeni rüsumlar",
    "by its subject": "Subject: Out of Office: back on Monday",
    "in Russian": "Subject: =?utf-8?b?0JDQstGC0L7QvtGC0LLQtdGCOiDRjyDQsiDQvtGC0L/Rg9GB0LrQtQ==?=",
    "in Azerbaijani": "Subject: Avtomatik cavab: məzuniyyətdəyəm",
    "by an old mark": "X-Autoreply: yes\nSubject: Re",
}


def feedback(kind: str, returned: str, *, fields: str = "") -> bytes:
    """A complaint (RFC 5965)."""
    told = ["User-Agent: Loop/1.0", "Version: 1", *fields.splitlines()]
    return mail(
        """
        From: feedback@provider.example
        To: bounces@press.example.org
        Subject: FW: a mail of yours
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=feedback-report; boundary="part"
        """,
        "--part",
        "Content-Type: text/plain",
        "",
        "This is a report about a mail that came from 192.0.2.1.",
        "--part",
        "Content-Type: message/feedback-report",
        "",
        *([f"Feedback-Type: {kind}"] * bool(kind)),
        *told,
        "",
        "--part",
        "Content-Type: message/rfc822",
        "",
        returned,
        "",
        "The body of our mail.",
        "--part--",
    )
