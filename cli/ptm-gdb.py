"""gdb commands for programs under ptm, running or dumped.

    (gdb) source ptm-gdb.py
    (gdb) ptm arenas
    (gdb) ptm heap [ADDRESS]      all heaps, or the blocks of one
    (gdb) ptm chunk ADDRESS       the block that an address is in
    (gdb) ptm find VALUE          live blocks that hold this 8-byte value

Like the ptm tool, this knows the allocator by its own description only
(src/introspection.h), so it serves any version of the library, with or without
debug information. The program is stopped, and nothing in it is called.
"""

import struct

import gdb


class Unreadable(gdb.GdbError):
    pass


class Layout:
    """Names and numbers of the description."""

    def __init__(self):
        try:
            self.at = int(gdb.parse_and_eval("(long)&ptm_introspection"))
        except gdb.error:
            raise Unreadable("ptm: the program does not run under ptm")
        magic, self_, version, entry = struct.unpack(
            "<16sQII", read(self.at, 32))
        if not magic.startswith(b"ptm:introspect") or self_ != self.at:
            raise Unreadable("ptm: no description at ptm_introspection")
        if version != 1 or entry != 32:
            raise Unreadable("ptm: the library describes itself in a way that "
                             "this script does not know")
        self.numbers = {}
        for part in struct.unpack("<7Q", read(self.at + 32, 56)):
            for _ in range(512 if part else 0):
                name, number = struct.unpack("<24sQ", read(part, 32))
                if name[0] == 0:
                    break
                self.numbers[name.rstrip(b"\0").decode()] = number
                part += 32
        keys = self["keys"]
        self.key_address = word(keys + self["keys.address"])
        self.key_word = word(keys + self["keys.word"])
        self.key_cached = half(keys + self["keys.cached"])
        self.key_freed = half(keys + self["keys.freed"])
        if self.get("keys.object"):
            self.key_object = word(keys + self["keys.object"])

    def __getitem__(self, name):
        return self.numbers[name]

    def get(self, name):
        return self.numbers.get(name)

    def seal(self, chunk, low):
        product = (chunk ^ self.key_address) * (
            (low | self["CHUNK_PREV_INUSE"]) ^ self.key_word)
        return (product ^ product >> 64) & 0xffffffff


def read(address, length):
    try:
        return bytes(gdb.selected_inferior().read_memory(
            address & (1 << 64) - 1, length))
    except (gdb.MemoryError, OverflowError):
        raise Unreadable("ptm: cannot read %#x" % address)


def word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def half(address):
    return struct.unpack("<I", read(address, 4))[0]


class Heap:
    def __init__(self, layout, address, number):
        self.layout = layout
        self.address = address
        self.number = number
        self.arena = word(address + layout["heap.arena"])
        self.committed = word(address + layout["heap.committed"])
        self.reserved = word(address + layout["heap.reserved"])
        if (self.arena != word(layout["arenas"] + 8 * number) or
                not self.committed <= self.reserved <= 1 <<
                layout["HEAP_SHIFT"]):
            raise Unreadable("ptm: heap %#x is damaged" % address)
        self.flags = half(self.arena + layout["arena.flags"])
        self.end = address + self.committed
        self.bytes = None

    def word(self, address):
        if self.bytes is None:
            self.bytes = read(self.address, self.committed)
        return struct.unpack_from("<Q", self.bytes, address - self.address)[0]

    def blocks(self):
        """(chunk, size, state, mem) from the start to the end, or to the first
        size word that is not sound."""
        at = self.address + self.layout["HEAP_FIRST_CHUNK"]
        state = "free"
        while at < self.end:
            size, state = self.chunk(at, state)
            if state == "damaged":
                yield at, self.end - at, state, at
                return
            yield from self.parts(at, size, state)
            at += size

    def chunk(self, at, before):
        """Its size and state. A process may stop when a heap has just become
        larger or smaller, and its top has not."""
        layout = self.layout
        whole = self.word(at + layout["chunk.word"])
        low = whole & 0xffffffff
        size = low & ~layout["CHUNK_FLAGS"]
        difference = whole >> 32 ^ layout.seal(at, low)
        room = self.end - at
        foreign = low & (layout["CHUNK_IS_MMAPPED"] | layout["CHUNK_NON_MAIN"])
        is_free = low & layout["CHUNK_IS_FREE"]
        if (whole == 0 and before == "free" and
                not any(self.bytes[at - self.address:])):
            return room, "top"
        if (size == 0 or size > room and not is_free or foreign != self.flags or
                size < layout["CHUNK_MIN"] and size != room):
            return 0, "damaged"
        if is_free:
            size, state = min(size, room), "top" if size >= room else "free"
            return size, state if difference == layout.key_freed else "damaged"
        if difference not in (0, layout.key_cached):
            return size, "damaged"
        if size == room:
            return size, "fence"
        return size, "cached" if difference else "live"

    def parts(self, at, size, state):
        """The objects of a span of runs, or the chunk itself."""
        layout = self.layout
        mem = at + layout["CHUNK_HEADER"]
        heads = self.span(mem, size) if state == "cached" else []
        if not heads:
            yield at, size, state, mem
            return
        yield at, mem - at, "span of %d" % len(heads), mem
        end = at + size
        for head in heads:
            yield from self.objects(head, mem, min(mem + layout["RUN"], end))
            mem += layout["RUN"]
        if mem < end:
            yield mem, end - mem, "end of span", mem

    def span(self, mem, size):
        """What is known of each page, if a span begins here: empty, if not."""
        layout = self.layout
        run, length = layout.get("RUN"), layout.get("run.size")
        table = word(self.address + layout["heap.runs"]) if run else 0
        if table == 0 or mem % run != 0 or size < run:
            return []
        first = table + (mem - self.address) // run * length
        head = read(first, length)
        start = struct.unpack_from("<Q", head, layout["run.start"])[0]
        pages = head[layout["run.pages"]]
        if start != mem or not 0 < pages <= size // run:
            return []
        heads = read(first, pages * length)
        return [heads[i:i + length] for i in range(0, len(heads), length)]

    def objects(self, head, start, end):
        """A page of a span: a run, or a spare."""
        layout = self.layout
        index = (start - self.address) // layout["RUN"]
        byte = self.bytes[layout["heap.page_class"] + index]
        step = (byte & ~layout["RUN_WATCHED"]) * layout["RUN_STEP"]
        count = struct.unpack_from("<H", head, layout["run.objects"])[0]
        if step == 0 or count == 0:
            yield start, end - start, "free", start
            return
        free = int.from_bytes(head[layout["run.free_map"]:], "little")
        for i in range(min(count, layout["RUN"] // step)):
            mem = start + i * step
            if free >> i & 1:
                state = "free"
            elif self.word(mem + 8) == mem ^ layout.key_object:
                state = "cached"
            else:
                state = "live"
            yield mem, min(step, end - mem), state, mem
        behind = start + count * step
        if behind < end:
            yield behind, end - behind, "end of run", behind


def guarded(layout):
    """(mem, bytes) of the live blocks that stand alone between closed pages."""
    pool = word(layout["guard_pool"]) if layout.get("guard_pool") else 0
    for i in range(layout["GUARD_SLOTS"] if pool else 0):
        slot = layout["guard_slots"] + i * layout["guard_slot.size"]
        if half(slot + layout["guard_slot.state"]) == layout["GUARD_LIVE"]:
            yield (word(slot + layout["guard_slot.mem"]),
                   half(slot + layout["guard_slot.bytes"]))


def heaps(layout):
    owners, count = layout["owners"], layout["OWNERS"]
    step = 64 << 10
    for start in range(0, count, step):
        tags = read(owners + start, min(step, count - start))
        if tags.count(0) == len(tags):
            continue
        for slot, tag in enumerate(tags, start):
            if tag != 0:
                try:
                    yield Heap(layout, slot << layout["HEAP_SHIFT"], tag)
                except Unreadable as wrong:
                    print(wrong)


def heap_of(layout, address):
    slot = address >> layout["HEAP_SHIFT"]
    if slot < layout["OWNERS"]:
        tag = read(layout["owners"] + slot, 1)[0]
        if tag != 0:
            return Heap(layout, slot << layout["HEAP_SHIFT"], tag)
    return None


def mapped(layout):
    """(chunk, length) of the large blocks with a mapping of their own."""
    array = word(layout["mapped"] + layout["mapped.array"])
    count = word(array + layout["slots.count"])
    slots = word(array + layout["slots.first"])
    size = layout["slot.size"]
    if count > 1 << 20:
        raise Unreadable("ptm: the table of mappings is damaged")
    table = read(slots, count * size)
    for i in range(count):
        key = struct.unpack_from("<Q", table, i * size + layout["slot.key"])[0]
        length = struct.unpack_from("<Q", table,
                                    i * size + layout["slot.length"])[0]
        if key > layout["SLOT_GONE"] and not key & layout["SLOT_STATE"]:
            yield key, length


class Ptm(gdb.Command):
    """Commands for the heap of a program under ptm: arenas, heap, chunk,
    find."""

    def __init__(self):
        super().__init__("ptm", gdb.COMMAND_DATA, prefix=True)


class Arenas(gdb.Command):
    """ptm arenas: what each arena has."""

    def __init__(self):
        super().__init__("ptm arenas", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        layout = Layout()
        sums = {}
        for heap in heaps(layout):
            row = sums.setdefault(heap.number, {"heaps": 0, "committed": 0})
            row["heaps"] += 1
            row["committed"] += heap.committed
            for _, size, state, _ in heap.blocks():
                row[state] = row.get(state, 0) + size
        print("arena  threads  heaps  committed KiB    live KiB  cached KiB"
              "    free KiB")
        for number, row in sorted(sums.items()):
            arena = word(layout["arenas"] + 8 * number)
            print("%5d  %7d  %5d  %13d  %10d  %10d  %10d%s" % (
                number, half(arena + layout["arena.threads"]), row["heaps"],
                row["committed"] >> 10, row.get("live", 0) >> 10,
                row.get("cached", 0) >> 10,
                row.get("free", 0) + row.get("top", 0) >> 10,
                "  DAMAGED" if "damaged" in row else ""))
        large = list(mapped(layout))
        print("mapped on their own: %d blocks, %d KiB" % (
            len(large), sum(length for _, length in large) >> 10))


class HeapCommand(gdb.Command):
    """ptm heap [ADDRESS]: all heaps; or the blocks of the one that the address
    is in."""

    def __init__(self):
        super().__init__("ptm heap", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        layout = Layout()
        if not argument:
            for heap in heaps(layout):
                print("%#x  arena %d  committed %d  reserved %d" % (
                    heap.address, heap.number, heap.committed, heap.reserved))
            return
        heap = heap_of(layout, int(gdb.parse_and_eval(argument)))
        if heap is None:
            raise gdb.GdbError("ptm: not in a heap")
        for _, size, state, mem in heap.blocks():
            print("%#x  %8d  %s" % (mem, size, state))


class Chunk(gdb.Command):
    """ptm chunk ADDRESS: the block that the address is in."""

    def __init__(self):
        super().__init__("ptm chunk", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("ptm: chunk takes an address")
        layout = Layout()
        address = int(gdb.parse_and_eval(argument)) & (1 << 64) - 1
        for chunk, length in mapped(layout):
            if chunk <= address < chunk + length:
                mem = chunk + layout["CHUNK_HEADER"]
                print("%#x: live, mapped on its own: mem %#x, %d bytes, "
                      "offset %d" % (address, mem, length, address - mem))
                return
        for mem, length in guarded(layout):
            if mem <= address < mem + max(length, 1):
                print("%#x: live, guarded: mem %#x, %d bytes, offset %d" % (
                    address, mem, length, address - mem))
                return
        heap = heap_of(layout, address)
        for start, size, state, mem in heap.blocks() if heap else ():
            if start <= address < start + size:
                print("%#x: %s: mem %#x, %d bytes, offset %d, arena %d" % (
                    address, state, mem, size, address - mem, heap.number))
                return
        print("%#x: not malloc's" % address)


class Find(gdb.Command):
    """ptm find VALUE: live blocks that hold this 8-byte value, as those that
    point to an address do."""

    def __init__(self):
        super().__init__("ptm find", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("ptm: find takes a value")
        layout = Layout()
        value = int(gdb.parse_and_eval(argument)) & (1 << 64) - 1
        wanted = struct.pack("<Q", value)
        count = 0
        for heap in heaps(layout):
            for start, size, state, mem in heap.blocks():
                if state != "live":
                    continue
                at = mem - heap.address
                end = start + size - heap.address
                while (at := heap.bytes.find(wanted, at, end)) >= 0:
                    if at % 8 == 0:
                        print("%#x: in live mem %#x, %d bytes, offset %d" % (
                            heap.address + at, mem, size,
                            heap.address + at - mem))
                        count += 1
                    at += 1
        for mem, length in guarded(layout):
            block = read(mem, length)
            at = -1
            while (at := block.find(wanted, at + 1)) >= 0:
                if at % 8 == 0:
                    print("%#x: in live mem %#x, guarded, offset %d" % (
                        mem + at, mem, at))
                    count += 1
        for chunk, length in mapped(layout):
            block = read(chunk, length)
            at = layout["CHUNK_HEADER"]
            while (at := block.find(wanted, at)) >= 0:
                if at % 8 == 0:
                    print("%#x: in live mem %#x, mapped on its own, offset %d"
                          % (chunk + at, chunk + layout["CHUNK_HEADER"],
                             at - layout["CHUNK_HEADER"]))
                    count += 1
                at += 1
        print("%d found" % count)


Ptm()
Arenas()
HeapCommand()
Chunk()
Find()
