"""OCI artifacts, pulled from the registry that their name says: the `Artifacts` of a node that may ask.

The protocol is the OCI distribution specification's: a manifest by tag or digest, a blob by digest, and where the
registry wants one, an anonymous bearer token. The transport is urllib3, which does HTTP and nothing else.

What is asked, and what is not:

- the registry in the reference, over HTTPS; over plain HTTP too where it is this machine's own (localhost, 127.0.0.0/8,
  ::1) or where the node's /etc/containers/registries.conf calls it insecure;
- the token service and the blob store that this registry itself points to, over HTTPS, or where the registry speaks
  plain HTTP on the registry's own host;
- nobody else: no proxy, no mirror, no credentials.

A question takes `DEADLINE` seconds at the most. Nothing is cached: a tag may move between two containers, as it may for
CRI-O. What goes wrong is told in the words of CRI-O's image library, as far as they do not depend on its resolver.
Source: containers/image docker/docker_client.go, docker/errors.go, docker/distribution_error.go.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import time
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode, urljoin, urlsplit

from runtimes.artifacts import ArtifactFault, Manifest
from runtimes.errors import BadInput
from runtimes.files import FileFault
from runtimes.gojson import GoJsonFault, loads, quote
from shim.images import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3 import BaseHTTPResponse

    from runtimes.files import Files
    from shim.images import Reference

CONNECT_TIMEOUT, READ_TIMEOUT, DEADLINE = 5.0, 5.0, 20.0  # seconds
REGISTRIES_CONF = "/etc/containers/registries.conf"

_MANIFEST_LIMIT = 4 << 20  # bytes, as in CRI-O's image library
_REPLY_LIMIT = 1 << 20  # bytes of any other reply
_CHUNK = 1 << 16
_REDIRECTS = 5
_OK, _UNAUTHORIZED, _TOO_MANY, _CLIENT_ERRORS = 200, 401, 429, range(400, 500)
_MOVED = {301, 302, 303, 307, 308}
_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
# A pull is a few requests, so connections are not kept: nothing is left open when it is over.
_HEADERS = {"User-Agent": "crishim", "Connection": "close"}
_HOSTS = {"docker.io": "registry-1.docker.io"}
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?")
# What the registry API's codes say by themselves; a message that says just this stands without its code.
_DEFAULT_MESSAGES = {
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "UNAVAILABLE": "service unavailable",
    "TOOMANYREQUESTS": "too many requests",
    "NAME_INVALID": "invalid repository name",
    "NAME_UNKNOWN": "repository name not known to registry",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "MANIFEST_INVALID": "manifest invalid",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "TAG_INVALID": "manifest tag did not match URI",
}


class Registries:
    """Every registry that can be named. `files` is where the node's registries.conf is."""

    def __init__(
        self, files: Files, *, connect: float = CONNECT_TIMEOUT, read: float = READ_TIMEOUT, deadline: float = DEADLINE
    ) -> None:
        self._files = files
        self._connect, self._read, self._deadline = connect, read, deadline

    def manifest(self, reference: str, digest: str = "") -> Manifest:
        """Return a manifest (see `runtimes.artifacts`). Raises `ArtifactFault`."""
        name = _parsed(reference)
        with self._repository(name) as repository:
            return repository.manifest(digest or name.digest or name.tag)

    def blob(self, reference: str, digest: str, limit: int) -> bytes:
        """Return a blob. Raises `ArtifactFault`."""
        with self._repository(_parsed(reference)) as repository:
            return repository.blob(digest, limit)

    @contextlib.contextmanager
    def _repository(self, name: Reference) -> Iterator[_Repository]:
        from urllib3 import PoolManager, Timeout  # noqa: PLC0415  most containers are made without a registry

        timeout = Timeout(connect=self._connect, read=self._read)
        plain = _LOOPBACK.fullmatch(name.domain) is not None or _insecure(self._files, name)
        with PoolManager(retries=False, timeout=timeout) as pool:
            yield _Repository(name, pool, plain=plain, until=time.monotonic() + self._deadline)


class _Repository:
    """One repository during one call."""

    def __init__(self, name: Reference, pool: Any, *, plain: bool, until: float) -> None:
        self.name, self.pool, self.plain, self.until = name, pool, plain, until
        self.host = _HOSTS.get(name.domain, name.domain)
        self.scheme = ""
        self.challenge = ""
        self.stage = "manifest"

    def manifest(self, tag_or_digest: str) -> Manifest:
        reply = self._get(f"{self.name.path}/manifests/{tag_or_digest}", {"Accept": _ACCEPT})
        if reply.status != _OK:
            self._fail(f"reading manifest {tag_or_digest} in {self.name.name}: {self._reason(reply)}")
        content = self._content(reply, _MANIFEST_LIMIT + 1)
        if len(content) > _MANIFEST_LIMIT:
            self._fail(f"exceeded maximum allowed size of {_MANIFEST_LIMIT} bytes")
        return Manifest(reply.headers.get("Content-Type", "").partition(";")[0].strip().lower(), content)

    def blob(self, digest: str, limit: int) -> bytes:
        self.stage = "blob"
        reply = self._get(f"{self.name.path}/blobs/{digest}", {})
        if reply.status != _OK:
            self._fail(f"fetching blob: {self._reason(reply)}")
        return self._content(reply, limit)

    def _get(self, path: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Ask the registry, with a token where it wants one, and go where it sends us."""
        self._ping()
        base = f"{self.scheme}://{self.host}"
        token = self._token()
        url, credentials = f"{base}/v2/{path}", {"Authorization": f"Bearer {token}"} if token else {}
        reply = self._request(url, {**headers, **credentials})
        redirects = 0
        while reply.status in _MOVED:
            reply.close()
            redirects += 1
            if redirects > _REDIRECTS:
                self._fail(f'Get "{url}": stopped after {_REDIRECTS} redirects')
            target = urljoin(url, reply.headers.get("Location", ""))
            self._check_target(target)
            if urlsplit(target).netloc != self.host:
                credentials = {}
            url = target
            reply = self._request(url, {**headers, **credentials})
        return reply

    def _ping(self) -> None:
        """Find out how the registry is spoken to."""
        faults = []
        for scheme in ("https", "http") if self.plain else ("https",):
            try:
                reply = self._request(f"{scheme}://{self.host}/v2/", {})
            except ArtifactFault as fault:
                faults.append(str(fault))
                continue
            if reply.status in (_OK, _UNAUTHORIZED):
                self.challenge = reply.headers.get("WWW-Authenticate", "") if reply.status == _UNAUTHORIZED else ""
                self.scheme = scheme
                reply.close()
                return
            faults.append(self._reason(reply))
        self._fail(f"pinging container registry {self.host}: {faults[-1]}")

    def _token(self) -> str:
        """Return the anonymous token for pulling from this repository, "" where none is wanted."""
        kind, _, rest = self.challenge.partition(" ")
        if kind.lower() != "bearer":
            return ""
        told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = told.get("realm", "")
        if not realm:
            self._fail("missing realm in bearer auth challenge")
        self._check_target(realm)
        query = {"scope": f"repository:{self.name.path}:pull"}
        query |= {"service": told["service"]} if told.get("service") else {}
        mark = "&" if "?" in realm else "?"
        reply = self._request(f"{realm}{mark}{urlencode(query)}", {})
        if reply.status == _UNAUTHORIZED:
            reason = self._reason(reply)
            self._fail(f"unable to retrieve auth token: invalid username/password: {reason}")
        if reply.status != _OK:
            reply.close()
            self._fail(f"Requesting bearer token: {_status(reply)}")
        try:
            answer = loads(self._content(reply, _REPLY_LIMIT))
        except GoJsonFault as fault:
            self._fail(f"decoding bearer token: {fault}")
        answer = answer if isinstance(answer, dict) else {}
        token = str(answer.get("token") or answer.get("access_token") or "")
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            self._fail("decoding bearer token: it has characters that no header can carry")
        return token

    def _check_target(self, url: str) -> None:
        """See that the registry sends us where we may go: over HTTPS, or to itself as it is spoken to already."""
        target = urlsplit(url)
        if target.scheme == "https" or (target.scheme == self.scheme and target.netloc == self.host):
            return
        self._fail(f"{self.host} points to {url}, which is neither HTTPS nor the registry itself")

    def _request(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        from urllib3.exceptions import HTTPError, ProtocolError  # noqa: PLC0415  see above

        if time.monotonic() > self.until:
            self._fail(f'Get "{url}": context deadline exceeded')
        for is_last in (False, True):
            try:
                return self.pool.request(  # type: ignore[no-any-return]
                    "GET", url, headers={**_HEADERS, **headers}, redirect=False, preload_content=False
                )
            except (HTTPError, ValueError) as fault:
                # A connection that ends before a byte of the answer is tried again: asking twice changes nothing.
                if is_last or not isinstance(fault, ProtocolError):
                    self._fail(f'Get "{url}": {_in_go_words(fault, self.host)}')
        raise AssertionError("the last try returns or fails")

    def _content(self, reply: BaseHTTPResponse, limit: int) -> bytes:
        """Read a reply as far as the limit."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415  see above

        found = b""
        try:
            while len(found) < limit and (part := reply.read1(min(_CHUNK, limit - len(found)), decode_content=False)):
                found += part
                if time.monotonic() > self.until:
                    self._fail("context deadline exceeded while reading body")
        except HTTPError:
            self._fail("unexpected EOF")
        finally:
            reply.close()
        return found

    def _reason(self, reply: BaseHTTPResponse) -> str:
        """Say why a registry refused."""
        if reply.status not in _CLIENT_ERRORS:
            reply.close()
            return f"received unexpected HTTP status: {_status(reply)}"
        body = self._content(reply, _REPLY_LIMIT)
        told = _told(body)
        if told is None:
            if reply.status == _UNAUTHORIZED:
                return "unauthorized: " + _DEFAULT_MESSAGES["UNAUTHORIZED"]
            text = body.decode("utf-8", "replace")
            return f"StatusCode: {reply.status}, {quote(text[:50] + '...' if len(text) > 50 else text)}"  # noqa: PLR2004  as the library cuts it
        code, message = told
        default = _DEFAULT_MESSAGES.get(code, "")
        word = code.lower().replace("_", " ") if code in _DEFAULT_MESSAGES else "unknown"
        return message if message == default else f"{word}: {message or default}"

    def _fail(self, text: str) -> NoReturn:
        raise ArtifactFault(self.stage, text, str(self.name))


def _parsed(reference: str) -> Reference:
    try:
        name = parse(reference)
    except BadInput as fault:
        # The image library has an older spelling of this than the one that `parse` reads names by.
        text = re.sub(r"^(invalid reference format: repository name) \(.*\) (must be lowercase)$", r"\1 \2", fault.what)
        raise ArtifactFault("reference", text, reference) from None
    if name.digest and ":" in posixpath.basename(reference.partition("@")[0]):
        text = "Docker references with both a tag and digest are currently not supported"
        raise ArtifactFault("transport", text, reference)
    return name


def _insecure(files: Files, name: Reference) -> bool:
    """Whether registries.conf lets the registry do without TLS. The entry with the longest prefix decides."""
    import tomllib  # noqa: PLC0415  see above

    try:
        entries = tomllib.loads(files.read(REGISTRIES_CONF).decode()).get("registry") or []
    except (FileFault, ValueError):
        return False
    found: tuple[int, bool] = (0, False)
    for entry in entries if isinstance(entries, list) else ():
        prefix = str(entry.get("prefix") or entry.get("location") or "") if isinstance(entry, dict) else ""
        if prefix and (f"{name.name}/".startswith(prefix.rstrip("/") + "/")):
            found = max(found, (len(prefix), entry.get("insecure") is True))
    return found[1]


def _told(body: bytes) -> tuple[str, str] | None:
    """Return the code and message of the first error that a registry tells, None where it tells none."""
    try:
        value = loads(body)
    except GoJsonFault:
        return None
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("details"), str) and value["details"]:
        return "UNKNOWN", value["details"]
    errors = value.get("errors")
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], dict):
        return None
    return str(errors[0].get("code") or "UNKNOWN"), str(errors[0].get("message") or "")


def _status(reply: BaseHTTPResponse) -> str:
    return f"{reply.status} {reply.reason or ''}".rstrip()


def _in_go_words(fault: Exception, host: str) -> str:
    """Tell a fault of the transport as Go's HTTP client would, without what its resolver adds."""
    from urllib3 import exceptions  # noqa: PLC0415  see above

    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    if isinstance(fault, exceptions.NameResolutionError):
        return f"dial tcp: lookup {name}: no such host"
    if isinstance(fault, exceptions.NewConnectionError):
        cause = fault.__cause__ or fault.__context__
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(fault)
        return f"dial tcp {host}: connect: {reason[:1].lower()}{reason[1:]}"
    if isinstance(fault, exceptions.ConnectTimeoutError):
        return f"dial tcp {host}: i/o timeout"
    if isinstance(fault, exceptions.ReadTimeoutError):
        return "net/http: timeout awaiting response headers"
    return _of_tls(str(fault)) if isinstance(fault, exceptions.SSLError) else "EOF"


def _of_tls(text: str) -> str:
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text or "RECORD_LAYER" in text:
        return "http: server gave HTTP response to HTTPS client"
    found = re.search(r"certificate verify failed: ([^(]+)", text)
    return f"tls: failed to verify certificate: {found[1].strip()}" if found else "tls: handshake failure"
