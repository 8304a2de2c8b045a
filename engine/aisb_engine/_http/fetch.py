"""Send requests outside the hot path, and explain in plain words why a service cannot be reached.

Every transport takes its connection settings from here: the trusted certificates, the proxy, and the message
for the user when a connection fails.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aisb._backend import Fetched, HttpBackend, host_and_port
from aisb._errors import ServiceError, UsageError
from aisb._types import Failure
from aisb_engine._headers import own_headers

if TYPE_CHECKING:
    import ssl


class SilentServiceError(ServiceError):
    """The service does not answer now; it may still be starting."""


_SILENT = ("refused the connection", "closed the connection", "did not answer", "no connection to")
_NOT_SILENT = ("too many open files", "free file handles", "no free local port")


def _unreachable(message: str) -> ServiceError:
    """Return the error for a service that cannot be reached; its class depends on the reason."""
    silent = any(words in message for words in _SILENT) and not any(words in message for words in _NOT_SILENT)
    return SilentServiceError(message) if silent else ServiceError(message)


async def fetch(
    backend: HttpBackend,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    timeout: float = 10.0,  # noqa: ASYNC109 - httpx applies it
) -> Fetched:
    """Send one request to a backend's service: GET, or POST when there is a body.

    An HTTP error status is returned, not raised.

    Raises:
        ServiceError: the service does not answer; the message says what to try.
        ConfigError: a header cannot be sent.
    """
    if backend.transport == "native" and proxy_for(backend.url) is None:
        return await _fetch_natively(backend, path, body, timeout)
    import httpx
    import orjson

    url = backend.url + path
    headers = {"accept-encoding": "identity", **own_headers(backend)}
    content = None
    if body is not None:
        headers["content-type"] = "application/json"
        content = orjson.dumps(body)
    try:
        async with httpx.AsyncClient(
            verify=httpx_tls_context(backend),
            proxy=proxy_for(backend.url),
            trust_env=False,
            timeout=timeout,
        ) as client:
            reply = await client.request(
                "GET" if body is None else "POST", url, headers=headers, content=content
            )
            return Fetched(reply.status_code, dict(reply.headers), reply.content)
    except httpx.ConnectTimeout as error:
        raise SilentServiceError(
            f"no connection to {host_and_port(url)} within {timeout:g} s; {_CHECK_URL}"
        ) from error
    except httpx.TimeoutException as error:
        raise SilentServiceError(
            f"{host_and_port(url)} accepted a connection but did not answer {path} within {timeout:g} s; "
            f"it may still be loading its model"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ImportError, ValueError) as error:
        raise _unreachable(why_unreachable(error, url)) from error


async def _fetch_natively(
    backend: HttpBackend,
    path: str,
    body: Mapping[str, Any] | None,
    timeout: float,  # noqa: ASYNC109 - the transport applies it
) -> Fetched:
    """Fetch over the native transport: the import of httpx alone takes a tenth of a second."""
    import time

    from aisb._backend import HttpCall
    from aisb._errors import AttemptFailed
    from aisb_engine._http.assembly import wire
    from aisb_engine._http.native import NativeTransport
    from aisb_engine._http.reply import document
    from aisb_engine._http.transport import Exchange, TransportSettings
    from aisb_engine._spec import Timeouts
    from aisb_engine._stream import StreamReader

    limits = Timeouts(connect=timeout, first_byte=timeout, between_bytes=timeout, total=timeout)
    settings = TransportSettings(timeouts=limits, clock=time.perf_counter_ns, limit=1)
    transport = NativeTransport(backend, settings)
    exchange = Exchange(StreamReader())
    try:
        call = HttpCall(path, body, method="GET" if body is None else "POST")
        await transport.exchange(wire(backend, transport, call), exchange)
        data = document(exchange)
    except AttemptFailed as error:
        raise _unreachable(_why_not_fetched(error.failure, backend.url, path, timeout)) from error
    finally:
        await transport.aclose()
    return Fetched(exchange.reader.status, exchange.reader.headers, data)


def _why_not_fetched(failure: Failure, url: str, path: str, timeout: float) -> str:
    if failure.kind == "timeout":
        return (
            f"{host_and_port(url)} accepted a connection but did not answer {path} within {timeout:g} s; "
            f"it may still be loading its model"
        )
    if failure.kind == "cut":
        return f"{host_and_port(url)} closed the connection; does it speak {_other_scheme(url)} instead?"
    if failure.message.startswith("no connection to") and failure.message.endswith(" s"):
        return f"{failure.message}; {_CHECK_URL}"
    return (
        failure.message
        if failure.kind == "connect"
        else f"no usable answer from {host_and_port(url)}: {failure.message}"
    )


_CHECK_URL = "check the address (url, --url) and that no firewall stands between"


def tls_context(backend: HttpBackend) -> ssl.SSLContext | None:
    """Return the TLS context for a backend's options; None for plain HTTP.

    Raises:
        UsageError: the file `ca_file` cannot be read or holds no certificate.
    """
    if not backend.url.startswith("https://"):
        return None
    import ssl

    try:
        context = ssl.create_default_context(cafile=backend.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"ca_file = {backend.ca_file!r} is not a file of certificates in PEM form "
            f"({error.strerror or error})"
        ) from error
    if not backend.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def httpx_tls_context(backend: HttpBackend) -> ssl.SSLContext:
    """Return the TLS context for a client of httpx, which wants one for plain HTTP, too.

    Raises:
        UsageError: as `tls_context`.
    """
    return tls_context(backend) or _unused_tls_context()


@functools.cache  # reading the certificates of this machine takes 50 ms
def _unused_tls_context() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


def proxy_for(url: str) -> str | None:
    """Return the proxy for a URL from the environment variables; never one for an address of this machine."""
    if not any(os.environ.get(name) for name in PROXY_VARIABLES if name.lower() != "no_proxy"):
        return None
    import ipaddress
    import urllib.request

    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost" or host.endswith(".localhost")
    proxies = urllib.request.getproxies_environment()
    if loopback or urllib.request.proxy_bypass_environment(host, proxies):  # type: ignore[attr-defined]
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy or None


PROXY_VARIABLES = tuple(
    name for kind in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{kind}_PROXY", f"{kind}_proxy".lower())
)
"""The environment variables for proxies."""


def why_unreachable(error: BaseException, url: str) -> str:
    """Explain in one line why a connection to a URL failed, and what to try."""
    import errno
    import socket
    import ssl

    where = host_and_port(url)
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the TLS certificate of {where} is not trusted ({cause.verify_message}); "
                f"name its authority with ca_file, or set verify = false"
            )
        if isinstance(cause, ssl.SSLError):
            return f"no TLS connection to {where} ({cause.reason or cause}); does it speak http:// instead?"
        if isinstance(cause, socket.gaierror):
            return (
                f"the host name of {where} cannot be resolved ({cause.strerror}); check the spelling of url"
            )
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    for number, text in (
        (errno.ECONNREFUSED, f"{where} refused the connection; is the service running, and on this port?"),
        (
            errno.EMFILE,
            f"no connection to {where}: too many open files; raise `ulimit -n` or lower concurrency",
        ),
        (errno.ENFILE, f"no connection to {where}: this machine has no free file handles; lower concurrency"),
        (errno.EADDRNOTAVAIL, f"no connection to {where}: no free local port; lower concurrency"),
        (errno.ETIMEDOUT, f"no connection to {where}: it does not answer; {_CHECK_URL}"),
        (errno.EHOSTUNREACH, f"no route to {where}; {_CHECK_URL}"),
        (errno.ENETUNREACH, f"no route to {where}; {_CHECK_URL}"),
        (errno.ECONNRESET, f"{where} closed the connection; does it speak {_other_scheme(url)} instead?"),
    ):
        # An error that combines several failures (one for each address of a name) has them only in its text.
        if number in numbers or os.strerror(number) in str(error) or f"[Errno {number}]" in str(error):
            return text
    if any(isinstance(cause, ConnectionResetError) for cause in causes):
        return f"{where} closed the connection; does it speak {_other_scheme(url)} instead?"
    return f"no usable answer from {where}: {error or type(error).__name__}"


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _other_scheme(url: str) -> str:
    return "http://" if url.startswith("https://") else "https://"
