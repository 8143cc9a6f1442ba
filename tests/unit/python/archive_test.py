#!/usr/bin/env python3
"""What the Python module unpacks of a jail's tar stream, and what it refuses."""
import io
import os
import tarfile
import tempfile
import unittest

import sandboxd
from sandboxd import _archive


def entry(name, kind=tarfile.REGTYPE, content=b"", link="", mode=0o644):
    header = tarfile.TarInfo(name)
    header.type, header.size, header.linkname, header.mode = kind, len(content), link, mode
    return header, content


def archive(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, content in entries:
            tar.addfile(header, io.BytesIO(content))
    return io.BytesIO(out.getvalue())


class Case(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = holder.name
        self.to = os.path.join(self.top, "to")
        os.mkdir(self.to)

    def refused(self, *entries, **bounds):
        stream = entries[0] if isinstance(entries[0], io.BytesIO) else archive(*entries)
        with self.assertRaises(sandboxd.UnsafeArchive):
            _archive.unpack(stream, self.to, sandboxd.Bounds(**bounds))
        self.assertEqual(os.listdir(self.to), [])
        self.assertEqual(os.listdir(self.top), ["to"])


class Unpack(Case):
    def test_what_was_packed(self):
        source = os.path.join(self.top, "tree")
        os.makedirs(os.path.join(source, "sub/empty"))
        with open(os.path.join(os.fsencode(source), b"sub/\xff"), "wb") as file:
            file.write(b"content")
        os.chmod(file.name, 0o750)
        os.symlink("../sub/x" * 20, os.path.join(source, "sub/out"))
        os.unlink(os.path.join(source, "sub/out"))
        os.symlink("sub", os.path.join(source, "link"))
        out = io.BytesIO()
        _archive.pack(source, out)
        out.seek(0)
        self.assertEqual(_archive.unpack(out, self.to, sandboxd.Bounds()), [os.path.join(self.to, "tree")])
        copy = os.path.join(os.fsencode(self.to), b"tree/link/\xff")
        with open(copy, "rb") as file:
            self.assertEqual(file.read(), b"content")
        self.assertEqual(os.stat(copy).st_mode & 0o7777, 0o750)
        self.assertEqual(os.listdir(os.path.join(self.to, "tree/sub/empty")), [])

    def test_no_setuid_bit(self):
        _archive.unpack(archive(entry("a", mode=0o6755)), self.to, sandboxd.Bounds())
        self.assertEqual(os.stat(os.path.join(self.to, "a")).st_mode & 0o7777, 0o755)

    def test_the_umask_holds(self):
        self.addCleanup(os.umask, os.umask(0o027))
        _archive.unpack(archive(entry("d", tarfile.DIRTYPE, mode=0o777), entry("d/f", mode=0o666)), self.to, sandboxd.Bounds())
        self.assertEqual(os.stat(os.path.join(self.to, "d")).st_mode & 0o7777, 0o750)
        self.assertEqual(os.stat(os.path.join(self.to, "d/f")).st_mode & 0o7777, 0o640)

    def test_replaces_nothing(self):
        os.mkdir(os.path.join(self.to, "b"))
        with self.assertRaises(FileExistsError):
            _archive.unpack(archive(entry("a"), entry("b")), self.to, sandboxd.Bounds())
        self.assertEqual(os.listdir(self.to), ["b"])


class Refuses(Case):
    def test_names_that_lead_out(self):
        for name in ("/abs", "../up", "a/../../up", "a/.."):
            with self.subTest(name):
                self.refused(entry("ok"), entry(name))

    def test_links_that_lead_out(self):
        for name, target in [("l", "/etc/passwd"), ("l", ".."), ("l", "../x"), ("a/l", "../../x"), ("l", "a/../../x"), ("l", "")]:
            with self.subTest(target):
                self.refused(entry(name, tarfile.SYMTYPE, link=target))

    def test_a_link_behind_a_link(self):
        self.refused(entry("a/b/up", tarfile.SYMTYPE, link="../.."), entry("l", tarfile.SYMTYPE, link="a/b/up/../x"))

    def test_writing_through_a_link(self):
        self.refused(entry("l", tarfile.SYMTYPE, link="."), entry("l/x", content=b"x"))
        self.refused(entry("l", tarfile.SYMTYPE, link="."), entry("l", content=b"x"))

    def test_other_kinds(self):
        for kind in (tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            with self.subTest(kind):
                self.refused(entry("a"), entry("b", kind, link="a"))

    def test_an_entry_twice(self):
        self.refused(entry("a"), entry("a"))
        self.refused(entry("a"), entry("a/b"))

    def test_what_exceeds_the_bounds(self):
        self.refused(entry("a"), entry("b"), entries=1)
        self.refused(entry("a", content=b"12345"), size=4)
        self.refused(entry("a/b/c"), depth=2)

    def test_a_size_below_zero(self):
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.REGTYPE):
            header = tarfile.TarInfo("d")
            header.type, header.linkname, header.pax_headers = kind, "x", {"size": "-1000000"}
            self.refused((header, b""), entry("f", content=b"x" * 200), size=100)

    def test_global_headers_without_end(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={f"k{i}": "v" for i in range(1001)}) as tar:
            tar.addfile(entry("f")[0])
        self.refused(io.BytesIO(out.getvalue()))

    def test_headers_that_lie(self):
        good = archive(entry("a", content=b"x" * 600)).getvalue()
        self.refused(io.BytesIO(good[:700]))
        self.refused(io.BytesIO(b"x" * 1024))
        self.refused(io.BytesIO(b""))
        negative, huge = tarfile.TarInfo("a"), tarfile.TarInfo("a")
        negative.size, huge.size, huge.type = -512, 1 << 40, tarfile.XHDTYPE
        for header in (negative, huge):
            self.refused(io.BytesIO(header.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024))


if __name__ == "__main__":
    unittest.main()
