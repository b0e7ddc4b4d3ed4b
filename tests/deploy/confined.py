"""Runs a program under what a systemd unit allows it, as far as a machine without systemd can: for the tests of units.

`python confined.py UNIT WRITABLE UID -- PROGRAM ...`, as root. What of the unit is put in force, by the same means:

1. SystemCallFilter, SystemCallErrorNumber: seccomp, with the groups as `systemd-analyze syscall-filter` has them.
2. MemoryDenyWriteExecute, RestrictAddressFamilies, RestrictNamespaces: seccomp, on arguments.
3. User, CapabilityBoundingSet, NoNewPrivileges: another user without any capability.
4. ProtectSystem=strict, ReadWritePaths, PrivateTmp: a mount namespace whose root is read-only, but for WRITABLE.

It says on standard error which of them hold, so that a test can ask for all of them.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, EAFNOSUPPORT = 1, 97
MASKED_EQ, EQ = 7, 4
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
NAMESPACES = 0x7E020000  # CLONE_NEW*
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
CLONE_NEWNS = 0x00020000
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filter:
    """A seccomp filter: what it does by default, and rules that do otherwise."""

    def __init__(self, default: int) -> None:
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.library.seccomp_init.argtypes = [ctypes.c_uint32]
        self.library.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(Compare),
        ]
        self.library.seccomp_load.argtypes = [ctypes.c_void_p]
        self.made = ctypes.c_void_p(self.library.seccomp_init(default))

    def rule(self, action: int, name: str, *comparisons: Compare) -> None:
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return  # not on this machine
        given = (Compare * max(1, len(comparisons)))(*comparisons)
        done = self.library.seccomp_rule_add_array(self.made, action, number, len(comparisons), given)
        if done:
            raise OSError(-done, f"no rule for {name}")

    def load(self) -> None:
        done = self.library.seccomp_load(self.made)
        if done:
            raise OSError(-done, "the filter cannot be loaded")


def service(unit: Path) -> dict[str, list[str]]:
    """The section [Service]: each key with all its values in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").partition("[Service]")[2].partition("\n[")[0].splitlines():
        name, is_set, value = line.partition("=")
        if is_set and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def calls_allowed(lines: list[str]) -> set[str]:
    """The system calls that SystemCallFilter's lines leave."""
    allowed: set[str] = set()
    listed = groups()
    for line in lines:
        names = set().union(*(members(word, listed) for word in line.lstrip("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def groups() -> dict[str, list[str]]:
    """What systemd's groups hold: calls, and other groups."""
    said = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    held: list[str] = []
    for line in said.splitlines():
        if line.startswith("@"):
            found[line.strip()] = held = []
        elif re.fullmatch(r" {4}@?[\w-]+", line):
            held.append(line.strip())
    return found


def members(word: str, listed: dict[str, list[str]]) -> set[str]:
    if not word.startswith("@"):
        return {word}
    return set().union(*(members(inside, listed) for inside in listed[word]))


def confine_calls(said: dict[str, list[str]]) -> None:
    allowed = calls_allowed(said["SystemCallFilter"])
    calls = Filter(ERRNO | EPERM)
    for name in sorted(allowed):
        calls.rule(ALLOW, name)
    calls.rule(ALLOW, "execve")
    arguments = Filter(ALLOW)
    if said["MemoryDenyWriteExecute"] == ["yes"]:
        both = PROT_WRITE | PROT_EXEC
        arguments.rule(ERRNO | EPERM, "mmap", Compare(2, MASKED_EQ, both, both))
        for name in ("mprotect", "pkey_mprotect"):
            arguments.rule(ERRNO | EPERM, name, Compare(2, MASKED_EQ, PROT_EXEC, PROT_EXEC))
        arguments.rule(ERRNO | EPERM, "shmat", Compare(2, MASKED_EQ, SHM_EXEC, SHM_EXEC))
    families = {FAMILIES[name] for name in said["RestrictAddressFamilies"][0].split()}
    for family in set(range(1, 46)) - families:
        arguments.rule(ERRNO | EAFNOSUPPORT, "socket", Compare(0, EQ, family, 0))
    if said["RestrictNamespaces"] == ["yes"]:
        for flag in (1 << bit for bit in range(32) if NAMESPACES & 1 << bit):
            for name in ("clone", "unshare"):
                arguments.rule(ERRNO | EPERM, name, Compare(0, MASKED_EQ, flag, flag))
        arguments.rule(ERRNO | EPERM, "setns")
    arguments.load()
    calls.load()


def confine_files(writable: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace")
    for arguments in (
        ["--make-rprivate", "/"],
        ["--bind", writable, writable],
        ["-o", "remount,bind,ro", "/"],
    ):
        subprocess.run(["mount", *arguments], check=True, capture_output=True)
    os.chdir(writable)  # where we stand is below what is read-only now


def confine_user(number: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no no-new-privs")


def main() -> None:
    unit, writable, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    program = sys.argv[5:]
    said = service(unit)
    held = ["calls", "user"]
    try:
        confine_files(writable)
        held.append("files")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"confined: files are not: {error}\n")
    os.umask(int(said["UMask"][0], 8))
    confine_user(number)
    confine_calls(said)
    sys.stderr.write(f"confined: {' '.join(sorted(held))}\n")
    sys.stderr.flush()
    os.execv(program[0], program)  # that is what it is for


if __name__ == "__main__":
    main()
