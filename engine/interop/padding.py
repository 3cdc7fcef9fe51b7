"""Padmé with a mark (docs/protocol.md, section 4.1)."""

from crypto import Refused


def padme(length):
    length = max(length, 32)
    e = length.bit_length() - 1
    s = (e.bit_length() - 1) + 1
    step = 1 << (e - s)
    return (length + step - 1) // step * step


def pad(data):
    return data + b"\x80" + bytes(padme(len(data) + 1) - len(data) - 1)


def unpad(padded):
    data = padded.rstrip(b"\0")
    if data[-1:] != b"\x80":
        raise Refused("no padding mark")
    data = data[:-1]
    if len(padded) != padme(len(data) + 1):
        raise Refused("padded to another length")
    return data
