#!/usr/bin/env python3
"""The profiles of the language runtimes, with Debian's runtimes in real jails: a program with threads, children and files runs, the
package manager works offline, and what the profile refuses is refused with a message that says so.

usage: languages_test.py DIRECTORY_OF_THE_PROGRAMS"""
import os
import shutil
import textwrap
import unittest
import zipfile

from sandboxctl_test import UID, Case

DEADLINE = 240


class Language(Case):
    profile = ""
    programs = ()  # and the Debian packages that have them

    @classmethod
    def setUpClass(cls):
        missing = [f"{program} (Debian package {package})" for program, package in cls.programs if not shutil.which(program, path="/usr/bin")]
        if missing:
            raise AssertionError(f"not installed: {', '.join(missing)}")
        super().setUpClass()

    def write(self, files):
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        for directory, names, leaves in os.walk(self.work):
            for name in [".", *names, *leaves]:
                os.chown(os.path.join(directory, name), UID, UID)

    def jail(self, *command, options=()):
        return self.ctl("run", "--profile", self.profile, "--workspace=rw", *options, "--", *command, timeout=DEADLINE)

    def runs(self, *command, **more):
        done = self.jail(*command, **more)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr[-3000:]}")
        return done.stdout

    def refuses(self, message, *command, **more):
        done = self.jail(*command, **more)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(message, done.stdout + done.stderr)


class Python(Language):
    profile = "python"
    programs = (("python3", "python3"), ("pip3", "python3-pip"))

    def test_program(self):
        self.write({"main.py": """
            import asyncio, concurrent.futures, multiprocessing, pathlib, socket, subprocess, tempfile, threading
            def square(x): return x * x
            async def tick():
                await asyncio.sleep(0.01)
                return 7
            if __name__ == "__main__":
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
                with multiprocessing.get_context("spawn").Pool(2) as pool:
                    assert pool.map(square, range(3)) == [0, 1, 4]
                assert subprocess.run(["echo", "child"], capture_output=True, text=True, check=True).stdout == "child\\n"
                pathlib.Path("made").write_text("x" * 100000)
                with tempfile.TemporaryFile() as file:
                    file.write(b"y")
                server = socket.create_server(("127.0.0.1", 0))
                client = socket.create_connection(server.getsockname())
                assert asyncio.run(tick()) == 7
                print("all of it")
            """})
        self.assertEqual(self.runs("python3", "main.py"), "all of it\n")
        self.assertEqual((self.work / "made").stat().st_size, 100000)
        self.assertFalse((self.work / "__pycache__").exists())

    def test_pip_offline(self):
        name = self.work / "small-1.0-py3-none-any.whl"
        with zipfile.ZipFile(name, "w") as wheel:
            wheel.writestr("small.py", "VALUE = 7\n")
            wheel.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
            wheel.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr("small-1.0.dist-info/RECORD", "")
        self.write({})
        self.runs("python3", "-m", "pip", "install", "--quiet", "--target=packages", name.name)
        self.assertEqual(self.runs("python3", "-c", "import sys; sys.path.insert(0, 'packages'); import small; print(small.VALUE)"), "7\n")
        self.refuses("No matching distribution found", "python3", "-m", "pip", "install", "--target=packages", "no-such-package")

    def test_refuses_native_code_by_name(self):
        for module in ("ctypes", "_ctypes", "_testcapi"):
            self.refuses(f"import of '{module}' is refused by the jail's profile 'python'", "python3", "-c", f"import {module}")
        self.refuses("is refused by the jail's profile 'python'", "sh", "-c", "exec python3 -c 'import multiprocessing.sharedctypes'")

    def test_a_program_that_can_do_without_gets_an_import_error(self):
        code = "try:\n import ctypes\nexcept ImportError as error:\n print(error.name)"
        self.assertEqual(self.runs("python3", "-c", code), "ctypes\n")

    def test_files_beside_do_not_become_modules(self):
        self.write({"json.py": "raise SystemExit('the wrong json')", "main.py": "import json; print(json.dumps([1]))"})
        self.assertEqual(self.runs("python3", "main.py"), "[1]\n")

    def test_memory_is_not_writable_and_executable_at_once(self):
        code = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ|mmap.PROT_WRITE|mmap.PROT_EXEC)"
        self.refuses("Permission denied", "python3", "-c", code)
        # The kernel's boundary doesn't hang on the lint.
        self.refuses("Permission denied", "python3", "-I", "-c", code)

    def test_what_is_shown_can_not_be_changed(self):
        self.refuses("sitecustomize.py", "sh", "-c", "echo > /etc/sandboxd/python/sitecustomize.py")


class Node(Language):
    profile = "node"
    programs = (("node", "nodejs"),)

    def test_program(self):
        self.write({"main.js": """
            const { Worker, isMainThread, parentPort } = require('worker_threads');
            const { execFileSync } = require('child_process');
            const crypto = require('crypto'), fs = require('fs'), net = require('net');
            if (!isMainThread) { parentPort.postMessage(6 * 7); }
            else {
              new Worker(__filename).on('message', (answer) => {
                if (execFileSync('echo', ['child']).toString() !== 'child\\n') throw new Error('child');
                fs.writeFileSync('made', 'x'.repeat(100000));
                crypto.pbkdf2('a', 'b', 1000, 32, 'sha256', () => {
                  const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
                  const server = net.createServer((socket) => { socket.end(); server.close(); console.log(answer); });
                  server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').resume());
                });
              });
            }
            """})
        self.assertEqual(self.runs("node", "main.js"), "42\n")
        self.assertEqual((self.work / "made").stat().st_size, 100000)

    def test_npm_offline(self):
        if not shutil.which("npm", path="/usr/bin"):
            self.skipTest("npm is not installed: Debian's package of it can't be beside other builds of Node")
        self.write({"small/package.json": '{"name": "small", "version": "1.0.0", "main": "i.js", "scripts": {"install": "touch /tmp/ran"}}',
                    "small/i.js": "module.exports = 7;", "app/package.json": '{"name": "app", "version": "1.0.0", "dependencies": {"small": "file:../small"}}',
                    "app/main.js": "console.log(require('small'), require('fs').existsSync('/tmp/ran'));"})
        self.assertEqual(self.runs("sh", "-c", "cd app && npm install --silent >&2 && node main.js"), "7 false\n")
        self.refuses("ENOTCACHED", "sh", "-c", "cd app && npm install no-such-package")

    def test_refuses_code_from_strings(self):
        for code in ("eval('1')", "new Function('return 1')()", "(async () => {}).constructor('return 1')"):
            self.refuses("Code generation from strings disallowed", "node", "-e", code)

    def test_refuses_native_add_ons(self):
        self.write({"a.node": "no library"})
        self.refuses("ERR_DLOPEN_DISABLED", "node", "-e", "require('./a.node')")


class Ruby(Language):
    profile = "ruby"
    programs = (("ruby", "ruby"),)

    def test_program(self):
        self.write({"main.rb": """
            require 'json'
            require 'open3'
            require 'socket'
            require 'tempfile'
            raise unless 4.times.map { |i| Thread.new { i * i } }.map(&:value) == [0, 1, 4, 9]
            raise unless Open3.capture2('echo', 'child').first == "child\\n"
            reader, writer = IO.pipe
            fork { writer.puts 'forked' }
            Process.wait
            raise unless reader.gets == "forked\\n"
            raise unless Ractor.new { 42 }.take == 42
            File.write('made', 'x' * 100000)
            Tempfile.create { |file| file.write('y') }
            server = TCPServer.new('127.0.0.1', 0)
            TCPSocket.new('127.0.0.1', server.addr[1]).close
            puts JSON.generate(all: 1)
            """})
        self.assertEqual(self.runs("ruby", "main.rb"), '{"all":1}\n')
        self.assertEqual((self.work / "made").stat().st_size, 100000)

    def test_gem_offline(self):
        self.write({"small.gemspec": """
            Gem::Specification.new { |s| s.name = 'small'; s.version = '1.0'; s.summary = 's'; s.authors = ['a']; s.files = ['lib/small.rb'] }
            """, "lib/small.rb": "SMALL = 7"})
        self.runs("gem", "build", "--quiet", "small.gemspec")
        script = "gem install --quiet --local --no-document small-1.0.gem >&2 && ruby -rrubygems -e 'require \"small\"; puts SMALL'"
        self.assertEqual(self.runs("sh", "-c", script), "7\n")
        self.refuses("ERROR:", "gem", "install", "--local", "no-such-gem")

    def test_starts_without_gems(self):
        self.assertEqual(self.runs("ruby", "-e", "p defined?(Gem)"), "nil\n")

    def test_refuses_libraries_that_call_c_by_address(self):
        self.refuses("require of 'fiddle' is refused by the jail's profile 'ruby'", "ruby", "-e", "require 'fiddle'")


class Go(Language):
    profile = "go"
    programs = (("go", "golang-go"),)

    def test_program_with_a_vendored_module(self):
        self.write({"go.mod": "module app\n\ngo 1.19\n\nrequire example.com/small v1.0.0\n",
                    "vendor/modules.txt": "# example.com/small v1.0.0\n## explicit\nexample.com/small\n",
                    "vendor/example.com/small/small.go": "package small\n\nconst Value = 7\n",
                    "main.go": """
            package main

            import (
            	"fmt"
            	"os"
            	"os/exec"
            	"sync"

            	"example.com/small"
            )

            func main() {
            	var group sync.WaitGroup
            	var lock sync.Mutex
            	sum := 0
            	for i := 0; i < 100; i++ {
            		group.Add(1)
            		go func(i int) { defer group.Done(); lock.Lock(); sum += i; lock.Unlock() }(i)
            	}
            	group.Wait()
            	out, err := exec.Command("echo", "child").Output()
            	if err != nil || string(out) != "child\\n" { panic(err) }
            	if err := os.WriteFile("made", make([]byte, 100000), 0o644); err != nil { panic(err) }
            	fmt.Println(sum, small.Value)
            }
            """})
        self.assertEqual(self.runs("sh", "-c", "go build -o app . && ./app"), "4950 7\n")
        self.assertEqual((self.work / "made").stat().st_size, 100000)

    def test_refuses_what_is_not_here(self):
        self.write({"go.mod": "module app\n\ngo 1.19\n"})
        self.refuses("module lookup disabled by GOPROXY=off", "go", "get", "example.com/none@v1.0.0")
        self.assertEqual(self.runs("go", "env", "CGO_ENABLED"), "0\n")


class Rust(Language):
    profile = "rust"
    programs = (("cargo", "cargo"), ("rustc", "rustc"), ("cc", "gcc"))

    def test_program_with_a_vendored_crate(self):
        self.write({"Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\nsmall = "1.0"\n',
                    ".cargo/config.toml": '[source.crates-io]\nreplace-with = "vendored"\n\n[source.vendored]\ndirectory = "vendor"\n',
                    "vendor/small/Cargo.toml": '[package]\nname = "small"\nversion = "1.0.0"\nedition = "2021"\n',
                    "vendor/small/.cargo-checksum.json": '{"files": {}}', "vendor/small/src/lib.rs": "pub const VALUE: i32 = 7;\n",
                    "build.rs": 'fn main() { println!("cargo:rustc-env=BUILT=yes"); }\n',
                    "src/main.rs": """
            use std::{fs, process::Command, thread};
            fn main() {
                let sum: i32 = (0..4).map(|i| thread::spawn(move || i * i)).collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).sum();
                assert_eq!(Command::new("echo").arg("child").output().unwrap().stdout, b"child\\n");
                fs::write("made", vec![0u8; 100000]).unwrap();
                println!("{} {} {}", sum, small::VALUE, env!("BUILT"));
            }
            """})
        self.assertEqual(self.runs("cargo", "run", "--quiet"), "14 7 yes\n")
        self.assertEqual((self.work / "made").stat().st_size, 100000)

    def test_refuses_what_is_not_here(self):
        self.write({"Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\n\n[dependencies]\nserde = "1"\n', "src/main.rs": "fn main() {}\n"})
        self.refuses("offline", "cargo", "build")


class Elixir(Language):
    profile = "elixir"
    programs = (("elixir", "elixir"), ("mix", "elixir"), ("erl", "erlang-base"))

    def test_program_by_mix_with_a_path_dependency(self):
        self.write({"app/mix.exs": """
            defmodule App.MixProject do
              use Mix.Project
              def project, do: [app: :app, version: "1.0.0", deps: [{:small, path: "../small"}]]
            end
            """, "small/mix.exs": """
            defmodule Small.MixProject do
              use Mix.Project
              def project, do: [app: :small, version: "1.0.0"]
            end
            """, "small/lib/small.ex": "defmodule Small do\n  def value, do: 7\nend\n",
                    "app/main.exs": """
            squares = 1..4 |> Enum.map(&Task.async(fn -> &1 * &1 end)) |> Task.await_many()
            {"child\\n", 0} = System.cmd("echo", ["child"])
            File.write!("made", String.duplicate("x", 100_000))
            {:ok, server} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
            {:ok, port} = :inet.port(server)
            {:ok, _} = :gen_tcp.connect({127, 0, 0, 1}, port, [])
            IO.puts("#{Enum.sum(squares)} #{Small.value()} #{:erlang.system_info(:atom_limit)}")
            """})
        self.assertEqual(self.runs("sh", "-c", "cd app && mix compile >&2 && mix run main.exs"), "30 7 262144\n")
        self.assertEqual((self.work / "app/made").stat().st_size, 100000)

    def test_ends_a_runaway_atom_table(self):
        self.refuses("no more index entries in atom_tab (max=262144)", "elixir", "-e", 'for i <- 1..400_000, do: String.to_atom("a#{i}")')

    def test_a_program_can_not_raise_the_limit_by_its_own_flags(self):
        self.assertEqual(self.runs("erl", "+t", "1000000", "-noshell", "-eval", "io:format(\"~p\", [erlang:system_info(atom_limit)]), halt()."), "262144")

    def test_starts_no_epmd(self):
        done = self.jail("erl", "-sname", "a", "-noshell", "-eval", "halt().")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.runs("sh", "-c", "erl -noshell -eval 'halt().'; cat /proc/[0-9]*/comm | grep -c epmd || true"), "0\n")


class Tools(Case):
    def run_in(self, profile, *command, workspace="rw"):
        return self.ctl("run", "--profile", profile, f"--workspace={workspace}", "--", *command, timeout=DEADLINE)

    def test_build_compiles_and_keeps_its_tree(self):
        (self.work / "Makefile").write_text("all: a\n\t./a\na: a.c\n\tcc -O1 -o a a.c\n")
        (self.work / "a.c").write_text('#include <stdio.h>\nint main(void) { puts("built"); return 0; }\n')
        done = self.run_in("build", "make", "-s", "-j2")
        self.assertEqual(done.stdout, "built\n", done.stderr)
        done = self.run_in("build", "sh", "-c", "git init -q . && git add a.c && git -c user.name=a -c user.email=a@b commit -qm x && git log --oneline | wc -l")
        self.assertEqual(done.stdout, "1\n", done.stderr)

    def test_scanner_reads_and_makes_no_socket(self):
        (self.work / "file").write_text("content")
        self.assertEqual(self.run_in("scanner", "sha256sum", "file", workspace="ro").returncode, 0)
        done = self.run_in("scanner", "python3", "-c", "import socket; socket.socket()", workspace="ro")
        self.assertIn("Address family not supported", done.stderr)
        self.assertNotEqual(self.run_in("scanner", "true", workspace="rw").returncode, 0)

    def test_agent_waits_for_nobody(self):
        done = self.run_in("agent", "sh", "-c", "git init -q . && git --help commit | head -c 1 >&2; echo $PAGER; echo $HISTFILE")
        self.assertEqual(done.stdout, "cat\n/dev/null\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
