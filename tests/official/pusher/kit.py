"""What every case is given: a server, official clients of it, and an app's server that signs."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qs

import httpx
import pusher
from pusher.http import Request
from pusher.signature import sign

from chatkit.testing.emulators.pusher import PusherEmulator, PusherSettings
from tests.official.pusher.clients import Client, Clients
from tests.official.serving import Serving

MASTER_KEY: Final = base64.b64encode(b"0" * 32).decode()
NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """A Pusher-protocol server that serves."""

    host: str
    port: int
    app_id: str = "1001"
    key: str = "app-key"
    secret: str = "app-secret"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class AppServer:
    """Signs for clients with the official package, as `user`, as long as `mode` lets it; a context manager."""

    def __init__(self, official: pusher.Pusher) -> None:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                form = {
                    name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()
                }
                status, body = answer(self.path, form)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._official = official
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), name="app-server")
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    def _answer(self, path: str, form: dict[str, str]) -> tuple[int, str]:
        self.asked.append((path, form))
        mode, user = form.get("mode", ""), form.get("user", "ada")
        if mode == "forbid":
            return 403, "not for you"
        if path == "/pusher/user-auth":
            data = {"id": user, **json.loads(form.get("user_data", "{}"))}
            answer = self._official.authenticate_user(form["socket_id"], data)
        else:
            channel = form["channel_name"]
            member = None
            if channel.startswith("presence-") and mode != "signed-in":
                member = {"user_id": user, "user_info": json.loads(form.get("info", '{"name": "Ada"}'))}
            answer = self._official.authenticate(channel, form["socket_id"], member)
        if mode == "forge":
            answer["auth"] = answer["auth"][:-1] + ("0" if answer["auth"][-1] != "0" else "1")
        if mode == "key":
            answer["auth"] = "other" + answer["auth"]
        if mode == "shape":
            answer["auth"] = "nonsense"
        if "shared_secret" in answer:
            answer["shared_secret"] = answer["shared_secret"].decode()
        return 200, json.dumps(answer)


@dataclass
class Answered:
    """A call's answer. Third-party servers say the status in the body, with 200 for all."""

    response: httpx.Response

    @property
    def status(self) -> int:
        told = self.json
        if self.response.status_code == 200 and isinstance(told, dict) and "error" in told:
            return int(told["code"])
        return self.response.status_code

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.response.text)
        except ValueError:
            return None


@dataclass
class Kit:
    """A case's tools.

    Attributes:
        server: The one under test.
        clients: The Node that official clients live in.
        patience: Seconds to wait for what is to come.
    """

    server: Server
    clients: Clients
    patience: float = 5.0
    _opened: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.official = pusher.Pusher(
            app_id=self.server.app_id,
            key=self.server.key,
            secret=self.server.secret,
            host=self.server.host,
            port=self.server.port,
            ssl=False,
            encryption_master_key_base64=MASTER_KEY,
        )
        self.app = AppServer(self.official)
        self.http = httpx.Client(base_url=self.server.url, trust_env=False, verify=False)  # no TLS at all

    def __enter__(self) -> Self:
        self.app.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._opened:
            client.do("close")
        self.http.close()
        self.official._pusher_client.http.session.close()
        self.app.__exit__()

    # -- official clients

    def start(self, *, key: str | None = None, mode: str = "", **params: Any) -> Client:
        """A pusher-js client that begins to connect.

        What else is given goes to the app's server with each question; `options` are those of pusher-js.
        """
        options = {
            "wsHost": self.server.host,
            "wsPort": self.server.port,
            "forceTLS": False,
            "enabledTransports": ["ws"],
            "disableStats": True,
            "cluster": "",
            **params.pop("options", {}),
        }
        asked = {"mode": mode, **params}
        for purpose, path in (("channelAuthorization", "auth"), ("userAuthentication", "user-auth")):
            options[purpose] = {
                "endpoint": f"{self.app.url}/pusher/{path}",
                "transport": "ajax",
                "params": asked,
            }
        client = self.clients.open(key or self.server.key, options, patience=self.patience)
        self._opened.append(client)
        return client

    def client(self, **params: Any) -> Client:
        """Likewise, connected."""
        return self.start(**params).connected()

    def name(self, prefix: str = "") -> str:
        """A channel that no other case uses."""
        return f"{prefix}room-{next(NUMBERS)}"

    # -- the app's server

    def call(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        *,
        change: Callable[[Request], None] = lambda _: None,
    ) -> Answered:
        """Call the HTTP API below the app, signed by the official package, then changed."""
        whole = f"/apps/{self.server.app_id}/{path}"
        request = Request(self.official._pusher_client, method, whole, params)
        change(request)
        return Answered(
            self.http.request(method, request.signed_path, content=request.body, headers=request.headers)
        )

    def resign(self, request: Request) -> None:
        """Sign a changed request as it stands."""
        query = {name: value for name, value in request.query_params.items() if name != "auth_signature"}
        text = "&".join(f"{name}={query[name]}" for name in sorted(query))
        request.query_params = {
            **query,
            "auth_signature": sign(self.server.secret, f"{request.method}\n{request.path}\n{text}"),
        }

    # -- the emulator's control endpoint

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Let something go wrong."""
        answer = self.http.request(method, f"/_emulator{path}", json={} if body is None else body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def frame_fault(self, **fault: Any) -> None:
        self.control("POST", "/faults/frame", fault)

    def call_fault(self, **fault: Any) -> None:
        self.control("POST", "/faults/call", fault)

    def change(self, **settings: Any) -> None:
        self.control("PATCH", "/settings", settings)

    def advance(self, seconds: float) -> None:
        self.control("POST", "/clock", {"advance": float(seconds)})


@contextmanager
def emulator(**settings: Any) -> Generator[Server]:
    """An emulator as a hosted app is set up."""
    with Serving(lambda: PusherEmulator(PusherSettings(**settings))) as served:
        yield Server(served.host, served.port)
