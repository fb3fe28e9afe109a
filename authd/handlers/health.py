"""Whether the daemon lives, and whether it is ready to work."""

from authd.handlers.base import Handler


class HealthHandler(Handler):
    """Alive: the event loop turns. Asks nothing and nobody."""

    api = True
    any_host = True

    async def get(self) -> None:
        self.write_json(200, {"status": "ok"})


class ReadyHandler(Handler):
    """Ready: no component has failed; 503 otherwise. Why is in the log: anybody may ask here."""

    api = True
    any_host = True

    async def get(self) -> None:
        components = await self.services.readiness()
        ready = all(component.state != "failed" for component in components.values())
        self.write_json(200 if ready else 503, {
            "status": "ready" if ready else "not ready",
            "components": {name: component.state for name, component in components.items()},
        })
