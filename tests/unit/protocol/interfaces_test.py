#!/usr/bin/env python3
"""Our interface files, read by two parsers that others wrote: interfaces_test.py DIRECTORY."""

import os
import pathlib
import subprocess
import sys
import tempfile

TEST_PYTHON = os.environ.get("SANDBOXD_TEST_PYTHON", "/opt/sandboxd-test-venv/bin/python")
PARSE = """
import sys
from varlink.scanner import Interface
for path in sys.argv[1:]:
    with open(path) as file:
        interface = Interface(file.read())
    assert path.endswith('/' + interface.name + '.varlink'), (path, interface.name)
    for name, member in interface.members.items():
        assert member.doc or type(member).__name__ == '_Alias', 'undocumented: %s.%s' % (interface.name, name)
"""


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.varlink"))
    assert len(files) == 4, files
    subprocess.run([TEST_PYTHON, "-c", PARSE, *files], check=True, timeout=30)
    with tempfile.TemporaryDirectory() as directory:
        for file in files:
            # This generator's parser is of before capital letters were allowed in an interface's name.
            copy = pathlib.Path(directory, file.name.lower())
            text = file.read_text()
            copy.write_text(text.replace(f"interface {file.stem}\n", f"interface {file.stem.lower()}\n"))
            subprocess.run(["varlink-go-interface-generator", copy], check=True, timeout=30)
            assert list(pathlib.Path(directory).glob("*.go")), f"{file.name}: nothing generated"


main()
