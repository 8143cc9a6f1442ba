"""Bytes in JSON: a string where they are UTF-8 and that is not the longer one, else {"b64": "..."} (RFC 4648 section 4)."""

from __future__ import annotations

import base64
import binascii
import json
import os
from typing import Any, Dict, Union

Text = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
JsonBytes = Union[str, Dict[str, str]]


def to_json(value: Text) -> JsonBytes:
    """str is encoded as the file system's names are (UTF-8, surrogateescape)."""
    raw = os.fsencode(value)
    encoded = {"b64": base64.b64encode(raw).decode("ascii")}
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return encoded
    # Control characters take six bytes each in a JSON string.
    return text if _length(text) <= _length(encoded) else encoded


def data_to_json(data: Union[bytes, bytearray, memoryview]) -> JsonBytes:
    return to_json(bytes(data))


def from_json(value: Any) -> bytes:
    """ValueError when it is neither of the two."""
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"bytes that are not base64: {error}") from None
    raise ValueError(f"neither a string nor base64: {value!r:.100}")


def _length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8"))
