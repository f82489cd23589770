"""Who bears which token: read off a visit's cookies, and written for who is let in.

A sid names a visitor. An account's comes again wherever the account does; anybody else's is made for them.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from types import EllipsisType

from .admission import Admission
from .clients import client_of
from .config import Config
from .cookies import cookie_values
from .counter import Reply
from .errors import BadToken
from .identity import account_of
from .rules import Match
from .tokens import Lease, Token, Tokens, is_of_account
from .visit import Visit

_values_most = 20  # cookies of one name that are worth a look
_shown_most, _shown_longest = 4096, 1000  # Cookie headers remembered, and their characters


class Bearers:
    """Knows visitors by their cookies, their account and their address. Safe in threads."""

    def __init__(self, config: Config) -> None:
        self._identity, self._proxies = config.identity, config.trusted_proxies
        self.tokens = Tokens(config.keys)
        self._shown: dict[tuple[str, str], tuple[Token, ...]] = {}

    def token(self, visit: Visit, match: Match) -> Token | None:
        """The visitor's token for the event. A bad token of any kind is no token.

        The same visitor's requests mostly show the same cookies: looking for ours in them is remembered.
        """
        shown = (match.event, visit.cookies)
        tokens = self._shown.get(shown)
        if tokens is None:
            tokens = self._read(visit, match)
            if tokens and len(visit.cookies) <= _shown_longest:
                if len(self._shown) >= _shown_most:
                    self._shown.clear()
                self._shown[shown] = tokens
        for token in tokens:  # another account's, left behind or planted, hides nobody's own
            if self._identity is None or not is_of_account(token.sid):
                return token
            if self.tokens.is_of(match.event, token.sid, self._account(visit)):
                return token
        return None

    def sid_for(self, visit: Visit, match: Match) -> str:
        """The name of a newcomer. Of whom we know neither the account nor the address, it is random."""
        account = self._account(visit)
        if account is not None or match.rule.places_per_client is None:
            return self.tokens.sid_of(match.event, account=account)
        client = client_of(visit.header, visit.address, self._proxies)
        return self.tokens.sid_of(match.event, client=client)

    def _account(self, visit: Visit) -> str | None:
        """Whose request it is; asked once, and only where it matters."""
        if isinstance(visit.account, EllipsisType):
            visit.account = account_of(self._identity, visit.request) if self._identity else None
        return visit.account

    def _read(self, visit: Visit, match: Match) -> tuple[Token, ...]:
        good = []
        for raw in islice(cookie_values(visit.cookies, match.cookie), _values_most):
            with suppress(BadToken):
                good.append(self.tokens.read(match.event, raw))
        return tuple(good)

    def admission(
        self, match: Match, sid: str, reply: Reply, *, is_first: bool = False, is_claim: bool = False
    ) -> Admission:
        """The admission of a lease until the reply's deadline, to be renewed once a third is used up."""
        third = (reply.value - reply.now_ms) // 3
        lease = Lease(sid, reply.value, 0 if is_claim else reply.now_ms + third)
        return Admission(match, lease, is_first=is_first, set_cookie=self.tokens.write(match.event, lease))
