"""Deterministic CBOR behind a version byte (docs/protocol.md, section 2), hand-written: a second opinion on every byte.

Only what the protocol uses: unsigned integers, byte and text strings, arrays, null, true and false.
A shape is a function that takes a decoded item and returns it, or raises `Malformed`.
"""

VERSION = 1
FRAME = 1 << 20


class Malformed(ValueError):
    pass


# --- items ---------------------------------------------------------------------------------------------------------

def _head(major, n):
    for code, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * width:
            return bytes([major << 5 | code]) + n.to_bytes(width, "big")
    raise Malformed("number over 64 bit")


def encode(item):
    if item is None or isinstance(item, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[item]
    if isinstance(item, int) and item >= 0:
        return _head(0, item)
    if isinstance(item, (bytes, bytearray)):
        return _head(2, len(item)) + bytes(item)
    if isinstance(item, str):
        text = item.encode()
        return _head(3, len(text)) + text
    if isinstance(item, (list, tuple)):
        return _head(4, len(item)) + b"".join(map(encode, item))
    if isinstance(item, Struct):
        return encode(item.items())
    raise TypeError(f"no CBOR for {type(item)}")


def _decode(data, at, depth):
    if at >= len(data):
        raise Malformed("cut short")
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if low not in (20, 21, 22):
            raise Malformed("simple value that is not used")
        return {20: False, 21: True, 22: None}[low], at
    if low < 24:
        n = low
    elif low <= 27:
        width = 1 << low - 24
        if at + width > len(data):
            raise Malformed("cut short")
        n, at = int.from_bytes(data[at:at + width], "big"), at + width
    else:
        raise Malformed("indefinite length")
    if major == 0:
        return n, at
    if major in (2, 3):
        if n > len(data) - at:
            raise Malformed("cut short")
        piece = data[at:at + n]
        try:
            return (piece if major == 2 else piece.decode()), at + n
        except UnicodeDecodeError:
            raise Malformed("text is not UTF-8") from None
    if major == 4:
        if n > len(data) - at or depth > 8:
            raise Malformed("array longer than its bytes, or too deep")
        items = []
        for _ in range(n):
            item, at = _decode(data, at, depth + 1)
            items.append(item)
        return items, at
    raise Malformed("type that is not used")


def decode(data):
    item, end = _decode(data, 0, 0)
    if end != len(data):
        raise Malformed("bytes after the end")
    if encode(item) != data:
        raise Malformed("not in deterministic form")
    return item


def versioned(item):
    return bytes([VERSION]) + encode(item)


def read_versioned(data, limit=FRAME):
    """Size, version, item, nothing after it, deterministic: in this order (R2, R3)."""
    data = bytes(data)
    if len(data) > limit:
        raise Malformed("over its size limit")
    if not data:
        raise Malformed("empty")
    if data[0] != VERSION:
        raise Malformed(f"unknown version {data[0]}")
    return decode(data[1:])


# --- shapes --------------------------------------------------------------------------------------------------------

def uint(bits=64):
    def shape(item):
        if isinstance(item, bool) or not isinstance(item, int) or item >> bits:
            raise Malformed(f"not an unsigned number of {bits} bit")
        return item
    return shape


def bstr(size=None):
    def shape(item):
        if not isinstance(item, bytes) or size not in (None, len(item)):
            raise Malformed(f"not a byte string of {size} bytes")
        return item
    return shape


def tstr(item):
    if not isinstance(item, str):
        raise Malformed("not a text")
    return item


def boolean(item):
    if not isinstance(item, bool):
        raise Malformed("not true or false")
    return item


def null(item):
    if item is not None:
        raise Malformed("not null")
    return item


def nullable(inner):
    return lambda item: None if item is None else inner(item)


def array(inner, least=0, most=None):
    def shape(item):
        if not isinstance(item, list) or len(item) < least or (most is not None and len(item) > most):
            raise Malformed("not an array of that length")
        return [inner(element) for element in item]
    return shape


def row(*shapes, optional=()):
    """`optional` fields may be left out at the end."""
    def shape(item):
        if not isinstance(item, list) or not len(shapes) <= len(item) <= len(shapes) + len(optional):
            raise Malformed("array with another number of fields")
        return [inner(element) for inner, element in zip((*shapes, *optional), item)]
    return shape


def variant(cases):
    """`[n, [fields]]`: `cases` maps n to (name, row). Read as (name, fields)."""
    def shape(item):
        number, fields = row(uint(), lambda x: x)(item)
        if number not in cases:
            raise Malformed(f"unknown variant {number}")
        name, inner = cases[number]
        return (name, inner(fields))
    return shape


class Struct:
    """A structure with named fields. Subclasses give `fields`, a dict of names and shapes in the order of the array."""

    fields = {}
    limit = FRAME               # encoded, in bytes

    def __init__(self, *values, **named):
        names = list(self.fields)
        named.update(zip(names, values))
        if set(named) != set(names):
            raise TypeError(f"{type(self).__name__} takes {names}")
        for name in names:
            setattr(self, name, named[name])

    def __eq__(self, other):
        return type(self) is type(other) and self.items() == other.items()

    def items(self):
        return [getattr(self, name) for name in self.fields]

    def bytes(self):
        return versioned(self.items())

    @classmethod
    def shape(cls, item):
        return cls(*row(*cls.fields.values())(item))

    @classmethod
    def read(cls, data):
        return cls.shape(read_versioned(data, cls.limit))
