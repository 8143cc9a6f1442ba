#!/usr/bin/env python3
"""libsandboxd-client as other projects see it: installed into a prefix of its own, found by pkg-config and by CMake; the examples
are built with it and run against a fake daemon. The headers need nothing but themselves.

usage: install_test.py BUILD_DIR CXX"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from fake_daemon import FakeDaemon, decode, job

CXX = sys.argv.pop()
BUILD = pathlib.Path(sys.argv.pop()).resolve()
TOP = pathlib.Path(__file__).resolve().parents[3]
DEADLINE = 240
EXAMPLES = ("run", "session", "streams")


def check(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=DEADLINE, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="sandboxd-client-test-")
        cls.addClassCleanup(holder.cleanup)
        cls.top = pathlib.Path(holder.name)
        check("cmake", "--install", BUILD, "--prefix", cls.top / "first", "--component", "client")
        cls.prefix = cls.top / "moved"  # nothing in it may name the place where it was installed
        (cls.top / "first").rename(cls.prefix)
        cls.libdir = next(cls.prefix.glob("lib*/**/libsandboxd-client.so.0")).parent
        cls.env = {"PATH": os.environ["PATH"], "PKG_CONFIG_PATH": str(cls.libdir / "pkgconfig"), "LD_LIBRARY_PATH": str(cls.libdir)}

    def flags(self, *which):
        return check("pkg-config", *which, "sandboxd-client", env=self.env).split()

    def test_headers_stand_alone(self):
        headers = sorted(path.name for path in (self.prefix / "include/sandboxd").iterdir())
        self.assertEqual(headers, ["client.h", "files.h", "job.h", "request.h", "result.h"])
        for header in headers:
            with self.subTest(header):
                text = f"#include <sandboxd/{header}>\n#include <sandboxd/{header}>\nint main() {{}}\n"
                subprocess.run([CXX, "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fsyntax-only",
                                *self.flags("--cflags"), "-x", "c++", "-"], input=text, text=True, check=True, timeout=DEADLINE)

    def test_headers_name_no_other_library(self):
        for header in (self.prefix / "include/sandboxd").iterdir():
            for word in ("nlohmann", "fmt/", '#include "'):
                self.assertNotIn(word, header.read_text(), header.name)

    def test_the_shared_library_shows_the_public_names_only(self):
        names = check("nm", "-DC", "--defined-only", self.libdir / "libsandboxd-client.so").splitlines()
        shown = [line.split(" ", 2)[2] for line in names if line.split(" ", 2)[1] in "TDBR"]
        self.assertGreater(len(shown), 50)
        self.assertEqual([name for name in shown if not name.startswith("sandboxd::client::")], [])
        self.assertEqual([name for name in shown if "Inside::" in name], [])
        dynamic = check("readelf", "-d", self.libdir / "libsandboxd-client.so")
        self.assertIn("Library soname: [libsandboxd-client.so.0]", dynamic)

    def test_examples_are_built_by_pkg_config_and_run(self):
        for example in EXAMPLES:
            source = TOP / "sandboxd-client/examples" / f"{example}.cpp"
            check(CXX, "-std=c++20", "-Wall", "-Wextra", "-Werror", source, *self.flags("--cflags", "--libs"), "-o", self.top / example)
        self.run_examples({name: self.top / name for name in EXAMPLES})

    def test_examples_are_built_by_cmake_and_run(self):
        build = self.top / "build"
        check("cmake", "-G", "Ninja", "-S", self.prefix / "share/doc/sandboxd/examples", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
              f"-DCMAKE_CXX_COMPILER={CXX}")
        check("cmake", "--build", build, "-j", "2")
        self.run_examples({name: build / name for name in EXAMPLES})
        self.run_examples({"run": build / "run-static"})

    def run_examples(self, programs):
        daemon = FakeDaemon()
        self.addCleanup(daemon.close)
        files = {}
        daemon.answers["org.sandboxd.Jail.Jobs"] = lambda call: call.reply({"jobs": [job(state="ended")]})
        daemon.answers["org.sandboxd.Jail.Remove"] = lambda call: call.reply({})

        def write(call):
            files[call.parameters["path"]] = decode(call.parameters["data"])
            call.reply({})
        daemon.answers["org.sandboxd.Files.Write"] = write
        env = {**self.env, "SANDBOXD_SOCKET": daemon.socket}
        expected = {"run": (["printf", "out"], "out"), "session": ([], "true\njob 2: ended\n"),
                    "streams": ([], "ended: exited\n")}
        daemon.exec_argv = lambda argv: ["echo", "true"]  # there is no jail whose file could be read
        for name, program in programs.items():
            words, text = expected[name]
            self.assertTrue(check(program, *words, env=env).endswith(text), name)
        if "session" in programs:
            self.assertEqual(files, {"/work/greeting": b"hello from outside\n"})
            self.assertEqual([call.parameters["force"] for call in daemon.calls if call.method == "org.sandboxd.Jail.Remove"], [True])


if __name__ == "__main__":
    if not shutil.which("pkg-config"):
        sys.exit("pkg-config is not installed")
    unittest.main()
