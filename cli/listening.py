"""Where processes listen."""

from __future__ import annotations

import socket

import structlog

from cli.settings import IngressSettings
from events import ConfigError

log = structlog.get_logger("cli")


def bind(host: str, port: int) -> list[socket.socket]:
    """A socket at each address of *host*, on which nobody listens yet; at ``::`` and ``*`` one for IPv4 and IPv6.

    Raises ``OSError`` where that cannot be, and leaves nothing bound.
    """
    both = host in ("::", "*") and socket.has_dualstack_ipv6()
    name = "::" if both else "0.0.0.0" if host == "*" else host  # noqa: S104  asked for
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, *_, address in found):
            bound.append(one := socket.socket(family, socket.SOCK_STREAM))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
            one.bind(address)
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound


def bind_or_refuse(host: str, port: int, option: str) -> list[socket.socket]:
    """As :func:`bind`, for a port that *option* chooses. Raises :class:`ConfigError` where it is in use."""
    try:
        return bind(host, port)
    except OSError as exc:
        why = "is in use by another process" if _is_taken(host, port) else f"cannot be used ({exc.strerror or exc})"
        raise ConfigError(f"port {port} {why}: end that one, or choose another with {option}") from None


def _is_taken(host: str, port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1" if host in ("*", "::", "0.0.0.0") else host, port), 1).close()  # noqa: S104
    except OSError:
        return False
    return True


def listen_for_operators(settings: IngressSettings) -> socket.socket | None:
    """The socket of the admin port; ``None`` where there is to be none, or its default is taken on this machine.

    Raises :class:`ConfigError` where a chosen one cannot be used.
    """
    from ingress import listen

    host, port = settings.admin_host, settings.admin_port
    if port is None:
        return None
    try:
        if port == settings.port:
            raise OSError("PORT, which is for deliveries, is the same")
        return listen(host, port)
    except OSError as exc:
        why = exc.strerror or str(exc)
        if settings.admin_port_is_chosen:
            fault = f"ADMIN_PORT: cannot listen on {host}:{port}; free it, choose another, or `off` ({why})"
            raise ConfigError(fault) from None
        log.warning(
            "admin_port_taken", host=host, port=port, reason=why, remedy="set ADMIN_PORT to a free port, or off"
        )
        return None
