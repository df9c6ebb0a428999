# SPDX-License-Identifier: GPL-2.0-only
"""Slabs of power-of-two sizes: the simpler allocator of the maintainer's question of April 2025.

Each request is served by its *class*: 8, 16, 32, ... 32,768 bytes, the smallest that holds its
size and its alignment.  A class takes memory in *slabs*: a page, or one object if that is larger.
All objects of a slab have the size of the class:

    page        0          1             2            3             4      ...
    unit   |  static  |  static  |16 16 16 .. 16|8 8 8 8 .. 8|   4096    |      |      |
                                   256 objects    512 objects   1 object    pages without slab

* An allocation takes a free object of its class, from the slab that an area was freed in last.
  These are the cached objects: neither pages nor chunks are looked at.
* If no slab of the class has one, a new slab gets the first free pages of the oldest chunk that
  has enough of them; if none has, those of a new chunk.
* A class keeps one slab without areas.  The pages of a second one are given back.
* A chunk without slabs is destroyed, except the first one.

``QuarterSteps`` has four classes for each power of two.

    percpu-ffi compare TRACE --with p2=examples.policies.power_of_two:PowerOfTwo
"""

from percpu_ffi import CustomPolicy, InvalidRequest, PercpuMemoryError

SMALLEST = 8  # bytes; most requests below it are counters of 4
LARGEST = 32 << 10  # bytes, the largest request of today's kernels


class Slab:
    """Objects of one class, in neighbouring pages of a chunk."""

    def __init__(self, chunk: int, pages: range, start: int, object_size: int, count: int) -> None:
        """Cut pages that start at an offset into objects, all of them free."""
        self.chunk, self.pages = chunk, pages
        self.object_size, self.count = object_size, count
        self.free = [start + n * object_size for n in reversed(range(count))]  # the last one first

    def is_empty(self) -> bool:
        """Return whether no area is in it."""
        return len(self.free) == self.count


class PowerOfTwo(CustomPolicy):
    """Objects are cached per class; the pages of empty slabs are given back, except one's."""

    def start(self) -> None:
        """Start without slabs."""
        static = self.pages_at(0, self.static_size)
        # of each chunk, a byte for each page of a unit: 1 if it is taken
        self.taken = {0: bytearray(self.unit_size // self.page_size)}
        self.taken[0][: len(static)] = b"\1" * len(static)
        self.slab_of: dict[tuple[int, int], Slab] = {}  # by chunk and page
        # of each class, by object size: slabs with free objects, the next one to use last
        self.partial: dict[int, list[Slab]] = {}
        self.empty: dict[int, Slab] = {}  # the empty slab that a class keeps

    def alloc(self, size: int, align: int) -> tuple[int, int]:
        """Take the object that was freed last in the class's current slab."""
        object_size = self.object_size(size, align)
        if object_size > LARGEST:
            raise InvalidRequest(f"{size} bytes: the largest class has {LARGEST}")
        self.step()
        slabs = self.partial.setdefault(object_size, [])
        if not slabs:
            slabs.append(self.new_slab(object_size))
        slab = slabs[-1]
        if self.empty.get(object_size) is slab:
            del self.empty[object_size]
        offset = slab.free.pop()
        if not slab.free:
            slabs.pop()
        return slab.chunk, offset

    def object_size(self, size: int, align: int) -> int:
        """Return the bytes of the class that serves a request."""
        return 1 << (max(size, align, SMALLEST) - 1).bit_length()

    def free(self, chunk: int, offset: int) -> None:
        """Put the object into its slab; give back a second empty slab of the class."""
        self.step()
        slab = self.slab_of[chunk, offset // self.page_size]
        slabs = self.partial[slab.object_size]
        if not slab.free:
            slabs.append(slab)
        slab.free.append(offset)
        if slab.is_empty():
            if slab.object_size in self.empty:
                slabs.remove(slab)
                self.give_back(slab)
            else:
                self.empty[slab.object_size] = slab

    def new_slab(self, object_size: int) -> Slab:
        """Take the first free pages for a slab, of the oldest chunk that has enough."""
        needed = -(-object_size // self.page_size)
        chunk, first = self.find_pages(needed)
        pages = range(first, first + needed)
        self.taken[chunk][pages.start : pages.stop] = b"\1" * needed
        self.populate(chunk, pages)
        count = max(self.page_size // object_size, 1)
        slab = Slab(chunk, pages, first * self.page_size, object_size, count)
        self.slab_of.update({(chunk, page): slab for page in pages})
        return slab

    def find_pages(self, needed: int) -> tuple[int, int]:
        """Return a chunk, a new one if need be, and the first of so many free pages."""
        for chunk, taken in self.taken.items():  # in the order of creation
            self.step()
            if (first := taken.find(bytes(needed))) >= 0:
                return chunk, first
        pages = self.unit_size // self.page_size
        if needed > pages:
            raise PercpuMemoryError(f"a unit has no {needed} pages for a slab")
        chunk = self.create_chunk()
        self.taken[chunk] = bytearray(pages)
        return chunk, 0

    def give_back(self, slab: Slab) -> None:
        """Release a slab's pages, and its chunk if it has no other slab."""
        taken = self.taken[slab.chunk]
        self.depopulate(slab.chunk, slab.pages)
        taken[slab.pages.start : slab.pages.stop] = bytes(len(slab.pages))
        for page in slab.pages:
            del self.slab_of[slab.chunk, page]
        if slab.chunk and not any(taken):
            self.destroy_chunk(slab.chunk)
            del self.taken[slab.chunk]


class QuarterSteps(PowerOfTwo):
    """Three more classes between two powers of two: 1,024, then 1,280, 1,536, 1,792, 2,048."""

    def object_size(self, size: int, align: int) -> int:
        """Return the bytes of the class that serves a request, a multiple of its alignment."""
        step = max(super().object_size(size, 1) // 8, align, SMALLEST)
        return -(-size // step) * step
