#!/usr/bin/env python3
"""The JSON Schemas and the parser agree: on every shipped file, and on mistakes that a schema can see.
usage: schema_test.py SANDBOXD_PROFILE SOURCE_DIR; exits 77 (skipped) where python3-jsonschema is not installed."""
import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)

TOOL, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])
SOURCE = ROOT / "seccomp-profiles"
FOLDERS = {"filter": SOURCE, "profile": SOURCE, "config": SOURCE, "preset": ROOT / "cgroups"}
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}  # the tool finds the build tree's share/sandboxd

RULE = {"syscalls": ["read"], "action": "allow", "why": "w"}
REFUSAL = {"action": "errno", "errno": "ENOSYS", "why": "w"}
FILTER = {"name": "x", "description": "d", "default": REFUSAL, "foreign_abi": REFUSAL,
          "groups": {"@g": {"why": "w", "syscalls": ["write"], "x86_64": ["open"]}}, "rules": [RULE]}
CONDITION = {"arg": 0, "width": 32, "op": "equal", "value": 1}


def condition(**changes):
    return lambda f: f["rules"][0].update(when=[{k: v for k, v in {**CONDITION, **changes}.items() if v is not None}])


# Each changes a copy of a right file into a wrong one.
FILTER_MISTAKES = [
    lambda f: f.pop("description"), lambda f: f.pop("rules"), lambda f: f.update(rule=[]), lambda f: f.update(name="a b"),
    lambda f: f["default"].update(action="allow"), lambda f: f["default"].pop("why"), lambda f: f.pop("foreign_abi"),
    lambda f: f["rules"][0].pop("why"), lambda f: f["rules"][0].update(why=" "), lambda f: f["rules"][0].update(syscalls=[]),
    lambda f: f["rules"][0].update(syscalls=["read", "read"]), lambda f: f["rules"][0].update(action="kill"),
    lambda f: f["rules"][0].update(action="errno"), lambda f: f["rules"][0].update(errno="EPERM"),
    lambda f: f["rules"][0].update(architectures=["arm"]), lambda f: f["rules"][0].update(architectures=[]),
    lambda f: f["rules"][0].update(when=[]), lambda f: f["rules"][0].update(profile={"unix_sockets": "all"}),
    lambda f: f["rules"][0].update(profile={"sockets": "any"}), lambda f: f["groups"].update({"g": {"why": "w", "syscalls": ["read"]}}),
    lambda f: f["groups"]["@g"].pop("why"), lambda f: f["rules"].append({"include": "a/b"}),
    lambda f: f["rules"].append({"include": "groups", "why": "w"}), condition(arg=6), condition(width=None), condition(width=33),
    condition(op="eq"), condition(value=None), condition(value=[]), condition(value=-1), condition(mask=1),
    condition(op="masked_equal"), condition(op="any_bit", mask=1), condition(op="less", value=[1, 2]), condition(value=1.5),
]
FILTER_VARIANTS = [
    lambda f: f.update({"$schema": "s"}), lambda f: f["rules"].append({"include": "groups"}), condition(), condition(value=[1, "0x2", "S_ISUID|S_ISGID"]),
    condition(op="masked_equal", mask=3, value=[1, 2]), condition(op="any_bit", mask="04000", value=None), condition(width=64),
    lambda f: f["rules"][0].update(profile={"unix_sockets": "any"}), lambda f: f["foreign_abi"].update(action="kill_process") or f["foreign_abi"].pop("errno"),
]
PROFILE_MISTAKES = [
    lambda p: p.pop("filter"), lambda p: p.pop("limits"), lambda p: p.update(root=["usr"]), lambda p: p.update(roots=[]),
    lambda p: p.update(roots=["usr", "usr"]), lambda p: p.update(networks=["all"]), lambda p: p.update(workspace="ro"),
    lambda p: p.update(proc="none"), lambda p: p.update(unix_sockets="some"), lambda p: p.update(user_root=1),
    lambda p: p["tmpfs"][0].update(mode="4777"), lambda p: p["tmpfs"][0].update(size="1MB"), lambda p: p["tmpfs"][0].pop("inodes"),
    lambda p: p["tmpfs"][0].update(path="tmp"), lambda p: p["etc"].append("/etc/x"), lambda p: p["env"].update({"A=B": "c"}),
    lambda p: p["env"].update(A=1), lambda p: p["limits"].update(nofile=0), lambda p: p["limits"].update(nofile="1"),
    lambda p: p["limits"].update(wall_time="1 s"), lambda p: p["limits"].update(memory_maxx=1), lambda p: p.update(description=""),
    lambda p: p.update(roots=["usr"], files={"../x": "ruby-lint.rb"}), lambda p: p.update(roots=["usr"], files={"x": "a/b"}),
    lambda p: p.update(landlock={"tcp_bind": [65536]}), lambda p: p.update(landlock={"execute": []}), lambda p: p.update(landlock={"udp": []}),
    lambda p: p.update(landlock={"optional": ["execute"]}), lambda p: p.update(landlock={"read": ["/"]}),
    lambda p: p.update(landlock={"write": ["@home"]}), lambda p: p.update(landlock={"ioctl": ["/tmp"]}), lambda p: p.update(landlock={"scopes": ["all"]}),
    lambda p: p.update(landlock={"read": []}), lambda p: p.update(terminals=257), lambda p: p.update(users=["1"]), lambda p: p.update(users="a"),
    lambda p: p.update(groups=[-1]), lambda p: p.update(groups=[4294967295]), lambda p: p.update(users=["a", "a"]), lambda p: p.update(users=[1, 1]),
    lambda p: p.update(redaction={}), lambda p: p.update(redaction={"names": ["a b"]}), lambda p: p.update(redaction={"names": ["A", "A"]}),
    lambda p: p.update(redaction={"names": ["A" * 65]}), lambda p: p.update(redaction={"names": [], "values": []}),
    lambda p: p.update(redaction={"names": [f"A{i}" for i in range(65)]}),
    lambda p: p.update(reasons={"filter": {"why": "w"}}), lambda p: p.update(reasons={"filter": {}}), lambda p: p.update(reasons={"filter": {"lint": " "}}),
    lambda p: p["limits"].update(pids_max="infinity"), lambda p: p["limits"].update(cpu_max=0), lambda p: p["limits"].update(cpu_weight=0),
    lambda p: p["limits"].update(memory_max="half"), lambda p: p["limits"].update(cpu_max="1,5"),
]
PROFILE_VARIANTS = [
    lambda p: p.update(terminals=0), lambda p: p.update(redaction={"names": ["*TOKEN*", "api-key", "a.b"]}), lambda p: p.update(redaction={"names": []}),
    lambda p: p.update(landlock={"read": ["/usr", "@workspace"], "write": [], "truncate": ["@scratch"], "ioctl": ["/dev/pts"],
                                 "scopes": ["abstract_unix", "signal"], "optional": ["truncate", "ioctl", "scopes"]}),
    lambda p: p.update(users=["alice", 0, "svc$"], groups=[]), lambda p: p.update(users=None),
    lambda p: p.update(landlock={"tcp_connect": [443], "tcp_bind": [], "execute": ["/usr"], "optional": ["tcp"]}),
    lambda p: p.update(roots=["usr"], files={"ruby/lint.rb": "ruby-lint.rb"}, reasons={"filter": {"boundary": "b"}, "env.PATH": {"lint": "l"}}),
    lambda p: p.update(binds=[]), lambda p: p["limits"].update(wall_time=90), lambda p: p["limits"].update(wall_time="5min", file_size_max=4096),
    lambda p: p["limits"].update(memory_max=4096, memory_swap_max=0, cpu_max=0.5, cpu_weight=50, io_max_rbps="1M", io_max_riops=10),
    lambda p: p["limits"].update(cpu_max="0.5", memory_swap_max="infinity", cpu_time="5s", idle_time=5, output_max="infinity"),
    lambda p: p["env"].update(A=None), lambda p: p["tmpfs"][0].pop("mode"), lambda p: p.update(inherits="strict") or p.pop("limits") and p.pop("tmpfs"),
]

PRESET = {"name": "mine", "description": "d", "limits": {"memory_max": ["1G", "half"], "cpu_max": 0.5, "pids_max": 64}}
PRESET_MISTAKES = [
    lambda p: p.update(filter="default"), lambda p: p.update(name="a b"), lambda p: p["limits"].update(memory_max=[]),
    lambda p: p["limits"].update(memory_max="quarter"), lambda p: p["limits"].update(nofile="half"), lambda p: p["limits"].update(disk_max=1),
    lambda p: p["limits"].update(wall_time=0), lambda p: p["limits"].update(cpu_weight=10001), lambda p: p["limits"].update(nofile="infinity"),
]
PRESET_VARIANTS = [
    lambda p: p.update(limits={}), lambda p: p["limits"].update(cpu_max="infinity", wall_time="infinity", memory_swap_max=0),
    lambda p: p["limits"].update(memory_max="half", memory_high=["64M", "half"]), lambda p: p["limits"].update(inodes_max="infinity"),
]


def schema_of(kind):
    schema = json.loads((FOLDERS[kind] / "schema" / f"{kind}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def tool_takes(path):
    return subprocess.run([TOOL, "check", str(path)], env=ENVIRONMENT, capture_output=True, text=True, check=False)


def compare(kind, right, changes, wanted):
    schema, problems = schema_of(kind), []
    for index, change in enumerate(changes):
        value = copy.deepcopy(right)
        change(value)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"{right['name']}.json")
            pathlib.Path(path).write_text(json.dumps(value))
            done = tool_takes(path)
        for who, takes in (("schema", schema.is_valid(value)), ("parser", done.returncode == 0)):
            if takes != wanted:
                problems.append(f"{kind} {index}: the {who} {'takes' if takes else 'refuses'} {json.dumps(value)[:300]} {done.stderr}")
    return problems


def main():
    problems = []
    for kind in ("filter", "profile", "preset"):
        for path in sorted((FOLDERS[kind] / f"{kind}s").glob("*.json")):
            problems += [f"{path}: {error.message}" for error in schema_of(kind).iter_errors(json.loads(path.read_text()))]
            if (done := tool_takes(path)).returncode != 0:
                problems.append(done.stderr)
    schema_of("config")
    profile = json.loads((SOURCE / "profiles" / "default.json").read_text())
    problems += compare("filter", FILTER, [lambda f: None] + FILTER_VARIANTS, True) + compare("filter", FILTER, FILTER_MISTAKES, False)
    problems += compare("profile", profile, PROFILE_VARIANTS, True) + compare("profile", profile, PROFILE_MISTAKES, False)
    problems += compare("preset", PRESET, [lambda p: None] + PRESET_VARIANTS, True) + compare("preset", PRESET, PRESET_MISTAKES, False)
    print("\n".join(problems) or f"{len(FILTER_MISTAKES) + len(PROFILE_MISTAKES) + len(PRESET_MISTAKES)} mistakes, all seen by both")
    return 1 if problems else 0


sys.exit(main())
