#!/usr/bin/env python3
"""Holds our varlink server code against certification clients that others wrote: run_clients.py SERVER.

A client that is missing is a failure: what was not run was not certified. SANDBOXD_TEST_PYTHON is a Python that has the
package 'varlink'.
"""

import os
import socket
import subprocess
import sys
import tempfile

TEST_PYTHON = os.environ.get("SANDBOXD_TEST_PYTHON", "/opt/sandboxd-test-venv/bin/python")
DEADLINE = 30


def clients(address):
    yield "varlink-go", ["varlink-go-certification", "--client", "--varlink=" + address]
    yield "python", [TEST_PYTHON, "-m", "varlink.tests.test_certification", "--varlink=" + address, "--client"]
    yield "python, its own tests", [TEST_PYTHON, "-c", WRONG_CALLS, address]


# Calls out of order and with other values than are due: each has to be refused.
WRONG_CALLS = """
import sys, varlink
with varlink.Client(sys.argv[1]) as client, client.open('org.varlink.certification') as con:
    def refused(call, *arguments):
        try:
            call(*arguments)
        except varlink.VarlinkError:
            return
        sys.exit('not refused: %s%r' % (call.__name__, arguments))
    def until_test02():
        client_id = con.Start()['client_id']
        con.Test02(client_id, con.Test01(client_id)['bool'])
        return client_id
    refused(con.Test03, 'test', 1)
    client_id = until_test02()
    refused(con.Test03, client_id, 0)
    refused(con.Test03, client_id, 1)
    refused(con.Test01, until_test02())
"""


def run_client(name, command):
    try:
        done = subprocess.run(command, timeout=DEADLINE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        return f"{name}: '{command[0]}' is not installed"
    except subprocess.TimeoutExpired:
        return f"{name}: no end after {DEADLINE} s"
    if done.returncode != 0:
        return f"{name}: exit status {done.returncode}\n{done.stdout}"
    print(f"{name}: passed")
    return None


def main():
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(directory, "socket")
        listener.bind(path)
        listener.listen()
        with subprocess.Popen([sys.argv[1], str(listener.fileno())], pass_fds=[listener.fileno()]) as server:
            failures = [run_client(name, command) for name, command in clients("unix:" + path)]
            server.terminate()
            if server.wait(DEADLINE) != 0:
                failures.append(f"server: exit status {server.returncode}")
    failures = [failure for failure in failures if failure]
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
