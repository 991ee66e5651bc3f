"""The order of work and the places of the temporary matrices, settled once per pattern.

Update matrices (factor) and inverse blocks (selected inverse) live on stacks. Their places depend on the
pattern only, so they are worked out here, and the numeric kernels just read an offset per supernode.

Two stacks are used for update matrices, for even and odd depth in the tree: a supernode's children are on
one of them and its own matrix goes on the other, so no matrix is ever moved.

Leaves of one or two columns ("direct") have no update matrix: their parent applies them itself, column of
its front by column, from a list sorted by column. On a crossed design, with thousands of such leaves below
one large front, this keeps the column being updated in cache.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .compiled import plain
from .supernodes import DIRECT_WIDTH

if TYPE_CHECKING:
    from .symbolic import Symbolic

Array = np.ndarray

# Subtrees are shared out among threads when the whole factor takes more flops than this, and a thread's
# share is more than a given part of it: below, starting a Python thread costs more than it saves.
MIN_PARALLEL_FLOPS = 1e8
# From this order on an inverse block takes the place of its parent's once nothing else needs that one.
MOVE_ORDER = 64
# Columns of scratch the selected inverse may use per front: 3/2 selinv.BLOCK_WIDE.
SCRATCH_COLUMNS = 576


@dataclass(frozen=True, eq=False)
class Schedule:
    """Order of work and offsets into the workspace.

    Attributes
    ----------
    top : supernodes worked on alone, after the groups in the factor and before them in the selected inverse.
    groups : lists of supernodes (whole subtrees) that may be worked on at the same time; empty with one
        thread.
    direct (ns,) : 1 where the parent applies the supernode itself, without an update matrix.
    list_ptr (ns+1,), lists (k, 4) : for each parent, the rows of its direct children sorted by their place
        in its front:
        [index in panels, index in rel, rows from here on, leading dimension].
    update_at, update_size : place of each update matrix and length of the workspace of the factor.
    gather_at, inverse_at, inverse_size : where an inverse block is gathered, where it is kept, length of the
        workspace.
    scratch_at : for each group (the top last), place of its m x nc scratch block in the inverse workspace.
    """

    top: Array
    groups: tuple[Array, ...]
    direct: Array
    list_ptr: Array
    lists: Array
    update_at: Array
    update_size: int
    gather_at: Array
    inverse_at: Array
    inverse_size: int
    scratch_at: tuple[int, ...]
    _spare: list[Array] = field(default_factory=list, repr=False)

    def workspace(self, size: int) -> Array:
        """A float64 array of at least `size`; `release` it, and the next call need not page it in."""
        try:
            work = self._spare.pop()
        except IndexError:
            work = np.empty(0)
        return work if work.size >= size else np.empty(size)

    def release(self, work: Array) -> None:
        self._spare[:] = [work]


@plain
def _direct_lists(start, row_ptr, panel_ptr, rel, up, first_child, next_child, max_width):
    """Which supernodes are direct; for each parent, their rows sorted by place in its front."""
    ns = start.size - 1
    direct = np.zeros(ns, np.int64)
    list_ptr = np.zeros(ns + 1, np.int64)
    largest = 0
    for s in range(ns):
        nc = start[s + 1] - start[s]
        m = row_ptr[s + 1] - row_ptr[s]
        largest = max(largest, nc + m)
        if up[s] >= 0 and first_child[s] < 0 and nc <= max_width:
            direct[s] = 1
            list_ptr[up[s] + 1] += m
    for s in range(ns):
        list_ptr[s + 1] += list_ptr[s]
    lists = np.empty((list_ptr[ns], 4), np.int64)
    count = np.zeros(largest + 1, np.int64)
    for s in range(ns):
        if list_ptr[s + 1] == list_ptr[s]:
            continue
        size = start[s + 1] - start[s] + row_ptr[s + 1] - row_ptr[s]
        count[: size + 1] = 0
        c = first_child[s]
        while c >= 0:
            if direct[c]:
                for p in range(row_ptr[c], row_ptr[c + 1]):
                    count[rel[p] + 1] += 1
            c = next_child[c]
        for k in range(size):
            count[k + 1] += count[k]
        c = first_child[s]
        while c >= 0:
            if direct[c]:
                nc = start[c + 1] - start[c]
                m = row_ptr[c + 1] - row_ptr[c]
                for q in range(m):
                    p = row_ptr[c] + q
                    k = list_ptr[s] + count[rel[p]]
                    count[rel[p]] += 1
                    lists[k, 0] = panel_ptr[c] + nc + q
                    lists[k, 1] = p
                    lists[k, 2] = m - q
                    lists[k, 3] = nc + m if nc == 2 else 0
            c = next_child[c]
    return direct, list_ptr, lists


@plain
def _place_updates(todo, group, row_ptr, up, first_child, next_child, direct, depth, base, at):
    """Offsets of the update matrices of one group, on two stacks from `base` on; returns the end."""
    room = np.zeros(2, np.int64)
    used = np.zeros(2, np.int64)
    for k in range(todo.size):
        s = todo[k]
        side = depth[s] & 1
        m = row_ptr[s + 1] - row_ptr[s]
        if up[s] >= 0 and not direct[s]:
            at[s] = used[side]
            used[side] += m * m
            room[side] = max(room[side], used[side])
        c = first_child[s]
        while c >= 0:
            if not direct[c] and group[c] == group[s]:
                mc = row_ptr[c + 1] - row_ptr[c]
                used[1 - side] -= mc * mc
            c = next_child[c]
    for k in range(todo.size):
        s = todo[k]
        at[s] += base + (room[0] if depth[s] & 1 else 0)
    return base + room[0] + room[1]


@plain
def _place_inverses(
    todo, group, keep, row_ptr, up, first_child, next_child, direct, base, gather_at, inverse_at
):
    """Offsets of the inverse blocks of one group, children after parents; returns the end."""
    end = base
    bump = base
    for k in range(todo.size - 1, -1, -1):
        s = todo[k]
        if direct[s]:
            continue
        m = row_ptr[s + 1] - row_ptr[s]
        p = up[s]
        inside = p >= 0 and group[p] == group[s]
        if keep or not inside:
            place = bump if keep else base
        else:
            mp = row_ptr[p + 1] - row_ptr[p]
            place = inverse_at[p] + mp * mp
        gather_at[s] = place
        inverse_at[s] = place
        end = max(end, place + m * m)
        bump = place + m * m
        if inside and not keep and m >= MOVE_ORDER and first_child[s] >= 0:
            last = True  # is s the last child of p to be visited, that is the first in postorder?
            c = first_child[p]
            while c >= 0:
                if c < s and not direct[c]:
                    last = False
                c = next_child[c]
            if last:
                inverse_at[s] = inverse_at[p]
    return end


@plain
def _tree_work(start, row_ptr, up):
    """Flops of the subtree below each supernode (itself included), and its depth."""
    ns = start.size - 1
    work = np.zeros(ns)
    depth = np.zeros(ns, np.int64)
    for s in range(ns):
        c = float(start[s + 1] - start[s])
        r = float(row_ptr[s + 1] - row_ptr[s])
        work[s] += c * c * c / 3.0 + c * c * r + c * r * r + 300.0
        if up[s] >= 0:
            work[up[s]] += work[s]
    for s in range(ns - 1, -1, -1):
        if up[s] >= 0:
            depth[s] = depth[up[s]] + 1
    return work, depth


@plain
def _spread(group, up):
    """Give every supernode the group of the subtree it is in (those of the roots are set)."""
    for s in range(group.size - 1, -1, -1):
        if group[s] == 0 and up[s] >= 0 and group[up[s]] > 0:
            group[s] = group[up[s]]


def _share_out(symbolic: Symbolic, work: Array, threads: int) -> Array:
    """Group of each supernode: 1..threads for subtrees shared out, 0 for the rest.

    The heaviest subtree is opened again and again (its root goes to the top) until the pieces balance.
    """
    ns = work.size
    group = np.zeros(ns, np.int64)
    roots = np.flatnonzero(symbolic.sn_parent < 0)
    total = float(work[roots].sum())
    if threads < 2 or total < MIN_PARALLEL_FLOPS:
        return group
    heap = [(-float(work[s]), int(s)) for s in roots]
    heapq.heapify(heap)
    best: tuple[float, list[list[int]]] | None = None
    opened = 0.0
    for _ in range(200):
        loads: list[float] = [0.0] * threads
        bins: list[list[int]] = [[] for _ in range(threads)]
        for w, s in sorted(heap):
            k = loads.index(min(loads))
            loads[k] -= w
            bins[k].append(s)
        if best is None or opened + max(loads) < best[0]:
            best = (opened + max(loads), bins)
        if not heap or -heap[0][0] < 0.02 * total:
            break
        weight, s = heapq.heappop(heap)
        own = -weight
        c = int(symbolic.first_child[s])
        while c >= 0:
            own -= float(work[c])
            heapq.heappush(heap, (-float(work[c]), c))
            c = int(symbolic.next_child[c])
        opened += own / 1.5  # the top is worked on by threaded BLAS, less than perfectly
    if best is None or best[0] > 0.85 * total / 1.5:
        return group
    for k, members in enumerate(best[1]):
        group[members] = k + 1
    _spread(group, symbolic.sn_parent)
    return group


def make(symbolic: Symbolic, threads: int) -> Schedule:
    """The schedule of a pattern for a number of threads."""
    y = symbolic
    tree = (y.first_child, y.next_child)
    direct, list_ptr, lists = _direct_lists(
        y.start, y.row_ptr, y.panel_ptr, y.rel, y.sn_parent, *tree, DIRECT_WIDTH
    )
    work, depth = _tree_work(y.start, y.row_ptr, y.sn_parent)
    group = _share_out(y, work, threads)
    ns = direct.size
    groups = [np.flatnonzero(group == k) for k in range(1, threads + 1)] if group.any() else []
    top = np.flatnonzero(group == 0)
    update_at = np.zeros(ns, np.int64)
    gather_at = np.zeros(ns, np.int64)
    inverse_at = np.zeros(ns, np.int64)
    end = 0
    for todo in [*groups, top]:
        end = _place_updates(todo, group, y.row_ptr, y.sn_parent, *tree, direct, depth, end, update_at)
    update_size = end
    end = 0
    scratch: list[int] = []
    width = np.diff(y.start)
    panel = np.minimum(width, SCRATCH_COLUMNS) * (width + np.diff(y.row_ptr))
    for todo in [*groups, top]:
        scratch.append(end)
        end += int(panel[todo].max()) if todo.size else 0
        keep = bool(groups) and todo is top
        end = _place_inverses(
            todo, group, keep, y.row_ptr, y.sn_parent, *tree, direct, end, gather_at, inverse_at
        )
    return Schedule(
        top=top,
        groups=tuple(groups),
        direct=direct,
        list_ptr=list_ptr,
        lists=lists,
        update_at=update_at,
        update_size=int(update_size),
        gather_at=gather_at,
        inverse_at=inverse_at,
        inverse_size=int(end),
        scratch_at=tuple(scratch),
    )
