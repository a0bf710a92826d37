/*
 * layout.c - finds the description in the memory of a process, by its first
 * bytes, and takes from it what this tool knows the names of.
 */
#include "layout.h"

#include <stdlib.h>
#include <string.h>

enum {
    magic_size = 16,
    alignment = 64,
    name_size = 24,
    entries_most = 512, /* of one part */
    parts = 7,
    chunk_size = 64 << 10,
};

static const char magic[magic_size] = "ptm:introspect\n";

/* Files larger than this are data. */
static const uint64_t searched_most = 64 << 20;

struct description {
    char name[name_size];
    uint64_t number;
};

struct introspection {
    char magic[magic_size];
    uint64_t self;
    uint32_t version;
    uint32_t entry_size;
    uint64_t parts[parts];
};

#define LAYOUT_NAME(field, text)                                               \
    {text, offsetof(struct layout, field), is_required},

static const struct name {
    char text[name_size];
    size_t offset;
    bool is_required;
} names[] = {
#define is_required true
    LAYOUT_REQUIRED(LAYOUT_NAME)
#undef is_required
#define is_required false
        LAYOUT_OPTIONAL(LAYOUT_NAME) LAYOUT_PROFILE(LAYOUT_NAME)
#undef is_required
};

enum { name_count = sizeof names / sizeof *names };

static uint64_t *field_of(struct layout *layout, const struct name *name)
{
    return (uint64_t *)(void *)((char *)layout + name->offset);
}

static void take(struct layout *layout, const struct description *description)
{
    for (size_t i = 0; i < name_count; i++)
        if (strncmp(names[i].text, description->name, name_size) == 0)
            *field_of(layout, &names[i]) = description->number;
}

static bool read_part(struct layout *layout, const struct memory *memory,
                      uint64_t at)
{
    struct description description;

    for (int i = 0; i < entries_most; i++, at += sizeof description) {
        if (!memory_read(memory, at, &description, sizeof description))
            return false;
        if (description.name[0] == '\0')
            return true;
        take(layout, &description);
    }
    return false;
}

static bool is_at(const struct memory *memory, uint64_t at,
                  struct introspection *found)
{
    return memory_read(memory, at, found, sizeof *found) &&
           memcmp(found->magic, magic, magic_size) == 0 && found->self == at;
}

/* Looks through one region. */
static bool search(const struct memory *memory, const struct region *region,
                   struct introspection *found)
{
    static const size_t step = chunk_size;
    unsigned char bytes[chunk_size];
    uint64_t end = region->end;

    for (uint64_t at = region->start; at < end; at += step) {
        size_t length = end - at < step ? (size_t)(end - at) : step;

        if (!memory_read(memory, at, bytes, length))
            return false;
        for (size_t i = 0; i + magic_size <= length; i += alignment)
            if (memcmp(bytes + i, magic, magic_size) == 0 &&
                is_at(memory, at + i, found))
                return true;
    }
    return false;
}

static bool may_hold_it(const struct region *region)
{
    return region->is_readable && region->is_private &&
           region->end - region->start <= searched_most &&
           (region->kind == region_file || region->kind == region_other);
}

/* First where it is as a rule: in a file of the allocator's name; then in all
 * other files; and in a core file without names, everywhere. */
static bool find(const struct memory *memory, struct introspection *found)
{
    for (int pass = 0; pass < 3; pass++) {
        if (pass == 2 && memory->process != 0)
            break;
        for (size_t i = 0; i < memory->region_count; i++) {
            const struct region *region = &memory->regions[i];
            bool is_named = strstr(region->path, "libptm") != NULL;
            bool is_file = region->kind == region_file;
            int wanted = is_named ? 0 : is_file ? 1 : 2;

            if (wanted == pass && may_hold_it(region) &&
                search(memory, region, found))
                return true;
        }
    }
    return false;
}

/* Offsets and constants that no allocator has would lead nowhere, but slowly.
 */
static bool is_plausible(const struct layout *layout)
{
    return layout->heap_shift >= 20 && layout->heap_shift <= 32 &&
           layout->owner_count <= (uint64_t)1 << 22 &&
           layout->arena_count <= 65536 && layout->chunk_step == 16 &&
           layout->chunk_header == 16 && layout->chunk_min >= 16 &&
           layout->chunk_min <= 64 && layout->chunk_word <= 16 &&
           layout->chunk_flags < layout->chunk_step &&
           layout->heap_first_chunk < (uint64_t)1 << 20 &&
           layout->heap_first_chunk % layout->chunk_step == 0;
}

static bool read_keys(struct layout *layout, const struct memory *memory)
{
    if (layout_has(layout->keys_object) &&
        !memory_read(memory, layout->keys + layout->keys_object,
                     &layout->key_object, sizeof layout->key_object))
        return false;
    return memory_read(memory, layout->keys + layout->keys_address,
                       &layout->key_address, sizeof layout->key_address) &&
           memory_read(memory, layout->keys + layout->keys_word,
                       &layout->key_word, sizeof layout->key_word) &&
           memory_read(memory, layout->keys + layout->keys_cached,
                       &layout->key_cached, sizeof layout->key_cached) &&
           memory_read(memory, layout->keys + layout->keys_freed,
                       &layout->key_freed, sizeof layout->key_freed);
}

const char *layout_find(struct layout *layout, const struct memory *memory)
{
    struct introspection found;

    memset(layout, 0, sizeof *layout);
    for (size_t i = 0; i < name_count; i++)
        *field_of(layout, &names[i]) = LAYOUT_ABSENT;
    if (!find(memory, &found))
        return "it does not run under ptm";
    layout->at = found.self;
    layout->version = found.version;
    if (found.version != 1 || found.entry_size != sizeof(struct description))
        return "its ptm is of another age: it describes itself in a way that "
               "this tool does not know";
    for (int i = 0; i < parts; i++)
        if (found.parts[i] != 0 && !read_part(layout, memory, found.parts[i]))
            return "the description of its ptm is damaged";
    if (layout_has(layout->profile_part) &&
        !read_part(layout, memory, layout->profile_part))
        return "the description of its ptm is damaged";
    for (size_t i = 0; i < name_count; i++)
        if (names[i].is_required && !layout_has(*field_of(layout, &names[i])))
            return "the description of its ptm lacks what is needed";
    if (!is_plausible(layout))
        return "the description of its ptm is damaged";
    return read_keys(layout, memory) ? NULL
                                     : "the keys of its ptm cannot be read";
}
