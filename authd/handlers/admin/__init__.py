"""Administration, under /admin/: for administrators only."""

from typing import Any

from authd.handlers.admin import dashboard

ROUTES: list[tuple[str, type[Any]]] = [
    (r"/admin/?", dashboard.DashboardHandler),
]
