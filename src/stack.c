#include "stack.h"

#include <string.h>

#include "os.h"

/* As <dlfcn.h> of glibc 2.35 has them; other C libraries have none. */
struct found_object {
    unsigned long long flags;
    void *map_start;
    void *map_end;
    void *link_map;
    void *search_table; /* .eh_frame_hdr */
    unsigned long long reserved[7];
};

extern int find_object(void *address,
                       struct found_object *result) __asm__("_dl_find_object")
    __attribute__((weak));

/* Registers, by their numbers in the tables. */
#if defined(__x86_64__)
enum { REGISTER_FRAME = 6, REGISTER_STACK = 7, REGISTER_RETURN = 16 };
#else
enum { REGISTER_FRAME = 29, REGISTER_STACK = 31, REGISTER_RETURN = 30 };
#endif

enum {
    SAVED_STATES = 8, /* that a function's rules remember, at a time */
    RULE_SAME = 0,    /* the register is as it was in the caller */
    RULE_AT,          /* it is at an offset from the frame's address */
    RULE_AT_POINTER,  /* ... from the frame pointer */
    RULE_LOST,
};

struct rule {
    int kind;
    intptr_t offset;
};

/* What the rules say at one address. */
struct row {
    uint64_t base; /* register that the frame's address is counted from */
    intptr_t offset;
    bool is_loaded; /* the frame's address is what lies there */
    struct rule frame;
    struct rule result; /* return address */
};

struct walker {
    uintptr_t ip; /* behind a call */
    uintptr_t sp;
    uintptr_t fp;
    uintptr_t readable; /* a page that may be read, as was asked before */
};

/* ---- bytes of the tables --------------------------------------------------
 */

struct cursor {
    const unsigned char *at;
    const unsigned char *end;
    bool is_bad;
};

static uint64_t read_bytes(struct cursor *cursor, size_t size)
{
    uint64_t value = 0;
    if ((size_t)(cursor->end - cursor->at) < size) {
        cursor->is_bad = true;
        cursor->at = cursor->end;
        return 0;
    }
    memcpy(&value, cursor->at, size);
    cursor->at += size;
    return value;
}

static int64_t read_signed(struct cursor *cursor, size_t size)
{
    unsigned unused = 64 - 8 * (unsigned)size;
    return (int64_t)(read_bytes(cursor, size) << unused) >> unused;
}

static uint64_t read_uleb(struct cursor *cursor)
{
    uint64_t value = 0;
    uint64_t byte = 0x80;
    for (unsigned shift = 0; (byte & 0x80) != 0 && shift < 64; shift += 7) {
        byte = read_bytes(cursor, 1);
        value |= (byte & 0x7f) << shift;
    }
    return value;
}

static int64_t read_sleb(struct cursor *cursor)
{
    uint64_t value = 0;
    uint64_t byte = 0x80;
    unsigned shift = 0;
    for (; (byte & 0x80) != 0 && shift < 64; shift += 7) {
        byte = read_bytes(cursor, 1);
        value |= (byte & 0x7f) << shift;
    }
    bool is_negative = (byte & 0x40) != 0 && shift < 64;
    return (int64_t)(is_negative ? value | (~(uint64_t)0 << shift) : value);
}

/* How many bytes an encoded address has; 0: not understood. */
static size_t size_of_encoded(unsigned encoding)
{
    switch (encoding & 0x0f) {
    case 0x00: /* absptr */
    case 0x04: /* udata8 */
    case 0x0c: /* sdata8 */
        return 8;
    case 0x03: /* udata4 */
    case 0x0b: /* sdata4 */
        return 4;
    default:
        return 0;
    }
}

/* Relative to where it stands, or to nothing. */
static uintptr_t read_address(struct cursor *cursor, unsigned encoding)
{
    uintptr_t base = (encoding & 0x70) == 0x10 ? (uintptr_t)cursor->at : 0;
    size_t size = size_of_encoded(encoding);
    if (size == 0 || (encoding & 0x60) != 0) {
        cursor->is_bad = true;
        return 0;
    }
    bool is_signed = (encoding & 0x08) != 0;
    uint64_t value = is_signed ? (uint64_t)read_signed(cursor, size)
                               : read_bytes(cursor, size);
    return base + value;
}

/* ---- the description of a function ----------------------------------------
 */

struct function {
    uintptr_t start;
    uint64_t code_factor;
    int64_t data_factor;
    struct cursor shared; /* rules that many have, then its own */
    struct cursor own;
};

/* An entry of .eh_frame behind its length; of no bytes when not understood. */
static struct cursor entry_at(const unsigned char *start)
{
    struct cursor cursor = {start, start + 4, false};
    uint32_t length = (uint32_t)read_bytes(&cursor, 4);
    bool is_long = length == UINT32_MAX;
    return (struct cursor){cursor.at, cursor.at + (is_long ? 0 : length),
                           is_long || length == 0};
}

/* What letters of the augmentation say; false when they are not understood, or
 * the frame is the kernel's, of a signal. */
static bool read_augmentation(struct cursor *entry, const char *letters,
                              unsigned *encoding)
{
    *encoding = 0;
    if (letters[0] == '\0') {
        return true;
    }
    if (letters[0] != 'z') {
        return false;
    }
    uint64_t length = read_uleb(entry);
    if (length > (size_t)(entry->end - entry->at)) {
        return false;
    }
    const unsigned char *rules = entry->at + length;
    for (const char *letter = letters + 1; *letter != '\0'; letter++) {
        if (*letter == 'R') {
            *encoding = (unsigned)read_bytes(entry, 1);
        } else if (*letter == 'L') {
            read_bytes(entry, 1);
        } else if (*letter == 'P') {
            unsigned pointer = (unsigned)read_bytes(entry, 1);
            read_bytes(entry, size_of_encoded(pointer));
        } else if (*letter != 'B') {
            return false;
        }
    }
    entry->at = rules;
    return !entry->is_bad;
}

static bool read_shared_part(struct cursor entry, struct function *function,
                             unsigned *encoding, bool *has_length)
{
    if (read_bytes(&entry, 4) != 0) {
        return false;
    }
    uint64_t version = read_bytes(&entry, 1);
    const char *letters = (const char *)entry.at;
    const char *end = memchr(letters, 0, (size_t)(entry.end - entry.at));
    if ((version != 1 && version != 3) || end == NULL) {
        return false;
    }
    entry.at = (const unsigned char *)end + 1;
    function->code_factor = read_uleb(&entry);
    function->data_factor = read_sleb(&entry);
    uint64_t result = version == 1 ? read_bytes(&entry, 1) : read_uleb(&entry);
    *has_length = letters[0] == 'z';
    if (result != REGISTER_RETURN ||
        !read_augmentation(&entry, letters, encoding)) {
        return false;
    }
    function->shared = entry;
    return true;
}

/* The function at `start`, if it reaches up to this address. */
static bool read_function(const unsigned char *start, uintptr_t address,
                          struct function *function)
{
    unsigned encoding;
    bool has_length;
    struct cursor entry = entry_at(start);
    const unsigned char *here = entry.at;
    uint64_t distance = read_bytes(&entry, 4);
    if (entry.is_bad || distance == 0 ||
        !read_shared_part(entry_at(here - distance), function, &encoding,
                          &has_length)) {
        return false;
    }
    function->start = read_address(&entry, encoding);
    uintptr_t size = read_address(&entry, encoding & 0x0f);
    if (has_length) {
        uint64_t length = read_uleb(&entry);
        entry.at += min_size(length, (size_t)(entry.end - entry.at));
    }
    function->own = entry;
    return !entry.is_bad && address - function->start < size;
}

/* The search table, as linkers write it:
 *
 *     | 1, 3 encodings | .eh_frame | count | start, entry | start, entry | ...
 *
 * each a word of 4 bytes, starts and entries counted from the table. */
static const unsigned char *find_entry(const unsigned char *table,
                                       uintptr_t address)
{
    static const unsigned char usual[4] = {1, 0x1b, 0x03, 0x3b};
    struct {
        uint32_t encodings, frames, count;
    } head;
    int32_t pair[2];
    memcpy(&head, table, sizeof head);
    if (memcmp(table, usual, sizeof usual) != 0) {
        return NULL;
    }
    int64_t wanted = (int64_t)(address - (uintptr_t)table);
    size_t from = 0;
    size_t to = head.count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        memcpy(pair, table + sizeof head + middle * sizeof pair, sizeof pair);
        if (pair[0] <= wanted) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    if (from == 0) {
        return NULL;
    }
    memcpy(pair, table + sizeof head + (from - 1) * sizeof pair, sizeof pair);
    return table + pair[1];
}

static bool find_function(uintptr_t address, struct function *function)
{
    struct found_object object;
    if (find_object == NULL || find_object((void *)address, &object) != 0 ||
        object.search_table == NULL) {
        return false;
    }
    const unsigned char *entry = find_entry(object.search_table, address);
    return entry != NULL && read_function(entry, address, function);
}

/* ---- its rules ------------------------------------------------------------
 */

struct machine {
    const struct function *function;
    uintptr_t address; /* rules up to here count */
    uintptr_t at;
    struct row row;
    struct row initial;
    struct row saved[SAVED_STATES];
    unsigned saved_count;
    bool is_bad;
};

static struct rule *rule_of(struct row *row, uint64_t number)
{
    return number == REGISTER_FRAME    ? &row->frame
           : number == REGISTER_RETURN ? &row->result
                                       : NULL;
}

static void set_rule(struct machine *machine, uint64_t number, int kind,
                     int64_t offset)
{
    struct rule *rule = rule_of(&machine->row, number);
    if (rule != NULL) {
        *rule = (struct rule){kind, (intptr_t)offset};
    }
}

static void restore_rule(struct machine *machine, uint64_t number)
{
    struct rule *rule = rule_of(&machine->row, number);
    if (rule != NULL) {
        *rule = *rule_of(&machine->initial, number);
    }
}

static void set_base(struct machine *machine, uint64_t base, int64_t offset)
{
    machine->row.base = base;
    machine->row.offset = (intptr_t)offset;
    machine->row.is_loaded = false;
}

/* A function that has moved its stack to a larger alignment finds its frame
 * where it has written it: "register + offset, and load"; and so the caller's
 * frame pointer, "register + offset". Others do not occur. False when it is
 * something else; base is then not to be used. */
static bool read_expression(struct cursor *rules, uint64_t *base,
                            int64_t *offset, bool *loads)
{
    enum { OP_LOAD = 0x06, OP_REGISTER = 0x70 };
    uint64_t length = read_uleb(rules);
    length = min_size(length, (size_t)(rules->end - rules->at));
    struct cursor expression = {rules->at, rules->at + length, false};
    rules->at += length;
    *base = read_bytes(&expression, 1) - OP_REGISTER;
    *offset = read_sleb(&expression);
    *loads =
        expression.at < expression.end && read_bytes(&expression, 1) == OP_LOAD;
    return *base < 32 && expression.at == expression.end && !expression.is_bad;
}

static void set_base_by_expression(struct machine *machine,
                                   struct cursor *rules)
{
    uint64_t base;
    int64_t offset;
    bool loads;
    machine->is_bad |= !read_expression(rules, &base, &offset, &loads);
    set_base(machine, base, offset);
    machine->row.is_loaded = loads;
}

static void set_rule_by_expression(struct machine *machine,
                                   struct cursor *rules)
{
    uint64_t base;
    int64_t offset;
    bool loads;
    uint64_t number = read_uleb(rules);
    bool is_known = read_expression(rules, &base, &offset, &loads) && !loads &&
                    base == REGISTER_FRAME;
    set_rule(machine, number, is_known ? RULE_AT_POINTER : RULE_LOST, offset);
}

static void save_row(struct machine *machine)
{
    if (machine->saved_count == SAVED_STATES) {
        machine->is_bad = true;
    } else {
        machine->saved[machine->saved_count++] = machine->row;
    }
}

static void restore_row(struct machine *machine)
{
    if (machine->saved_count == 0) {
        machine->is_bad = true;
    } else {
        machine->row = machine->saved[--machine->saved_count];
    }
}

static void advance(struct machine *machine, uint64_t steps)
{
    machine->at += steps * machine->function->code_factor;
}

static void skip_block(struct cursor *rules)
{
    uint64_t length = read_uleb(rules);
    rules->at += min_size(length, (size_t)(rules->end - rules->at));
}

/* Those whose number is the whole byte, in the order of the standard. */
static void apply_long(struct machine *machine, struct cursor *rules,
                       unsigned number)
{
    const int64_t factor = machine->function->data_factor;
    uint64_t first;
    switch (number) {
    case 0x00: /* nop */
    case 0x2d: /* the return address is signed from here on, or no more */
        return;
    case 0x02:
    case 0x03:
    case 0x04:
        advance(machine, read_bytes(rules, (size_t)1 << (number - 0x02)));
        return;
    case 0x05: /* offset_extended, offset_extended_sf */
    case 0x11:
        first = read_uleb(rules);
        set_rule(machine, first, RULE_AT,
                 factor * (number == 0x05 ? (int64_t)read_uleb(rules)
                                          : read_sleb(rules)));
        return;
    case 0x06:
        restore_rule(machine, read_uleb(rules));
        return;
    case 0x07:
        set_rule(machine, read_uleb(rules), RULE_LOST, 0);
        return;
    case 0x08:
        set_rule(machine, read_uleb(rules), RULE_SAME, 0);
        return;
    case 0x09: /* in another register */
    case 0x14: /* val_offset, val_offset_sf */
    case 0x15:
        set_rule(machine, read_uleb(rules), RULE_LOST, 0);
        read_uleb(rules);
        return;
    case 0x0a:
        save_row(machine);
        return;
    case 0x0b:
        restore_row(machine);
        return;
    case 0x0c: /* def_cfa, def_cfa_sf */
    case 0x12:
        first = read_uleb(rules);
        set_base(machine, first,
                 number == 0x0c ? (int64_t)read_uleb(rules)
                                : factor * read_sleb(rules));
        return;
    case 0x0d:
        set_base(machine, read_uleb(rules), machine->row.offset);
        return;
    case 0x0e: /* def_cfa_offset, def_cfa_offset_sf */
    case 0x13:
        set_base(machine, machine->row.base,
                 number == 0x0e ? (int64_t)read_uleb(rules)
                                : factor * read_sleb(rules));
        return;
    case 0x0f:
        set_base_by_expression(machine, rules);
        return;
    case 0x10:
        set_rule_by_expression(machine, rules);
        return;
    case 0x16: /* val_expression */
        set_rule(machine, read_uleb(rules), RULE_LOST, 0);
        skip_block(rules);
        return;
    case 0x2e: /* GNU_args_size */
        read_uleb(rules);
        return;
    default:
        machine->is_bad = true;
    }
}

static void apply(struct machine *machine, struct cursor *rules)
{
    unsigned byte = (unsigned)read_bytes(rules, 1);
    unsigned operand = byte & 0x3f;
    switch (byte >> 6) {
    case 1:
        advance(machine, operand);
        return;
    case 2:
        set_rule(machine, operand, RULE_AT,
                 machine->function->data_factor * (int64_t)read_uleb(rules));
        return;
    case 3:
        restore_rule(machine, operand);
        return;
    default:
        apply_long(machine, rules, byte);
    }
}

static void apply_all(struct machine *machine, struct cursor rules)
{
    while (rules.at < rules.end && machine->at <= machine->address &&
           !machine->is_bad) {
        apply(machine, &rules);
        machine->is_bad |= rules.is_bad;
    }
}

/* What holds at the address; an advance beyond it is the last thing read. */
static bool find_row(uintptr_t address, struct row *row)
{
    struct function function;
    if (!find_function(address, &function)) {
        return false;
    }
    struct machine machine = {
        .function = &function,
        .address = address,
        .at = function.start,
    };
    apply_all(&machine, function.shared);
    machine.initial = machine.row;
    apply_all(&machine, function.own);
    *row = machine.row;
    return !machine.is_bad;
}

/* ---- frames ---------------------------------------------------------------
 */

static bool can_read(struct walker *walker, uintptr_t address)
{
    uintptr_t page = round_down(address, os_page_size());
    if (address % sizeof address != 0 || address < os_page_size()) {
        return false;
    }
    if (page != walker->readable) {
        if (!os_can_read((const void *)address)) {
            return false;
        }
        walker->readable = page;
    }
    return true;
}

static uintptr_t load(uintptr_t address)
{
    return *(const uintptr_t *)address;
}

/* Addresses of aarch64 may be signed in their upper bits. */
static uintptr_t without_signature(uintptr_t address)
{
    return address & (((uintptr_t)1 << ADDRESS_BITS) - 1);
}

/* The frame's address by the row, or 0. */
static uintptr_t frame_address(struct walker *walker, const struct row *row)
{
    uintptr_t base = row->base == REGISTER_STACK   ? walker->sp
                     : row->base == REGISTER_FRAME ? walker->fp
                                                   : 0;
    uintptr_t address = base + (uintptr_t)row->offset;
    if (base == 0 || (row->is_loaded && !can_read(walker, address))) {
        return 0;
    }
    return row->is_loaded ? load(address) : address;
}

/* Frames lie one above the other, not far apart. */
static bool is_next_frame(const struct walker *walker, uintptr_t frame)
{
    return frame > walker->sp && frame - walker->sp <= STACK_FRAME_MAX &&
           frame % sizeof frame == 0;
}

static bool leave_by_table(struct walker *walker, const struct row *row)
{
    uintptr_t frame = frame_address(walker, row);
    uintptr_t result = frame + (uintptr_t)row->result.offset;
    bool is_saved = row->frame.kind == RULE_AT ||
                    (row->frame.kind == RULE_AT_POINTER && walker->fp != 0);
    uintptr_t saved = (row->frame.kind == RULE_AT ? frame : walker->fp) +
                      (uintptr_t)row->frame.offset;
    if (!is_next_frame(walker, frame) || row->result.kind != RULE_AT ||
        !can_read(walker, result)) {
        return false;
    }
    walker->ip = without_signature(load(result));
    if (is_saved && can_read(walker, saved)) {
        walker->fp = load(saved);
    } else if (row->frame.kind != RULE_SAME) {
        walker->fp = 0;
    }
    walker->sp = frame;
    return true;
}

static bool leave_by_frame_pointer(struct walker *walker)
{
    uintptr_t frame = walker->fp;
    uintptr_t result = frame + sizeof frame;
    uintptr_t end = result + sizeof result;
    if (!is_next_frame(walker, end) || !can_read(walker, frame) ||
        !can_read(walker, result)) {
        return false;
    }
    walker->fp = load(frame);
    walker->ip = without_signature(load(result));
    walker->sp = end;
    return true;
}

static bool leave_function(struct walker *walker)
{
    struct row row;
    return find_row(walker->ip - 1, &row) ? leave_by_table(walker, &row)
                                          : leave_by_frame_pointer(walker);
}

size_t stack_walk(uintptr_t *stack, size_t most, struct call call)
{
    size_t count = 0;
    bool has_stack = call.stack_pointer != NULL;
    struct walker walker = {
        .ip = (uintptr_t)call.caller,
        .sp = (uintptr_t)(has_stack ? call.stack_pointer : call.frame),
    };
    if (can_read(&walker, (uintptr_t)call.frame)) {
        walker.fp = load((uintptr_t)call.frame);
    }
    while (count < most && walker.ip != 0) {
        stack[count++] = walker.ip;
        if (!leave_function(&walker)) {
            break;
        }
    }
    return count;
}
