"""What the tests of the Python module stand on: a daemon of the test's own, and the test once more as an ordinary user, after which
nothing may be left in the daemon's programs."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

DEADLINE = 60
UID = 47114


def start_daemon(programs, top):
    """Returns once it says that it is ready."""
    # A host without controllers can't hold every limit of the defaults.
    missing = subprocess.run([programs / "sandboxd-doctor", "--unenforceable"], check=True, capture_output=True, text=True).stdout
    config = top / "sandboxd.json"
    config.write_text('{"unenforced_limits": %s}' % missing)
    command = [programs / "sandboxd", "--standalone", "--config", config, "--runtime-dir", top / "run", "--state-dir", top / "state"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    ready, log = threading.Event(), []

    def read():
        with process.stderr:
            for line in process.stderr:
                log.append(line.decode(errors="replace"))
                if line.startswith(b"sandboxd: ready"):
                    ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(DEADLINE):
        process.terminate()
        process.wait(DEADLINE)
        raise RuntimeError("no daemon: " + "".join(log))
    return process


def processes_below(pid):
    """{pid: (name, number of descriptors)} of a process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = pathlib.Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append((int(entry), text.partition("(")[2].rpartition(")")[0]))
    found, queue = {}, [(pid, "supervisor")]
    while queue:
        one, name = queue.pop()
        try:
            found[one] = (name, len(os.listdir(f"/proc/{one}/fd")))
        except OSError:
            continue
        queue += children.get(one, [])
    return found


def tally(pid):
    return sorted(processes_below(pid).values())


def answer_tallies(answers, pid):
    """For a test, which may not look at the daemon's descriptors: a line of JSON for each byte."""
    while answers.recv(1):
        answers.sendall(json.dumps(tally(pid)).encode() + b"\n")


def settle(wanted, look):
    """Waits until look() is wanted: the daemon closes after it has answered. Returns the last look."""
    deadline = time.monotonic() + DEADLINE
    while (seen := look()) != wanted and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    return seen


def steady(look):
    """What look() says once it has said nothing else for half a second: a jail's end goes on after its remover has been answered."""
    deadline, last, since = time.monotonic() + DEADLINE, look(), time.monotonic()
    while time.monotonic() < min(since + 0.5, deadline):
        threading.Event().wait(0.05)
        if (seen := look()) != last:
            last, since = seen, time.monotonic()
    return last


def main(test):
    """Runs a test program of this folder, itself once more, as an ordinary user against a daemon of its own. The exit status."""
    if os.geteuid() != 0:
        print("needs root, for a daemon of its own")
        return 77
    programs, module = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="sandboxd-python-") as holder:
        top = pathlib.Path(holder)
        top.chmod(0o755)
        for name in ("run", "state"):
            (top / name).mkdir(mode=0o755)
        # The tree may lie where others can't look.
        shutil.copytree(module / "sandboxd", top / "module/sandboxd", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(pathlib.Path(__file__).parent, top / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        (top / "work").mkdir()
        os.chown(top / "work", UID, UID)
        daemon = start_daemon(programs, top)
        try:
            return supervise(daemon, top, top / "tests" / pathlib.Path(test).name)
        finally:
            daemon.terminate()
            daemon.wait(DEADLINE)


def supervise(daemon, top, test):
    env = {"PATH": "/usr/bin:/bin", "SANDBOXD_SOCKET": str(top / "run/sandboxd.sock"), "PYTHONPATH": str(top / "module"),
           "PYTHONDONTWRITEBYTECODE": "1", "PYTHONASYNCIODEBUG": "1"}
    env.update({name: os.environ[name] for name in ("SANDBOXD_LONG", "SANDBOXD_TEST_FEWER") if name in os.environ})
    asks, answers = socket.socketpair()
    threading.Thread(target=answer_tallies, args=(answers, daemon.pid), daemon=True).start()
    env["TALLY_FD"] = str(asks.fileno())
    # The one that runs this may lie where others can't look.
    interpreter = shutil.which("python3", path=env["PATH"]) or sys.executable
    command = [interpreter, "-X", "dev", "-W", "error::ResourceWarning", str(test), "--inner", *sys.argv[3:]]

    def inner(*more):
        return subprocess.run([*command, *more], env=env, cwd=top / "work", user=UID, group=UID, extra_groups=[], timeout=1200,
                              pass_fds=[asks.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    # What is made once and kept, as a pool of launch children, is there after the first.
    warm = inner("WarmUp")
    before = steady(lambda: tally(daemon.pid))
    done = inner()
    print(warm.stderr + done.stderr, end="", file=sys.stderr)
    after = settle(before, lambda: tally(daemon.pid))
    if after != before:
        print(f"left behind: {after}, before it was {before}", file=sys.stderr)
        return 1
    return 1 if warm.returncode or done.returncode or "ResourceWarning" in done.stderr else 0
