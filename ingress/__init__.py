"""The HTTP edge. It imports neither worker, workflows nor handlers: it is deployed separately and has to start fast."""

from ingress.admin import AdminServer, listen
from ingress.app import create_app
from ingress.limits import Limits
from ingress.listening import Server
from ingress.sources import Source, truto_source

__all__ = ["AdminServer", "Limits", "Server", "Source", "create_app", "listen", "truto_source"]
