"""Shown in jails of the profile `python` as /etc/sandboxd/python/sitecustomize.py and imported by every Python at its start.

A lint, no boundary: code that wants past it gets past it, in its own process. It tells honest code early and clearly what this
profile isn't for: modules that reach below Python, where only the kernel's limits hold."""
import sys

_REFUSED = frozenset({
    "_ctypes",           # any C function and any address, and with them everything below
    "_cffi_backend",     # as ctypes
    "_testcapi", "_testinternalcapi",  # the interpreter's own insides
    "_xxsubinterpreters",  # crashes rather than raises
    "ctypes", "cffi",
})


def _make_hook(refused, error):
    # Bound here: a later change of this module's globals changes nothing.
    def hook(event, arguments):
        if event == "import" and arguments[0] in refused:
            raise error(f"import of '{arguments[0]}' is refused by the jail's profile 'python'; take a module without it, or another profile",
                        name=arguments[0])
    return hook


sys.addaudithook(_make_hook(_REFUSED, ImportError))
del sys
