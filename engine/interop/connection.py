"""The socket (docs/protocol.md, section 12). Not named `socket`, which is the standard library's."""

import time
from collections import deque
from urllib.parse import urlsplit

from websockets.sync.client import connect

from codec import FRAME, read_versioned, versioned
from structures import REQUESTS, SERVER_FRAME


class ServerRefused(Exception):
    def __init__(self, name, fields):
        super().__init__(f"{name} {fields}" if fields else name)
        self.name, self.fields = name, fields


def server_name(url):
    """The authority that is dialled, without the scheme's own port (R80)."""
    parts = urlsplit(url)
    own = {"ws": 80, "wss": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if parts.port in (None, own) else f"{host}:{parts.port}"


class Connection:
    def __init__(self, url, patience=20):
        self.name, self.patience = server_name(url), patience
        self.socket = connect(url.rstrip("/") + "/v1/socket", max_size=FRAME, open_timeout=patience, compression=None,
                              proxy=None)
        kind, fields = self._frame(patience)
        if kind != "hello":
            raise ValueError("the first frame is not a hello")
        self.nonce = fields[1]
        self.pushes, self.last = deque(), 0

    def _frame(self, timeout):
        data = self.socket.recv(timeout=timeout)
        if isinstance(data, str):
            raise ValueError("text frame")
        return SERVER_FRAME(read_versioned(data))

    def request(self, name, *fields):
        """The reply's (name, fields). Pushes that come in between are kept."""
        self.last += 1
        self.socket.send(versioned([self.last, [REQUESTS[name], list(fields)]]))
        until = time.monotonic() + self.patience
        while True:
            kind, got = self._frame(max(0.0, until - time.monotonic()))
            if kind == "push":
                self.pushes.append(got[0])
            elif kind == "letters wait":        # this client asks nobody for anything, and answers nobody
                pass
            elif kind == "reply" and got[0] in (0, self.last):      # 0: to a frame that the server could not read
                reply, answer = got[1]
                if reply == "refused":
                    raise ServerRefused(*answer[0])
                return reply, answer
            else:
                raise ValueError(f"unexpected {kind}")

    def push(self, timeout):
        """The next pushed entry, or None when none came in time."""
        if self.pushes:
            return self.pushes.popleft()
        until = time.monotonic() + timeout
        while True:
            try:
                kind, got = self._frame(max(0.0, until - time.monotonic()))
            except TimeoutError:
                return None
            if kind == "push":
                return got[0]
            if kind != "letters wait":
                raise ValueError(f"unexpected {kind}")

    def close(self):
        self.socket.close()
