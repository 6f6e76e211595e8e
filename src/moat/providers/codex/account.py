"""Which of a person's OpenAI accounts pays: the organization and project that go with a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from moat.errors import GrantError
from moat.providers.interface import GrantOption

OPTIONS = (
    GrantOption("organization", "ID", "the organization that pays, where the key has several"),
    GrantOption("project", "ID", "the project that pays, where the key has several"),
)
HEADERS = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}

_PREFIXES = {"organization": "org-", "project": "proj_"}
# What stands in a header: no space, and no line end above all.
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Account:
    """The ids that were given, by option; they are no secret."""

    ids: Mapping[str, str]

    def headers(self) -> dict[str, str]:
        """The ids as the API takes them."""
        return {HEADERS[option]: given for option, given in self.ids.items()}

    def warnings(self) -> tuple[str, ...]:
        """Ids of another form than OpenAI's have had so far."""
        return tuple(
            f"OpenAI's {option} ids begin with {_PREFIXES[option]}, and {given} does not"
            for option, given in self.ids.items()
            if not given.startswith(_PREFIXES[option])
        )

    def __str__(self) -> str:
        """The options as they are typed."""
        return " ".join(f"--{option} {given}" for option, given in self.ids.items())


def account_of(options: Mapping[str, str]) -> Account:
    """The account that options or a credential's metadata name.

    Taken from nothing else: a variable of the environment would decide about money unseen.
    Raises GrantError for an unknown option, or an id that cannot stand in a header.
    """
    for option, given in options.items():
        if option not in HEADERS:
            raise GrantError(
                f"a grant for openai has no option --{option}",
                hint=f"it has: {', '.join('--' + name for name in HEADERS)}",
            )
        if not _ID.fullmatch(given):
            raise GrantError(
                f"{given!r} is no {option} id: one has letters, digits, - and _",
                hint=f"find it at platform.openai.com/settings/organization, for example: "
                f"--{option} {_PREFIXES[option]}abc123",
            )
    # In the order of the headers, whatever order they were typed in.
    return Account({option: options[option] for option in HEADERS if option in options})
