"""Which shapes of a collection one of several runs takes."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

from doh3d.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """Shard number `index` of `count`, from 1.

    A shape's shard follows from its id alone, so that shards stay disjoint as a collection
    grows, and whichever machine lists it.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        """Check the range."""
        if not 1 <= self.index <= self.count:
            raise ConfigError(f"shard is {self}; it must be I/N with I from 1 to N, such as 1/4")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "I/N"; ConfigError for anything else."""
        if not re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text):
            raise ConfigError(f"shard is {text!r}; it must be I/N, such as 1/4")
        index, count = text.split("/")
        return cls(int(index), int(count))

    def holds(self, id_: str) -> bool:
        """Whether a shape of that id belongs to this shard."""
        number = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "little")
        return number % self.count == self.index - 1

    def overlaps(self, other: Shard) -> bool:
        """Whether some id may belong to both."""
        common = math.gcd(self.count, other.count)
        return (self.index - other.index) % common == 0

    def __str__(self) -> str:
        """Return "I/N"."""
        return f"{self.index}/{self.count}"
