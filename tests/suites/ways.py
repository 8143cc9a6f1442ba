"""The ways in which one command is run for comparison: bare, in bubblewrap without a filter, and in a jail of ours under a
profile. The same user, the same tree, the same environment and a directory of its own each time."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

UID = 47115
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
# Against stressors that take what they can get: per process and per user, the same in all ways.
PRLIMIT = ("/usr/bin/prlimit", "--as=8589934592")
# A jail's own bound is pids_max.
NPROC = ("/usr/bin/prlimit", "--nproc=4096")
# uid, gid and groups are the caller's; a network namespace with nothing but a loopback device, as a jail has.
TMPFS = ("/tmp", "/var/tmp", "/run")
BWRAP = ("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
         *(word for place in TMPFS for word in ("--tmpfs", place)), "--clearenv")


@dataclass(frozen=True)
class Ended:
    """status: as a shell has it; None when it had to be killed at its deadline."""
    status: int | None
    text: str


def run_until(command: Sequence[str | os.PathLike[str]], seconds: float, **more: object) -> Ended:
    """With all that it started killed at the deadline: each command is a session of its own. Signals that this program was started
    without (a shell's background job ignores SIGINT) are as they should be."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(["/usr/bin/env", "--default-signal", *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **more)  # type: ignore[call-overload]
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        out.seek(0)
        return Ended(status, out.read().decode(errors="replace"))


class Ways:
    """`top`: a directory that ordinary users may enter, with a daemon's socket below it."""

    names = ("bare", "bubblewrap", "jail")

    def __init__(self, programs: pathlib.Path, top: pathlib.Path) -> None:
        self.top = top
        # The build tree may lie where others can't look.
        self.ctl = shutil.copy(programs / "sandboxctl", top)

    def directory(self, files: Sequence[pathlib.Path] = ()) -> pathlib.Path:
        """The caller's own, with copies of these directories in it."""
        path = pathlib.Path(tempfile.mkdtemp(prefix="work-", dir=self.top))
        if files:
            subprocess.run(["cp", "-a", *files, path], check=True)
        subprocess.run(["chown", "-R", "--no-dereference", f"{UID}:{UID}", path], check=True)
        return path

    def run(self, way: str, command: Sequence[str], seconds: float, *, profile: str = "default",
            files: Sequence[pathlib.Path] = ()) -> Ended:
        work = self.directory(files)
        try:
            if way == "jail":
                words = self.jail(profile, command)
            else:
                words = [*NPROC, *PRLIMIT, *(self.bubblewrap(work) if way == "bubblewrap" else []), *command]
            return run_until(words, seconds, **self.caller(work))
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def caller(self, work: pathlib.Path) -> dict[str, object]:
        env = {**ENV, "SANDBOXD_SOCKET": str(self.top / "run/sandboxd.sock")}
        return {"cwd": work, "env": env, "user": UID, "group": UID, "extra_groups": []}

    def bubblewrap(self, work: pathlib.Path, *options: str) -> list[str]:
        """`options`: further ones, of mounts under that of the caller's directory."""
        env = [word for name, value in ENV.items() for word in ("--setenv", name, value)]
        return [*BWRAP, *options, *env, "--bind", str(work), str(work), "--chdir", str(work), "--"]

    def jail(self, profile: str, command: Sequence[str]) -> list[str]:
        env = [word for name, value in ENV.items() for word in ("--env", f"{name}={value}")]
        return [self.ctl, "run", "--profile", profile, "--root=host", "--workspace=rw", *env, "--", *PRLIMIT, *command]
