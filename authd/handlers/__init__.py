"""The HTTP side: parse a request, call one service, answer. `routes.py` is the only URL table."""
