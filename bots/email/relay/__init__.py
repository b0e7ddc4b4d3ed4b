"""The relay: our own SMTP client for many mails over few connections.

`replies` reads what the relay says, `envelope` writes what we ask, `connecting` opens and secures a connection,
`session` carries mails over one, `queue` is what sessions draw from, and `line` is whom they ask and tell.
`bots.email.smtp` is the way in.
"""
