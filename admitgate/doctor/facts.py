"""What is known of a Redis: each of its servers, and the Sentinels that watch them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Node:
    """One server. ``away`` is why it couldn't be asked, ``untold`` which commands it refused, and how."""

    name: str
    is_spare: bool = False  # a replica that is meant to be one
    away: str = ""
    untold: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    cluster: dict[str, str] = field(default_factory=dict)
    clock_ahead_seconds: float | None = None
    clock_slack_seconds: float = 0.0
    scripts_missing: int | None = None
    refused: dict[str, str] | None = None  # of the commands that our scripts call; None: not tried here
    offsets_ms: dict[str, int] = field(default_factory=dict)  # by event

    @property
    def is_redis(self) -> bool:
        """True if it answers, and keeps data."""
        return not self.away and self.info.get("redis_mode") != "sentinel"

    def says(self, state: str) -> bool:
        """True if it refuses one of our commands for being in this state."""
        return any(state in words for words in (self.refused or {}).values())


@dataclass
class Sentinel:
    """One Sentinel, and what it says of the service. ``no_quorum`` is why a fail-over wouldn't come off."""

    name: str
    away: str = ""
    service: dict[str, Any] = field(default_factory=dict)
    no_quorum: str = ""


@dataclass
class Facts:
    """All of a Redis. ``kind`` is 'single', 'sentinel' or 'cluster', as the settings have it."""

    kind: str
    nodes: list[Node] = field(default_factory=list)
    sentinels: list[Sentinel] = field(default_factory=list)
    service: str = ""


def replicas_of(node: Node) -> list[dict[str, Any]]:
    """The replicas that a master knows of: ip, port, state, offset and lag of each."""
    numbered = (node.info.get(f"slave{number}") for number in range(node.info.get("connected_slaves", 0)))
    return [replica for replica in numbered if isinstance(replica, dict)]
