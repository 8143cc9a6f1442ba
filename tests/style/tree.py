"""The project's files, for the style tests: what git tracks or would track."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = (".cpp", ".h")
# Where what is shipped comes from, as against tests and benchmarks.
PRODUCT = ("archive/", "base/", "protocol/", "cgroups/", "seccomp-profiles/", "daemon/", "sandboxd-client/")


def files(*suffixes, under=("",)):
    """Paths relative to the root, sorted; all of them without suffixes."""
    command = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    found = {name for name in listed if name and (ROOT / name).is_file() and name.startswith(tuple(under))}
    return sorted(name for name in found if not suffixes or name.endswith(suffixes))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def report(what, problems, looked_at):
    """Prints the problems; the exit status says whether there were any. Having looked at nothing is one."""
    for problem in problems:
        print(problem)
    print(f"{what}: {looked_at} files, {len(problems)} problems")
    return 1 if problems or looked_at == 0 else 0
