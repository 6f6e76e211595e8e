"""Any credential, for any host: bound when it is granted, by the person and by nobody later.

A grant `header:NAME` has one secret and some bindings: at which host (and which paths of it) the
secret goes into which header, or in the place of the grant's placeholder.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path

from moat.core.secret import Secret
from moat.errors import GrantError, UsageError
from moat.providers.binding import Binding, check_bindings
from moat.providers.fields import PLAIN_NAME, check_credential, notes_on_length
from moat.providers.interface import Granted, GrantIO, GrantOption, MountConfig, ProxyConfigurer
from moat.providers.placeholder import placeholder_of
from moat.vault.credential import Credential, Facts

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def provider_for(name: str) -> Provider:
    """The provider of `header:NAME`. Raises UsageError."""
    if not PLAIN_NAME.fullmatch(name):
        raise UsageError(
            f"header:{name} is no grant: a name has small letters, digits, - and _",
            hint="for example: moat grant header mine --host api.example.com",
        )
    return Provider(name)


class Provider:
    """One credential of the person's own naming."""

    description = "any credential, for the hosts that are named when it is granted"
    grant_options = (
        GrantOption(
            "host",
            "HOST[:PORT]",
            "where it goes: a host, or *.DOMAIN; repeated, another binding begins",
            binding=True,
        ),
        GrantOption("header", "NAME", "the header it goes into (Authorization)", binding=True),
        GrantOption(
            "format",
            "FORMAT",
            "how it stands there, {} being the secret ('Bearer {}' in Authorization, else {})",
            binding=True,
        ),
        GrantOption("path", "PATTERN", "the paths it is for, such as /v1/** (all)", binding=True),
        GrantOption(
            "substitute",
            "PLACE",
            "in the place of a placeholder instead: header:NAME, query:PARAMETER or body",
            binding=True,
        ),
        GrantOption("env", "VARIABLE", "the variable that holds the placeholder in the box"),
        GrantOption(
            "from-env",
            "VARIABLE",
            "take the secret from this variable here; else it is read from standard input, or "
            "asked for",
        ),
    )

    def __init__(self, name: str) -> None:
        self.name = "header"
        self.grant_ref = f"header:{name}"
        self._own_name = name

    @property
    def placeholder(self) -> str:
        """What stands for the secret in the box."""
        return placeholder_of(self.grant_ref)

    def grant(self, io: GrantIO) -> Granted:
        """Get the secret from a variable, standard input or the person. Raises GrantError, or
        UsageError before anything is asked.

        It is not validated: what a host takes is not known here.
        """
        if not io.bindings:
            raise UsageError(
                f"which host is {self._own_name} for?",
                hint=f"name it: moat grant header {self._own_name} --host api.example.com",
            )
        bindings = [Binding.from_options(options) for options in io.bindings]
        check_bindings(bindings)
        metadata = {"to": "\n".join(map(str, bindings))}
        if variable := io.options.get("env"):
            if not _VARIABLE.fullmatch(variable):
                raise UsageError(
                    f"--env: {variable!r} is no name of a variable",
                    hint="for example: --env API_TOKEN",
                )
            metadata["env"] = variable
        secret, source = self._secret(io)
        now = datetime.datetime.now(datetime.UTC)
        return Granted(
            Credential(self.grant_ref, Secret(secret), now, metadata=metadata),
            source,
            notes_on_length(secret),
            notes=tuple(self._notes(bindings, variable)),
        )

    def _notes(self, bindings: list[Binding], variable: str | None) -> list[str]:
        notes = [f"it goes to {binding}" for binding in bindings]
        if variable is None and any(binding.where for binding in bindings):
            notes.append(f"write where it belongs in the box: {self.placeholder}")
        return [*notes, f"use it with: moat run --grant {self._own_name} -- COMMAND"]

    def _secret(self, io: GrantIO) -> tuple[str, str]:
        again = f"moat grant header {self._own_name} --host …"
        if (variable := io.options.get("from-env")) is not None:
            if not io.environ.get(variable, "").strip():
                raise GrantError(
                    f"the variable {variable} is not set here, or empty",
                    hint=f"set it, or leave --from-env out and type the secret: {again}",
                )
            return check_credential(io.environ[variable]), f"${variable}"
        if io.ask is not None:
            answer = io.ask(f"Secret of {self._own_name} (not shown): ")
            return check_credential(answer), "the prompt"
        given = io.piped() if io.piped is not None else ""
        if not given.strip():
            raise GrantError(
                "no secret came on standard input, and there is no terminal to ask at",
                hint=f'pipe it in: printf %s "$TOKEN" | {again}, or name a variable: --from-env '
                "TOKEN",
            )
        return check_credential(given), "standard input"

    def configure_proxy(self, proxy: ProxyConfigurer, facts: Facts) -> None:
        """The secret goes where it was said when it was granted. Raises GrantError."""
        try:
            bindings = [Binding.parse(text) for text in facts.metadata["to"].split("\n")]
        except (KeyError, ValueError):
            raise GrantError(
                f"where {self.grant_ref} goes cannot be read: it was stored by another Moat",
                hint=f"grant it again: moat grant header {self._own_name} --host …",
            ) from None
        for binding in bindings:
            binding.configure(proxy, self.placeholder)

    def container_env(self, facts: Facts) -> Mapping[str, str]:
        """The placeholder, in the variable that was named when it was granted."""
        variable = facts.metadata.get("env")
        return {variable: self.placeholder} if variable else {}

    def placeholders(self, facts: Facts) -> tuple[str, ...]:  # noqa: ARG002
        """That one, which stands also where the person wrote it."""
        return (self.placeholder,)

    def container_mounts(
        self,
        facts: Facts,  # noqa: ARG002
        container_home: str,  # noqa: ARG002
    ) -> tuple[MountConfig, ...]:
        """Nothing."""
        return ()

    def implied_dependencies(self) -> tuple[str, ...]:
        """None."""
        return ()

    def cleanup(self, path: Path) -> None:
        """Nothing was made."""
