"""Granting OpenAI: from a key in the environment or a person's hands to a checked credential."""

from __future__ import annotations

import datetime
import os

from moat.config.paths import Home, moat_home
from moat.core.secret import Secret
from moat.providers.codex.account import account_of
from moat.providers.codex.constants import GRANT_REF
from moat.providers.codex.key import obtain_key, validate
from moat.providers.interface import Granted, GrantIO
from moat.vault.credential import Credential


class Grant:
    """Gets an OpenAI API key. Making one does nothing; storing the credential is the caller's."""

    def execute(self, io: GrantIO | None = None) -> Credential:
        """The credential alone, as `acquire` gets it. Raises GrantError."""
        return self.acquire(io).credential

    def acquire(self, io: GrantIO | None = None) -> Granted:
        """A credential, where its key is from, and what the person should know about it.

        The key is $OPENAI_API_KEY, else what the person answers, and OpenAI is asked about it
        unless `io.validate` is false. Without `io`: this process's environment, the person's
        settings, and a prompt that shows nothing if there is a terminal. `io.options` go into the
        credential's metadata. Raises GrantError; ConfigError for settings that are wrong.
        """
        io = io or _this_process()
        account = account_of(io.options)
        key, source = obtain_key(io)
        if io.validate:
            warnings = validate(key, account, io.upstream)
        else:
            warnings = ("the key was not validated: OpenAI was not asked about it",)
        now = datetime.datetime.now(datetime.UTC)
        return Granted(
            Credential(GRANT_REF, Secret(key), now, metadata=dict(account.ids)),
            source,
            (*account.warnings(), *warnings),
        )


def _this_process() -> GrantIO:
    """How the person at this process is asked. Raises ConfigError for settings that are wrong."""
    import getpass

    from moat.config.settings import load_settings

    upstream = load_settings(Home(moat_home(os.environ))).upstream
    return GrantIO(os.environ, upstream, getpass.getpass if os.isatty(0) else None)


def has_credential(home: Home | None = None) -> bool:
    """Whether a grant for openai is stored and opens; every error means that it does not.

    `home` is Moat's directory; unless given, $MOAT_HOME or ~/.moat.
    """
    from moat.vault.store import Store

    try:
        home = home or Home(moat_home(os.environ))
        Store(home.credentials).get(GRANT_REF)
    except Exception:
        return False
    return True
