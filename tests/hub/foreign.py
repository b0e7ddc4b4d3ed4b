"""Flask-WebSub, which others wrote, as subscriber and as hub: real servers on 127.0.0.1, in threads that end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flask
from flask_websub.hub import Hub, SQLite3HubStorage
from flask_websub.subscriber import SQLite3SubscriberStorage, SQLite3TempSubscriberStorage, Subscriber, discover
from werkzeug.serving import make_server

__all__ = ["EagerTasks", "FlaskHub", "FlaskSubscriber", "discover"]


class EagerTasks:
    """What Flask-WebSub needs of Celery: tasks run at once, beside the request that asked for them."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(4)

    def task(self, *, bind: bool = False, **_: Any) -> Callable[[Callable[..., Any]], Any]:
        def made(work: Callable[..., Any]) -> Any:
            class Task:
                class request:  # noqa: N801  # Celery's name
                    retries = 0

                def __call__(self, *args: Any) -> Any:
                    return work(self, *args) if bind else work(*args)

                def retry(self, **_: Any) -> None:
                    """A callback that fails is not tried again here."""

                def delay(self, *args: Any) -> None:
                    outer.pool.submit(self, *args)

            return Task()

        outer = self
        return made


class _Served:
    """A Flask application on a port of its own."""

    def __init__(self) -> None:
        self.app = flask.Flask(type(self).__name__)
        self.server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Any:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class FlaskSubscriber(_Served):
    """`heard` are the bodies it took, `confirmed` the modes that hubs have verified."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.heard: list[tuple[str, bytes]] = []
        self.confirmed: list[str] = []
        self.subscriber = Subscriber(
            SQLite3SubscriberStorage(str(folder / f"subscriber{self.server.server_port}.db")),
            SQLite3TempSubscriberStorage(str(folder / f"waiting{self.server.server_port}.db")),
        )
        self.app.register_blueprint(self.subscriber.build_blueprint(url_prefix="/callbacks"))
        self.subscriber.add_listener(lambda topic, callback, body: self.heard.append((topic, body)))
        self.subscriber.add_success_handler(lambda topic, callback, mode: self.confirmed.append(mode))

    def subscribe(self, topic: str, hub: str) -> str:
        with self.app.test_request_context(base_url=self.base):
            return str(self.subscriber.subscribe(topic_url=topic, hub_url=hub))

    def unsubscribe(self, callback: str) -> None:
        with self.app.test_request_context(base_url=self.base):
            self.subscriber.unsubscribe(callback)


class FlaskHub(_Served):
    """A hub that takes pings, fetches the topic and distributes it; `pinged` are the topics."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.tasks = EagerTasks()
        self.pinged: list[str] = []
        hub = Hub(SQLite3HubStorage(str(folder / "hub.db")), self.tasks)
        self.app.config["PUBLISH_SUPPORTED"] = True
        self.app.register_blueprint(hub.build_blueprint(url_prefix="/hub"))
        self.app.before_request(self._note)

    def _note(self) -> None:
        if flask.request.form.get("hub.mode") == "publish":
            self.pinged.append(flask.request.form["hub.topic"])

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.tasks.pool.shutdown()
