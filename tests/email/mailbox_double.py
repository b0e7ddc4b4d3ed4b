"""A mailbox on a server of our own: POP3 and IMAP, as much of them as a fetcher speaks, and trouble when it is told."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field


@dataclass
class Box:
    """What stands in the mailbox, by its lasting name; `log` is what was asked, `break_at` the command that breaks."""

    mails: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    break_at: str = ""
    sessions: int = 0
    uidplus: bool = True
    says: int = 0  # of each mail's size, by POP3; 0: the truth
    flagged: set[str] = field(default_factory=set)
    port: int = 0
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None

    async def start(self, kind: str) -> None:
        serve = self._pop3 if kind == "pop3" else self._imap
        self._server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _pop3(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        here, gone = dict(enumerate(self.mails, 1)), set[int]()

        def many(lines: list[bytes]) -> bytes:
            return b"+OK\r\n" + b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"

        writer.write(b"+OK ready\r\n")
        while line := (await reader.readline()).decode().split():
            verb, rest = line[0].upper(), line[1:]
            self.log.append(verb)
            if verb == self.break_at:
                break
            if verb in ("LIST", "UIDL"):
                said = [str(self.says or len(self.mails[name])) if verb == "LIST" else name for name in here.values()]
                writer.write(many([f"{number} {one}".encode() for number, one in zip(here, said, strict=True)]))
            elif verb in ("RETR", "TOP"):
                writer.write(many(self.mails[here[int(rest[0])]].split(b"\r\n")))
            elif verb == "DELE":
                gone.add(int(rest[0]))
                writer.write(b"+OK\r\n")
            elif verb == "QUIT":
                for number in gone:
                    self.mails.pop(here[number], None)
                writer.write(b"+OK\r\n")
                await writer.drain()
                break
            else:
                writer.write(b"-ERR wrong password\r\n" if rest == ["wrong"] else b"+OK\r\n")
            await writer.drain()
        writer.close()

    async def _imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        writer.write(b"* OK ready\r\n")
        while line := (await reader.readline()).decode().strip():
            tag, verb, *rest = line.split(" ", 2)
            asked = rest[0] if rest else ""
            verb = asked.split()[0].upper() if verb.upper() == "UID" else verb.upper()
            self.log.append(verb)
            if verb == self.break_at:
                break
            if verb == "LOGIN" and '"wrong"' in asked:
                writer.write(f"{tag} NO wrong password\r\n".encode())
                continue
            writer.write(self._answer(verb, asked) + f"{tag} OK done\r\n".encode())
            await writer.drain()
            if verb == "LOGOUT":
                break
        writer.close()

    def _answer(self, verb: str, asked: str) -> bytes:
        uid = next(iter(re.findall(r"\b\d+\b", asked)), "")
        if verb == "CAPABILITY":
            return b"* CAPABILITY IMAP4rev1" + b" UIDPLUS" * self.uidplus + b"\r\n"
        if verb == "SELECT":
            return f"* {len(self.mails)} EXISTS\r\n".encode()
        if verb == "SEARCH":
            return f"* SEARCH {' '.join(one for one in self.mails if one not in self.flagged)}\r\n".encode()
        if verb == "FETCH" and uid in self.mails:
            data = self.mails[uid]
            head = f"* 1 FETCH (UID {uid} RFC822.SIZE {len(data)} BODY[]<0> {{{len(data)}}}\r\n"
            return head.encode() + data + b")\r\n"
        if verb == "STORE":
            self.flagged.add(uid)
        if verb == "EXPUNGE" and uid in self.flagged:
            self.mails.pop(uid, None)
        return b""
