#include "pprof.h"

#include <string.h>

#include "names.h"

/* Fields of a profile, and of its parts. */
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_DEFAULT_SAMPLE_TYPE = 14,
    TYPE_NAME = 1,
    TYPE_UNIT = 2,
    SAMPLE_LOCATIONS = 1,
    SAMPLE_VALUES = 2,
    MAPPING_NUMBER = 1,
    MAPPING_START = 2,
    MAPPING_END = 3,
    MAPPING_OFFSET = 4,
    MAPPING_FILE = 5,
    MAPPING_HAS_FUNCTIONS = 7,
    LOCATION_NUMBER = 1,
    LOCATION_MAPPING = 2,
    LOCATION_ADDRESS = 3,
    LOCATION_LINE = 4,
    LINE_FUNCTION = 1,
    FUNCTION_NUMBER = 1,
    FUNCTION_NAME = 2,
    FUNCTION_SYSTEM_NAME = 3,
};

/* The first strings, by their numbers. */
enum {
    STRING_NOTHING,
    STRING_COUNT,
    STRING_BYTES,
    STRING_SPACE,
    STRING_FIRST_VALUE,
};

static const char first_strings[][16] = {
    "",
    "count",
    "bytes",
    "space",
    "alloc_objects",
    "alloc_space",
    "inuse_objects",
    "inuse_space",
    "pinned_space",
};

/* ---- bytes ----------------------------------------------------------------
 */

struct message_part {
    size_t size;
    unsigned char bytes[PPROF_PART];
};

static void put_byte(struct message_part *part, unsigned byte)
{
    if (part->size < PPROF_PART) {
        part->bytes[part->size++] = (unsigned char)byte;
    }
}

static void put_varint(struct message_part *part, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        put_byte(part, (unsigned)(value & 0x7f) | 0x80);
    }
    put_byte(part, (unsigned)value);
}

static void put_number(struct message_part *part, unsigned field,
                       uint64_t value)
{
    put_varint(part, field << 3);
    put_varint(part, value);
}

static void put_bytes(struct message_part *part, unsigned field,
                      const void *bytes, size_t size)
{
    const unsigned char *from = bytes;
    put_varint(part, field << 3 | 2);
    put_varint(part, size);
    for (size_t i = 0; i < size; i++) {
        put_byte(part, from[i]);
    }
}

static void flush(struct pprof *pprof)
{
    if (!pprof->has_failed && pprof->used > 0) {
        pprof->has_failed =
            !pprof->write(pprof->to, pprof->buffer, pprof->used);
    }
    pprof->used = 0;
}

static void append(struct pprof *pprof, const struct message_part *part)
{
    if (pprof->used + part->size > sizeof pprof->buffer) {
        flush(pprof);
    }
    memcpy(pprof->buffer + pprof->used, part->bytes, part->size);
    pprof->used += part->size;
}

/* A field of the profile that is a part of its own. */
static void append_part(struct pprof *pprof, unsigned field,
                        const struct message_part *part)
{
    struct message_part head = {0};
    put_varint(&head, field << 3 | 2);
    put_varint(&head, part->size);
    append(pprof, &head);
    append(pprof, part);
}

static void append_number(struct pprof *pprof, unsigned field, uint64_t value)
{
    struct message_part part = {0};
    put_number(&part, field, value);
    append(pprof, &part);
}

/* ---- parts ----------------------------------------------------------------
 */

/* Returns its number. A longer one is cut off. */
static size_t append_string(struct pprof *pprof, const char *text,
                            size_t length)
{
    struct message_part part = {0};
    part.size = min_size(length, PPROF_PART);
    memcpy(part.bytes, text, part.size);
    append_part(pprof, PROFILE_STRING, &part);
    return pprof->strings++;
}

static void append_type(struct pprof *pprof, unsigned field, size_t name,
                        size_t unit)
{
    struct message_part part = {0};
    put_number(&part, TYPE_NAME, name);
    put_number(&part, TYPE_UNIT, unit);
    append_part(pprof, field, &part);
}

void pprof_begin(struct pprof *pprof, uint64_t *addresses, size_t count,
                 uint64_t period)
{
    pprof->addresses = addresses;
    pprof->count = count;
    pprof->is_named = (bool *)(addresses + count);
    for (size_t i = 0; i < STRING_FIRST_VALUE + PPROF_VALUES; i++) {
        append_string(pprof, first_strings[i], strlen(first_strings[i]));
    }
    for (size_t i = 0; i < PPROF_VALUES; i++) {
        bool is_count = i == PPROF_ALLOC_OBJECTS || i == PPROF_INUSE_OBJECTS;
        append_type(pprof, PROFILE_SAMPLE_TYPE, STRING_FIRST_VALUE + i,
                    is_count ? STRING_COUNT : STRING_BYTES);
    }
    append_type(pprof, PROFILE_PERIOD_TYPE, STRING_SPACE, STRING_BYTES);
    append_number(pprof, PROFILE_PERIOD, period);
    append_number(pprof, PROFILE_DEFAULT_SAMPLE_TYPE,
                  STRING_FIRST_VALUE + PPROF_INUSE_SPACE);
}

/* ---- addresses ------------------------------------------------------------
 */

/* The address of a call by the one behind it. 0 would be no location. */
static uint64_t call_before(uint64_t address)
{
    return address > 1 ? address - 1 : 1;
}

void pprof_collect(struct pprof *pprof, const uint64_t *frames, size_t depth)
{
    uint64_t *known = pprof->addresses;
    for (size_t i = 0; i < depth; i++) {
        uint64_t address = call_before(frames[i]);
        size_t slot = (size_t)(address * 0x9e3779b97f4a7c15u >> 20);
        while (known[slot & (pprof->count - 1)] != 0 &&
               known[slot & (pprof->count - 1)] != address) {
            slot++;
        }
        known[slot & (pprof->count - 1)] = address;
    }
}

static void sift_down(uint64_t *heap, size_t at, size_t count)
{
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && heap[child + 1] > heap[child];
        if (heap[at] >= heap[child]) {
            return;
        }
        uint64_t larger = heap[child];
        heap[child] = heap[at];
        heap[at] = larger;
        at = child;
    }
}

/* By a heap: libc's qsort may allocate. The empty slots come first. */
void pprof_sort(struct pprof *pprof)
{
    uint64_t *all = pprof->addresses;
    for (size_t i = pprof->count / 2; i > 0; i--) {
        sift_down(all, i - 1, pprof->count);
    }
    for (size_t end = pprof->count; end > 1; end--) {
        uint64_t largest = all[0];
        all[0] = all[end - 1];
        all[end - 1] = largest;
        sift_down(all, 0, end - 1);
    }
    while (pprof->written < pprof->count && all[pprof->written] == 0) {
        pprof->written++;
    }
}

/* ---- locations ------------------------------------------------------------
 */

static void append_location(struct pprof *pprof, uint64_t address,
                            size_t mapping, size_t function)
{
    struct message_part part = {0};
    struct message_part line = {0};
    put_number(&part, LOCATION_NUMBER, address);
    put_number(&part, LOCATION_MAPPING, mapping);
    put_number(&part, LOCATION_ADDRESS, address);
    if (function != 0) {
        put_number(&line, LINE_FUNCTION, function);
        put_bytes(&part, LOCATION_LINE, line.bytes, line.size);
    }
    append_part(pprof, PROFILE_LOCATION, &part);
}

static size_t append_function(struct pprof *pprof, const char *name)
{
    struct message_part part = {0};
    size_t string = append_string(pprof, name, strlen(name));
    put_number(&part, FUNCTION_NUMBER, ++pprof->functions);
    put_number(&part, FUNCTION_NAME, string);
    put_number(&part, FUNCTION_SYSTEM_NAME, string);
    append_part(pprof, PROFILE_FUNCTION, &part);
    return pprof->functions;
}

static void append_named(void *data, size_t first, size_t last,
                         const char *name)
{
    struct pprof *pprof = data;
    size_t function = 0;
    for (size_t i = pprof->written + first; i < pprof->written + last; i++) {
        if (!pprof->is_named[i]) {
            function = function != 0 ? function : append_function(pprof, name);
            append_location(pprof, pprof->addresses[i], pprof->mappings,
                            function);
            pprof->is_named[i] = true;
        }
    }
}

/* Those below this address that have not been written. */
static void append_unnamed(struct pprof *pprof, uint64_t end, size_t mapping)
{
    for (; pprof->written < pprof->count &&
           pprof->addresses[pprof->written] < end;
         pprof->written++) {
        if (!pprof->is_named[pprof->written]) {
            append_location(pprof, pprof->addresses[pprof->written], mapping,
                            0);
        }
    }
}

static void append_mapping(struct pprof *pprof,
                           const struct mapped_file *mapping)
{
    struct message_part part = {0};
    size_t file = append_string(pprof, mapping->path, strlen(mapping->path));
    put_number(&part, MAPPING_NUMBER, ++pprof->mappings);
    put_number(&part, MAPPING_START, mapping->start);
    put_number(&part, MAPPING_END, mapping->end);
    put_number(&part, MAPPING_OFFSET, mapping->offset);
    put_number(&part, MAPPING_FILE, file);
    put_number(&part, MAPPING_HAS_FUNCTIONS, 1);
    append_part(pprof, PROFILE_MAPPING, &part);
}

/* How many of the addresses that are left are below this one. */
static size_t count_below(const struct pprof *pprof, uint64_t end)
{
    size_t last = pprof->written;
    while (last < pprof->count && pprof->addresses[last] < end) {
        last++;
    }
    return last - pprof->written;
}

/* ---- lines of maps --------------------------------------------------------
 */

static uint64_t read_hex(const char **at, const char *end)
{
    uint64_t value = 0;
    for (; *at < end; ++*at) {
        char c = **at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) {
            break;
        }
        value = value << 4 | digit;
    }
    return value;
}

static void skip_word(const char **at, const char *end)
{
    while (*at < end && **at != ' ') {
        ++*at;
    }
    while (*at < end && **at == ' ') {
        ++*at;
    }
}

/* "start-end rwxp offset device inode   path"; false without code or path. */
static bool read_mapping(const char *at, const char *end,
                         struct mapped_file *mapping, char path[PPROF_PART])
{
    mapping->start = read_hex(&at, end);
    at += at < end;
    mapping->end = read_hex(&at, end);
    skip_word(&at, end);
    bool has_code = end - at > 3 && at[2] == 'x';
    skip_word(&at, end);
    mapping->offset = read_hex(&at, end);
    skip_word(&at, end);
    skip_word(&at, end);
    skip_word(&at, end);
    size_t length = min_size((size_t)(end - at), PPROF_PART - 1);
    memcpy(path, at, length);
    path[length] = '\0';
    mapping->path = path;
    return has_code && length > 0;
}

void pprof_add_mapping(struct pprof *pprof, const char *line, size_t length)
{
    char path[PPROF_PART];
    struct mapped_file mapping;
    if (!read_mapping(line, line + length, &mapping, path)) {
        return;
    }
    append_unnamed(pprof, mapping.start, 0);
    append_mapping(pprof, &mapping);
    size_t count = count_below(pprof, mapping.end);
    if (count > 0) {
        names_find(&mapping, pprof->addresses + pprof->written, count,
                   append_named, pprof);
        append_unnamed(pprof, mapping.end, pprof->mappings);
    }
}

void pprof_add_other_locations(struct pprof *pprof)
{
    append_unnamed(pprof, UINT64_MAX, 0);
}

/* ---- samples --------------------------------------------------------------
 */

void pprof_add_sample(struct pprof *pprof, const uint64_t *frames, size_t depth,
                      const double values[PPROF_VALUES])
{
    struct message_part numbers = {0};
    struct message_part part = {0};
    for (size_t i = 0; i < depth && i < PPROF_FRAMES; i++) {
        put_varint(&numbers, call_before(frames[i]));
    }
    put_bytes(&part, SAMPLE_LOCATIONS, numbers.bytes, numbers.size);
    numbers.size = 0;
    for (size_t i = 0; i < PPROF_VALUES; i++) {
        put_varint(&numbers, values[i] > 0 ? (uint64_t)(values[i] + 0.5) : 0);
    }
    put_bytes(&part, SAMPLE_VALUES, numbers.bytes, numbers.size);
    append_part(pprof, PROFILE_SAMPLE, &part);
}

bool pprof_end(struct pprof *pprof)
{
    flush(pprof);
    return !pprof->has_failed;
}
