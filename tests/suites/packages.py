"""What is run in each way, and what its output says: Ruby's own tests, Go's own and a build with modules, and `make check` of packages in C.
Ruby's tests and the packages are of Debian's source packages (sources.sh)."""
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Container, Sequence

from programs import Item, Suite, worst
from ways import Ended

HERE = pathlib.Path(__file__).resolve().parent
FETCH_WITHIN = 300  # seconds
RUBY_TESTS, GO_TESTS = "Ruby", "Go"


def check_of(package: str) -> str:
    return f"{package}'s make check"


PACKAGE_SUITES = (RUBY_TESTS, GO_TESTS, check_of("jansson"), check_of("gzip"))


def source_of(package: str, *, must: bool) -> pathlib.Path | None:
    """Its unpacked source package. None where that can't be had, unless it must: then that is an error."""
    try:
        done = subprocess.run([HERE / "sources.sh", package], check=True, capture_output=True, text=True, timeout=FETCH_WITHIN)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        why = f"no source of Debian's package '{package}': {error}\n{error.stderr}"
        if must:
            raise RuntimeError(why) from error
        print(f"{why}\nits tests are left out", file=sys.stderr)
        return None
    return pathlib.Path(done.stdout.strip())


def version_of(source: pathlib.Path) -> str:
    first = (source / "debian/changelog").read_text().partition("\n")[0]
    return re.sub(r"^(\S+) \((\S+)\).*", r"\1 \2", first) + " (source)"


# Files of Ruby's tests that ask the system for something; what is left out tests the language, measures it, or needs extensions that are
# built for the tests alone.
FEW_RUBY = ("ruby/test_pipe", "ruby/test_signal")
MORE_RUBY = (*FEW_RUBY, *(f"ruby/test_{name}" for name in (
    "argf", "autoload", "dir", "env", "exception", "fiber", "gc", "io", "io_buffer", "io_m17n", "io_timeout",
    "marshal", "objectspace", "process", "rand", "readpartial", "require", "rubyoptions", "rubyvm", "sleep", "string", "system",
    "thread", "thread_cv", "thread_queue", "threadgroup", "time", "time_tz", "trace")),
    *(f"socket/test_{name}" for name in ("addrinfo", "ancdata", "basicsocket", "nonblock", "socket", "sockopt", "tcp", "udp", "unix")),
    *(f"fiber/test_{name}" for name in ("io", "mutex", "process", "scheduler", "sleep", "thread")),
    *(f"io/{name}/test_{test}" for name, test in (("console", "io_console"), ("nonblock", "flush"), ("wait", "io_wait"))),
    "fileutils/test_fileutils", "etc/test_etc", "pathname/test_pathname", "digest/test_digest", "stringio/test_stringio", "zlib/test_zlib",
    "test_find", "test_open3", "test_pty", "test_securerandom", "test_syslog", "test_tempfile", "test_timeout", "test_tmpdir", "test_weakref")
RUBY = ("ruby3.1", "test/runner.rb", "-v", "--excludes-dir=test/excludes", "--excludes-dir=debian/tests/excludes/any",
        "--excludes-dir=debian/tests/excludes/autopkgtest")
RUBY_TEST = re.compile(r"^\[ *\d+/\d+\] ([A-Z]\w*(?:::\w+)*#\S.*?) = \d+\.\d+ s", re.MULTILINE)
RUBY_REPORT = re.compile(r"^ +\d+\) (Error|Failure|Skipped):\n([A-Z]\w*(?:::\w+)*#.+?)(?: \[.*\])?:$", re.MULTILINE)


class Ruby(Suite):
    def __init__(self, is_long: bool, source: pathlib.Path) -> None:
        super().__init__(RUBY_TESTS, "ruby3.1", 300)
        names = [name for name in (MORE_RUBY if is_long else FEW_RUBY) if (source / f"test/{name}.rb").exists()]
        files = tuple(source / part for part in ("test", "tool", "debian"))
        self.items = [Item(name, (*RUBY, f"test/{name}.rb"), files) for name in names]

    def outcomes(self, item: Item, ended: Ended) -> dict[str, str]:
        if ended.status is None:
            return {item.name: "hung"}
        found = {test: "passed" for test in RUBY_TEST.findall(ended.text)}
        for what, test in RUBY_REPORT.findall(ended.text):
            found[test] = worst(["skipped" if what == "Skipped" else "failed", found.get(test, "passed")])
        return found or {item.name: "failed" if ended.status else "skipped"}

    def only(self, item: Item, tests: Sequence[str]) -> Item:
        if item.name in tests:
            return item
        names = "|".join(sorted({re.escape(test.partition("#")[2]) for test in tests}))
        return Item(item.name, (*item.command, "-n", f"/\\A(?:{names})\\z/"), item.files)


MORE_GO = ("archive/tar", "crypto/rand", "crypto/x509", "io/fs", "io/ioutil", "log", "log/syslog", "net", "net/http/httptest", "net/textproto", "net/unix",
           "os", "os/exec", "os/signal", "os/user", "path/filepath", "plugin", "runtime/debug", "sync", "sync/atomic", "syscall", "testing", "time",
           "internal/poll", "internal/testenv", "cmd/go/internal/lockedfile", "internal/syscall/unix", "mime/multipart", "net/rpc", "embed", "context")
GO = ("sh", "-c", "export GOCACHE=\"$PWD/cache\" GOPROXY=off; exec go test -json -short \"$@\"", "sh")
# A command of Go's own tree, of the modules that its go.mod names and its folder `vendor` holds.
GO_BUILD = ("sh", "-c", """export GOCACHE="$PWD/cache" GOPROXY=off GOFLAGS=-mod=vendor out="$PWD/out"
cd /usr/lib/go-1.19/src/cmd && go build -o "$out" "$1" && "$out" -V=full""", "sh")
GO_ENDS = {"pass": "passed", "fail": "failed", "skip": "skipped"}


class Go(Suite):
    def __init__(self, is_long: bool) -> None:
        super().__init__(GO_TESTS, "golang-1.19-src", 300)
        tree = pathlib.Path("/usr/lib/go-1.19/src")
        self.items = [Item("build cmd/vet", (*GO_BUILD, "./vet"))]
        self.items += [Item(name, (*GO, name)) for name in (MORE_GO if is_long else ()) if list((tree / name).glob("*_test.go"))]

    def outcomes(self, item: Item, ended: Ended) -> dict[str, str]:
        if ended.status is None:
            return {item.name: "hung"}
        found: dict[str, str] = {}
        for line in ended.text.splitlines():
            if line.startswith('{"Time"'):
                said = json.loads(line)
                if "Test" in said and said["Action"] in GO_ENDS:
                    found[f"{item.name}.{said['Test']}"] = GO_ENDS[said["Action"]]
        return found or {item.name: "failed" if ended.status else "passed"}

    def only(self, item: Item, tests: Sequence[str]) -> Item:
        if item.name in tests:
            return item
        names = sorted({test.removeprefix(f"{item.name}.").partition("/")[0] for test in tests})
        return Item(item.name, (*item.command, "-run", f"^({'|'.join(names)})$"))


# Copies have other times than autoconf's rules expect, and autoconf isn't there.
TOUCH = "find . -name '*.m4' -exec touch {} +; find . '(' -name '*.in' -o -name '*.hin' -o -name '*.info' -o -name '*.1' ')' -exec touch {} +; touch configure"
LONG_ONES = "for test in tests/list-big; do [ ! -f $test ] || printf '#!/bin/sh\\nexit 77\\n' >$test; done"  # gigabytes
AUTOTOOLS = ("sh", "-c", f"{TOUCH}; {LONG_ONES}; ./configure -q --disable-nls && make -s check -k")
CMAKE = ("sh", "-c", "cmake -DJANSSON_BUILD_DOCS=OFF . >log 2>&1 && make -s check")
CHECK = re.compile(r"^(PASS|FAIL|SKIP|XFAIL|XPASS|ERROR): (\S+)|^ *\d+/\d+ Test +#\d+: (\S+) \.*[ *]*(Passed|Failed|Skipped|Not Run|Timeout)", re.MULTILINE)
CHECK_ENDS = {"PASS": "passed", "XFAIL": "passed", "SKIP": "skipped", "Passed": "passed", "Skipped": "skipped"}


class Check(Suite):
    """A package is configured, built and checked in each way, all three within it."""

    def __init__(self, source: pathlib.Path, command: Sequence[str]) -> None:
        name = source.parent.name
        super().__init__(check_of(name), name, 900)
        self.version = version_of(source)
        self.items = [Item(name, ("sh", "-c", 'cd tree && exec "$@"', "sh", *command), (source,))]

    def outcomes(self, item: Item, ended: Ended) -> dict[str, str]:
        if ended.status is None:
            return {item.name: "hung"}
        found = {test or other: CHECK_ENDS.get(end or late, "failed") for end, test, other, late in CHECK.findall(ended.text)}
        return found or {item.name: "failed"}


def package_suites(is_long: bool, wanted: Container[str]) -> list[Suite]:
    """Of those whose names are wanted."""
    suites: list[Suite] = []
    if RUBY_TESTS in wanted and (source := source_of("ruby3.1", must=is_long)):
        suites.append(Ruby(is_long, source))
    if GO_TESTS in wanted:
        suites.append(Go(is_long))
    for name, command in (("jansson", CMAKE), ("gzip", AUTOTOOLS)):
        if check_of(name) in wanted and (is_long or name == "jansson") and (source := source_of(name, must=is_long)):
            suites.append(Check(source, command))
    return suites
