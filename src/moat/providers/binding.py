"""Where a secret of the person's own goes: as it is typed, stored and shown, and told the proxy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moat.core.hosts import DEFAULT_PORTS, HostPattern
from moat.engine.inject import folded
from moat.engine.patterns import PathPattern
from moat.errors import UsageError
from moat.providers.fields import check_header, default_format
from moat.providers.interface import ProxyConfigurer, Where

_PARAMETER = re.compile(r"[A-Za-z0-9._~\[\]-]{1,64}")
_FORMAT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_WRITTEN = re.compile(r"https://(?P<host>[^/ ]+)(?P<path>/[^ ]*)? (?P<what>.+)")
_REPLACING = re.compile(r"placeholder in (?:(?P<where>header|query) (?P<name>\S+)|body)")

# The headers in which a client could log in as somebody else.
_LOGINS = ("Authorization", "X-Api-Key", "Api-Key", "Cookie")


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a secret goes: into a header by a format, or, where `where` says so, in the place of
    the placeholder in a header, a query parameter or bodies."""

    pattern: HostPattern
    path: PathPattern | None
    name: str
    format: str = "{}"
    where: Where | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Binding:
        """What was typed. Raises UsageError."""
        try:
            pattern = HostPattern.parse(options["host"])
            path = PathPattern.parse(options["path"]) if "path" in options else None
        except ValueError as error:
            raise UsageError(
                f"that is no place for a credential: {error}",
                hint="write --host api.example.com or --host '*.example.com:8443', and if need be "
                "--path '/v1/**'",
            ) from None
        if pattern.port == DEFAULT_PORTS["http"]:
            raise UsageError(
                f"--host {options['host']}: port 80 is for plain http, which carries no credential",
                hint="leave the port out for 443, or name the one that https is spoken at",
            )
        if "substitute" in options:
            return cls._substituting(pattern, path, options)
        header = check_header(options.get("header", "Authorization"))
        form = options.get("format", default_format(header))
        if form.count("{}") != 1 or not _FORMAT.fullmatch(form):
            raise UsageError(
                f"{form!r} is no format: {{}} stands in it once, where the secret goes",
                hint="for example: --format 'Bearer {}', or --format 'Token token={}'",
            )
        return cls(pattern, path, header, form)

    @classmethod
    def _substituting(
        cls, pattern: HostPattern, path: PathPattern | None, options: Mapping[str, str]
    ) -> Binding:
        if both := [f"--{name}" for name in ("header", "format") if name in options]:
            raise UsageError(
                f"{both[0]} and --substitute are two ways to put the secret in",
                hint="leave one of them out, or name the host again: --host … for each",
            )
        where, colon, name = options["substitute"].partition(":")
        match where:
            case "header" if colon:
                return cls(pattern, path, check_header(name), where="header")
            case "query" if _PARAMETER.fullmatch(name):
                return cls(pattern, path, name, where="query")
            case "body" if not colon:
                return cls(pattern, path, "", where="body")
        raise UsageError(
            f"--substitute: {options['substitute']!r} is no part of a request",
            hint="write header:NAME, query:PARAMETER or body",
        )

    @classmethod
    def parse(cls, text: str) -> Binding:
        """Read what `str` gives. Raises ValueError."""
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise ValueError(f"{text!r} is no binding")
        pattern = HostPattern.parse(written["host"])
        path = PathPattern.parse(written["path"]) if written["path"] else None
        if replacing := _REPLACING.fullmatch(written["what"]):
            where: Where = "query" if replacing["where"] == "query" else "header"
            if replacing["where"] is None:
                where = "body"
            return cls(pattern, path, replacing["name"] or "", where=where)
        name, colon, form = written["what"].partition(": ")
        if not colon or " " in name or form.count("{}") != 1:
            raise ValueError(f"{text!r} is no binding")
        return cls(pattern, path, name, form)

    def __str__(self) -> str:
        place = f"https://{self.pattern}{self.path or ''}"
        if self.where is None:
            return f"{place} {self.name}: {self.format}"
        return f"{place} placeholder in {self.where} {self.name}".rstrip()

    def configure(self, proxy: ProxyConfigurer, placeholder: str) -> None:
        """Tell the proxy."""
        own = self.name if self.where in (None, "header") else ""
        strips = tuple(name for name in _LOGINS if folded(name) != folded(own))
        if self.where is None:
            proxy.inject(self.pattern, self.name, format=self.format, strips=strips, path=self.path)
            return
        proxy.substitute(
            self.pattern,
            self.where,
            self.name,
            placeholder=placeholder,
            strips=strips,
            path=self.path,
        )


def check_bindings(bindings: Iterable[Binding]) -> None:
    """Refuse two for one place, of which one would win unseen. Raises UsageError."""
    seen = set()
    for binding in bindings:
        kind = "header" if binding.where is None else binding.where
        key = (binding.pattern, binding.path, kind, folded(binding.name))
        if key in seen:
            raise UsageError(
                f"two bindings put the secret into the same place: {binding}",
                hint="leave one of them out",
            )
        seen.add(key)
