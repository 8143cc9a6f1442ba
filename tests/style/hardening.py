#!/usr/bin/env python3
"""What the linker was asked for is in the programs: position independent, full RELRO, no executable stack, no writable and
executable segment, stack protector, fortified calls, landing pads for indirect branches. usage: hardening.py BUILD_DIR"""
import pathlib
import platform
import subprocess
import sys

import tree

# jail-init has no libc: it brings its own start-up code, so a fixed address and no guard variable, and as little else as can be.
FREESTANDING = {"jail-init"}
LANDING_PADS = {"x86_64": bytes.fromhex("f30f1efa"), "aarch64": bytes.fromhex("3f2303d5")}  # endbr64; paciasp
STATIC = {"sandboxd-launcher", "sandboxd-broker", "sandboxd-audit", "sandboxd-jail-files", "jail-init"}
PROGRAMS = ("sandboxd", "sandboxctl", "sandboxd-launcher", "sandboxd-broker", "sandboxd-audit", "sandboxd-profilec", "sandboxd-jail-files",
            "sandboxd-doctor", "sandboxd-profile", "sandboxd-audit-verify", "jail-init")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, capture_output=True, text=True, env={"LC_ALL": "C"}).stdout


def segments(path):
    rows = [line.split() for line in readelf("-l", path).splitlines()]
    return [(row[0], "".join(row[6:-1])) for row in rows if row and row[0].isupper() and len(row) > 6]


def faults(path):
    name = path.name
    kinds = segments(str(path))
    if any("W" in flags and "E" in flags for _, flags in kinds):
        yield "a segment is writable and executable"
    if not any(kind == "GNU_STACK" for kind, _ in kinds):
        yield "no GNU_STACK header: the stack is executable"
    if name in FREESTANDING:
        return
    header, dynamic, symbols = readelf("-h", str(path)), readelf("-d", str(path)), readelf("-s", str(path))
    if "DYN (Position-Independent Executable file)" not in header:
        yield "not position independent"
    if not any(kind == "GNU_RELRO" for kind, _ in kinds):
        yield "no GNU_RELRO segment"
    if "BIND_NOW" not in dynamic and "NOW" not in dynamic.split("FLAGS_1", 1)[-1].split("\n", 1)[0]:
        yield "relocations are not bound at start (-z now)"
    if "__stack_chk_fail" not in symbols:
        yield "no stack protector"
    # Where the compiler can prove every size there is nothing left to check: asked of the one that surely has calls to fortify.
    if name == "sandboxd" and "_chk@" not in symbols.replace("__stack_chk_fail@", ""):
        yield "no fortified libc call"
    # The program as a whole isn't marked for CET, since Debian 12's start-up objects aren't; its functions have their pads.
    landing_pad = LANDING_PADS.get(platform.machine())
    if landing_pad and path.read_bytes().count(landing_pad) < 100:
        yield "functions begin without landing pads (-fcf-protection, -mbranch-protection)"


def main():
    folder = pathlib.Path(sys.argv[1], "bin")
    programs = [folder / name for name in PROGRAMS if (folder / name).exists()]
    problems = [f"{path.name}: {fault}" for path in programs for fault in faults(path)]
    return tree.report("hardening", problems, len(programs))


sys.exit(main())
