# SPDX-License-Identifier: GPL-2.0-only
r"""A red-black tree: keys in order, and no path down much longer than the others.

Every node is red or black.  Two rules keep the tree in balance: a red node has no red
child, and each path from the root down meets the same number of black nodes, so the
longest path has at most twice the nodes of the shortest.  The root is black.

How long a search takes depends on the shape, and the shape on how the rules are mended:
here as in Linux' ``lib/rbtree.c`` of 2009, after Cormen, Leiserson, Rivest and Stein,
"Introduction to Algorithms", chapter 13.  All is said for one side; ``side`` and
``1 - side`` are left and right, or right and left:

        top               up           a rotation: a child moves up, its parent down to
       /   \             /  \           the side where it was not; the order of the keys
     up     c    <->    a    top       a, up, b, top, c stays what it was
    /  \                    /  \
   a    b                  b    c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tree"]

LEFT, RIGHT = 0, 1

V = TypeVar("V")


class Node(Generic[V]):
    """A key with its value, and what hangs below."""

    __slots__ = ("child", "key", "parent", "red", "value")

    def __init__(self, key: int, value: V) -> None:
        self.key = key
        self.value = value
        self.red = True
        self.parent: Node[V] | None = None
        self.child: list[Node[V] | None] = [None, None]


class Tree(Generic[V]):
    """Values by different integers."""

    __slots__ = ("root", "size", "steps")

    def __init__(self) -> None:
        """Start empty."""
        self.root: Node[V] | None = None
        self.size = 0
        self.steps = 0  # nodes that the last insertion or search compared its key with

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[V]:
        """Go through the values, lowest key first."""
        above: list[Node[V]] = []
        node = self.root
        while node or above:
            while node:
                above.append(node)
                node = node.child[LEFT]
            node = above.pop()
            yield node.value
            node = node.child[RIGHT]

    def find_last(self, key: int) -> V | None:
        """Find the value of the highest key that is not above ``key``."""
        node, last, steps = self.root, None, 0
        while node:
            steps += 1
            if key < node.key:
                node = node.child[LEFT]
                continue
            last = node
            if key == node.key:
                break
            node = node.child[RIGHT]
        self.steps = steps
        return last.value if last else None

    def insert(self, key: int, value: V) -> None:
        """Hang a new node below the others, red: only the rule of red nodes may break."""
        parent, below, self.steps = None, self.root, 0
        while below:
            self.steps += 1
            parent, below = below, below.child[key > below.key]
        node = Node(key, value)
        self._hang(node, parent, parent is not None and key > parent.key)
        self.size += 1
        self._mend_red(node)

    def erase(self, key: int) -> None:
        """Take out the node of a key."""
        node = self.root
        while node and node.key != key:
            node = node.child[key > node.key]
        assert node, "there is no such key"
        self.size -= 1

        left, right = node.child
        if left and right:
            # the next higher node takes the place; it has nothing on its left
            next_ = right
            while lower := next_.child[LEFT]:
                next_ = lower
            below, lost_red = next_.child[RIGHT], next_.red
            if next_ is right:
                gap: tuple[Node[V] | None, int] = next_, RIGHT
            else:
                gap = next_.parent, LEFT
                self._hang(below, *gap)
                self._hang(right, next_, RIGHT)
            self._hang(left, next_, LEFT)
            self._hang(next_, *self._place(node))
            next_.red = node.red
        else:
            lost_red, gap = node.red, self._place(node)
            self._hang(left or right, *gap)
        if not lost_red:
            self._mend_black(*gap)

    def _mend_red(self, node: Node[V]) -> None:
        """Mend a red node that may have a red parent."""
        while (parent := node.parent) and parent.red:
            top, side = self._place(parent)
            assert top, "the root is black"
            uncle = top.child[1 - side]
            if uncle and uncle.red:
                # push the red one level up, where it may clash again
                parent.red = uncle.red = False
                top.red = True
                node = top
                continue
            if node is parent.child[1 - side]:
                self._rotate(parent, side)  # from the inner side to the outer
                parent = node
            self._rotate(top, 1 - side)
            parent.red, top.red = False, True
            break
        assert self.root
        self.root.red = False

    def _mend_black(self, parent: Node[V] | None, side: int) -> None:
        """Mend paths that lack a black node: those through one side of ``parent``."""
        while parent:
            short = parent.child[side]
            if short and short.red:
                break
            sibling = self._sibling(parent, side)
            if sibling.red:
                self._rotate(parent, side)
                sibling.red, parent.red = False, True
                sibling = self._sibling(parent, side)
            inner, outer = sibling.child[side], sibling.child[1 - side]
            if not (inner and inner.red) and not (outer and outer.red):
                # make the other side as short, and go on one level up
                sibling.red = True
                parent, side = self._place(parent)
                continue
            if not (outer and outer.red):
                assert inner
                self._rotate(sibling, 1 - side)
                sibling, outer = inner, sibling
            self._rotate(parent, side)
            sibling.red, parent.red, outer.red = parent.red, False, False
            return
        short = parent.child[side] if parent else self.root
        if short:
            short.red = False

    def _sibling(self, parent: Node[V], side: int) -> Node[V]:
        """Find the node beside the short side: its paths have a black node more."""
        sibling = parent.child[1 - side]
        assert sibling, "all paths had the same number of black nodes"
        return sibling

    def _rotate(self, node: Node[V], side: int) -> None:
        """Move a node down to a side, and its child of the other side up."""
        up = node.child[1 - side]
        assert up, "something to move up"
        place = self._place(node)
        self._hang(up.child[side], node, 1 - side)
        self._hang(up, *place)
        self._hang(node, up, side)

    def _place(self, node: Node[V]) -> tuple[Node[V] | None, int]:
        """Tell where a node hangs: its parent and the side."""
        parent = node.parent
        return parent, int(parent is not None and parent.child[RIGHT] is node)

    def _hang(self, node: Node[V] | None, parent: Node[V] | None, side: int) -> None:
        """Hang a node, or nothing, on a side of another one, or as the root."""
        if parent:
            parent.child[side] = node
        else:
            self.root = node
        if node:
            node.parent = parent
