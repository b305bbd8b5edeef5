"""Which node: a pipeline of filters that can also say why not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from teamhub.model import Node, Size


@dataclass(frozen=True)
class Load:
    """What is promised on a node already."""

    memory_bytes: int = 0
    workloads: int = 0


@dataclass(frozen=True)
class Place:
    """A node's name, or None and the explanation that the user reads."""

    node: str | None
    explanation: str = ""


@dataclass(frozen=True)
class _Filter:
    check: Callable[[Node, Load, Size], bool]
    explain: str


_FILTERS = (
    _Filter(lambda node, _load, _size: node.ready, "not ready"),
    _Filter(
        lambda node, _load, size: (size.cpus or 0) <= node.cpus,
        "too few CPUs for this size",
    ),
    _Filter(
        lambda node, _load, size: (size.memory_bytes or 0) <= node.memory_bytes,
        "less memory than this size",
    ),
    _Filter(
        lambda node, load, size: load.memory_bytes + (size.memory_bytes or 0) <= node.memory_bytes,
        "no memory free for this size now",
    ),
)


def place(size: Size, nodes: Sequence[Node], loads: Mapping[str, Load]) -> Place:
    """Choose a node for a workload.

    Memory is promised: the sizes of what runs on a node never add up to more than it has. CPUs
    are shared: only a size larger than the whole node is refused. A size without a limit promises
    nothing. Among nodes that fit, the one with the fewest workloads is chosen, then by name.

    Args:
        size: what is asked for.
        nodes: the machines there are.
        loads: what is promised on each, by name; nothing where a name is missing.

    Returns:
        The place, or why there is none: "2 nodes: no memory free for this size now; 1 node: not
        ready".
    """
    why: Counter[str] = Counter()
    fitting = []
    for node in nodes:
        load = loads.get(node.name, Load())
        failed = next((f for f in _FILTERS if not f.check(node, load, size)), None)
        if failed is None:
            fitting.append((load.workloads, node.name))
        else:
            why[failed.explain] += 1
    if fitting:
        return Place(min(fitting)[1])
    if not why:
        return Place(None, "there is no node")
    parts = [f"{n} node{'s' if n > 1 else ''}: {text}" for text, n in why.most_common()]
    return Place(None, "; ".join(parts))
