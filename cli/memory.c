/*
 * memory.c - /proc and core files, read with suspicion.
 */
#define _GNU_SOURCE
#include "memory.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    regions_most = 1 << 20, /* the kernel's own limit is 65,530 by default */
    entries_at_once = 4096
};

static const uint64_t large = (uint64_t)1 << 30;

static const uint64_t entry_present = (uint64_t)1 << 63;
static const uint64_t entry_in_swap = (uint64_t)1 << 62;
static const uint64_t entry_of_file = (uint64_t)1 << 61;
static const uint64_t entry_exclusive = (uint64_t)1 << 56;

static struct region *add_region(struct memory *memory)
{
    size_t count = memory->region_count;
    struct region *grown;

    if (count == regions_most)
        return NULL;
    if ((count & (count - 1)) == 0) {
        grown = realloc(memory->regions,
                        (count ? 2 * count : 1) * sizeof *memory->regions);
        if (grown == NULL)
            return NULL;
        memory->regions = grown;
    }
    memory->region_count++;
    grown = &memory->regions[count];
    memset(grown, 0, sizeof *grown);
    return grown;
}

static enum region_kind kind_of(const struct region *region)
{
    if (strncmp(region->path, "[heap]", 6) == 0)
        return region_heap;
    if (strncmp(region->path, "[stack", 6) == 0)
        return region_stack;
    if (!region->is_private)
        return region_shared;
    return region->path[0] == '/' || strncmp(region->path, "[v", 2) == 0
               ? region_file
               : region_other;
}

const struct region *memory_region(const struct memory *memory,
                                   uint64_t address)
{
    size_t low = 0, high = memory->region_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct region *region = &memory->regions[middle];

        if (address < region->start)
            high = middle;
        else if (address >= region->end)
            low = middle + 1;
        else
            return region;
    }
    return NULL;
}

/* ---- a process ---------------------------------------------------------- */

/* A line "start-end perms offset device inode path", or false. */
static bool parse_region(const char *line, struct region *region)
{
    unsigned long long start, end;
    char perms[5];
    int path_at = 0;

    if (sscanf(line, "%llx-%llx %4s %*s %*s %*s %n", &start, &end, perms,
               &path_at) != 3 ||
        start >= end || path_at == 0)
        return false;
    region->start = start;
    region->end = end;
    region->is_readable = perms[0] == 'r';
    region->is_private = perms[3] == 'p';
    snprintf(region->path, sizeof region->path, "%.*s",
             (int)strcspn(line + path_at, "\n"), line + path_at);
    region->kind = kind_of(region);
    return true;
}

static void parse_counter(const char *line, struct region *region)
{
    unsigned long long kilobytes;

    if (sscanf(line, "Rss: %llu kB", &kilobytes) == 1)
        region->resident = kilobytes * 1024;
    else if (sscanf(line, "Swap: %llu kB", &kilobytes) == 1)
        region->swapped = kilobytes * 1024;
}

/* What the maps do not name. A thread's stack is a mapping whose first page may
 * not be touched: the guard right before it has no rights and no name. The
 * variables of a library that begin with zero are right behind its file. */
static void find_unnamed(struct memory *memory)
{
    for (size_t i = 1; i < memory->region_count; i++) {
        const struct region *guard = &memory->regions[i - 1];
        struct region *region = &memory->regions[i];
        uint64_t size = guard->end - guard->start;

        if (region->kind == region_other && guard->kind == region_file &&
            guard->path[0] == '/' && guard->end == region->start &&
            region->is_readable)
            region->kind = region_file;
        region->is_stack_like =
            region->kind == region_other && guard->kind == region_other &&
            region->is_readable && !guard->is_readable &&
            guard->end == region->start && size <= 16 * page_size;
    }
}

static const char *why_not_opened(void)
{
    switch (errno) {
    case ENOENT:
        return "there is no such process";
    case EACCES:
    case EPERM:
        return "it may not be read: that takes the rights of a debugger";
    default:
        return strerror(errno);
    }
}

static const char *read_regions(struct memory *memory)
{
    struct region *region = NULL;
    char path[64], *line = NULL;
    size_t capacity = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/smaps", memory->process);
    file = fopen(path, "re");
    if (file == NULL)
        return why_not_opened();
    while (getline(&line, &capacity, file) > 0) {
        struct region next = {0};

        if (!parse_region(line, &next)) {
            if (region != NULL)
                parse_counter(line, region);
            continue;
        }
        if (region != NULL && next.start < region->end)
            continue;
        region = add_region(memory);
        if (region == NULL)
            break;
        *region = next;
    }
    free(line);
    fclose(file);
    return memory->region_count > 0 ? NULL : "it has no memory";
}

static void read_name(struct memory *memory)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/comm", memory->process);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(memory->name, sizeof memory->name, file) != NULL)
            memory->name[strcspn(memory->name, "\n")] = '\0';
        fclose(file);
    }
}

static void add_up(struct memory *memory)
{
    for (size_t i = 0; i < memory->region_count; i++) {
        memory->resident += memory->regions[i].resident;
        memory->swapped += memory->regions[i].swapped;
    }
    memory->is_large = memory->resident >= large;
}

const char *memory_open_process(struct memory *memory, int process)
{
    const char *wrong;
    char path[64];

    memset(memory, 0, sizeof *memory);
    memory->process = process;
    memory->pagemap = -1;
    memory->is_core_of_this_machine = true;
    wrong = read_regions(memory);
    if (wrong != NULL)
        return wrong;
    read_name(memory);
    find_unnamed(memory);
    add_up(memory);
    snprintf(path, sizeof path, "/proc/%d/pagemap", process);
    memory->pagemap = open(path, O_RDONLY | O_CLOEXEC);
    return NULL;
}

void memory_close(struct memory *memory)
{
    if (memory->pagemap >= 0)
        close(memory->pagemap);
    free(memory->regions);
    memory->regions = NULL;
    memory->region_count = 0;
}

static bool read_process(const struct memory *memory, uint64_t address,
                         void *to, size_t length)
{
    struct iovec local = {to, length};
    struct iovec remote = {(void *)(uintptr_t)address, length};

    return process_vm_readv(memory->process, &local, 1, &remote, 1, 0) ==
           (ssize_t)length;
}

static unsigned char state_of(uint64_t entry)
{
    if (entry & entry_in_swap)
        return page_in_swap;
    if (!(entry & entry_present))
        return page_absent;
    return entry & (entry_of_file | entry_exclusive) ? page_present
                                                     : page_doubtful;
}

static bool pages_of_process(const struct memory *memory, uint64_t address,
                             size_t count, unsigned char *states)
{
    uint64_t entries[entries_at_once];

    if (memory->pagemap < 0)
        return false;
    while (count > 0) {
        size_t part = count < entries_at_once ? count : entries_at_once;
        size_t bytes = part * sizeof *entries;
        off_t place = (off_t)(address / page_size * sizeof *entries);

        if (pread(memory->pagemap, entries, bytes, place) != (ssize_t)bytes)
            return false;
        for (size_t i = 0; i < part; i++)
            states[i] = state_of(entries[i]);
        states += part;
        count -= part;
        address += part * page_size;
    }
    return true;
}

/* ---- a core file -------------------------------------------------------- */

static bool core_has(const struct memory *memory, uint64_t at, uint64_t length)
{
    return at <= memory->core_size && length <= memory->core_size - at;
}

static int by_start(const void *a, const void *b)
{
    uint64_t one = ((const struct region *)a)->start;
    uint64_t other = ((const struct region *)b)->start;

    return one < other ? -1 : one > other;
}

/* Regions that overlap an earlier one are dropped, and bytes that more than one
 * has: no kernel writes them. So all of them are no more than the file. */
static void drop_overlaps(struct memory *memory)
{
    uint64_t left = memory->core_size;
    size_t kept = 0;

    if (memory->region_count > 0)
        qsort(memory->regions, memory->region_count, sizeof *memory->regions,
              by_start);
    for (size_t i = 0; i < memory->region_count; i++)
        if (kept == 0 ||
            memory->regions[i].start >= memory->regions[kept - 1].end)
            memory->regions[kept++] = memory->regions[i];
    memory->region_count = kept;
    for (size_t i = 0; i < kept; i++) {
        struct region *region = &memory->regions[i];

        if (region->byte_count > left)
            region->byte_count = 0;
        left -= region->byte_count;
    }
}

static void add_segment(struct memory *memory, const Elf64_Phdr *segment)
{
    struct region *region;

    if (segment->p_vaddr % page_size != 0 || segment->p_memsz == 0 ||
        segment->p_memsz > UINT64_MAX / 2 ||
        segment->p_vaddr > UINT64_MAX / 2 ||
        (region = add_region(memory)) == NULL)
        return;
    region->start = segment->p_vaddr;
    region->end = (segment->p_vaddr + segment->p_memsz + page_size - 1) /
                  page_size * page_size;
    region->is_readable = true;
    region->is_private = true;
    region->kind = region_other;
    if (core_has(memory, segment->p_offset, segment->p_filesz)) {
        region->bytes = memory->core + segment->p_offset;
        region->byte_count = segment->p_filesz < segment->p_memsz
                                 ? segment->p_filesz
                                 : segment->p_memsz;
    }
}

/* The note of mapped files: count, page size, count times (start, end, offset),
 * count names. */
static void name_files(struct memory *memory, const unsigned char *note,
                       size_t length)
{
    uint64_t header[2], file[3];
    const char *name, *end = (const char *)note + length;
    const struct region *found;

    if (length < sizeof header)
        return;
    memcpy(header, note, sizeof header);
    if (header[0] > (length - sizeof header) / sizeof file)
        return;
    name = (const char *)note + sizeof header + header[0] * sizeof file;
    for (uint64_t i = 0; i < header[0] && name < end; i++) {
        size_t size = strnlen(name, (size_t)(end - name));

        memcpy(file, note + sizeof header + i * sizeof file, sizeof file);
        found = memory_region(memory, file[0]);
        if (found != NULL) {
            struct region *region = &memory->regions[found - memory->regions];

            snprintf(region->path, sizeof region->path, "%.*s", (int)size,
                     name);
            region->kind = region_file;
        }
        name += size + 1;
    }
}

static void read_notes(struct memory *memory, const Elf64_Phdr *segment)
{
    const unsigned char *at = memory->core + segment->p_offset;
    uint64_t left = segment->p_filesz;
    Elf64_Nhdr note;

    while (left >= sizeof note) {
        uint64_t name, rest;

        memcpy(&note, at, sizeof note);
        name = ((uint64_t)note.n_namesz + 3) / 4 * 4;
        rest = ((uint64_t)note.n_descsz + 3) / 4 * 4;
        if (name + rest > left - sizeof note)
            return;
        if (note.n_type == NT_FILE)
            name_files(memory, at + sizeof note + name, note.n_descsz);
        at += sizeof note + name + rest;
        left -= sizeof note + name + rest;
    }
}

static bool is_zero_page(const unsigned char *bytes, size_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static unsigned char core_page(const struct region *region, uint64_t offset)
{
    uint64_t left;

    if (offset >= region->byte_count)
        return page_absent;
    left = region->byte_count - offset;
    return is_zero_page(region->bytes + offset,
                        left < page_size ? left : page_size)
               ? page_absent
               : page_present;
}

static void count_pages_of_core(struct memory *memory)
{
    for (size_t i = 0; i < memory->region_count; i++) {
        struct region *region = &memory->regions[i];

        for (uint64_t at = 0; at < region->byte_count; at += page_size)
            if (core_page(region, at) == page_present)
                region->resident += page_size;
    }
}

const char *memory_open_core(struct memory *memory, const void *bytes,
                             size_t size)
{
    Elf64_Ehdr header;
    Elf64_Phdr segment;

    memset(memory, 0, sizeof *memory);
    memory->pagemap = -1;
    memory->core = bytes;
    memory->core_size = size;
    if (size < sizeof header)
        return "not a core file";
    memcpy(&header, bytes, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_CORE ||
        header.e_phentsize != sizeof segment)
        return "not a core file";
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < header.e_phnum; i++) {
            uint64_t place = header.e_phoff + (uint64_t)i * sizeof segment;

            if (header.e_phoff > size ||
                !core_has(memory, place, sizeof segment))
                break;
            memcpy(&segment, memory->core + place, sizeof segment);
            if (pass == 0 && segment.p_type == PT_LOAD)
                add_segment(memory, &segment);
            if (pass == 1 && segment.p_type == PT_NOTE &&
                core_has(memory, segment.p_offset, segment.p_filesz))
                read_notes(memory, &segment);
        }
        if (pass == 0)
            drop_overlaps(memory);
    }
    count_pages_of_core(memory);
    add_up(memory);
    return NULL;
}

const char *memory_open_core_file(struct memory *memory, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    const char *wrong, *slash = strrchr(path, '/');
    void *bytes;

    if (file < 0)
        return strerror(errno);
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size == 0) {
        close(file);
        return "not a core file";
    }
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED)
        return strerror(errno);
    wrong = memory_open_core(memory, bytes, (size_t)status.st_size);
    snprintf(memory->name, sizeof memory->name, "%s", slash ? slash + 1 : path);
    return wrong;
}

/* ---- both --------------------------------------------------------------- */

static bool read_core(const struct memory *memory, uint64_t address, void *to,
                      size_t length)
{
    unsigned char *bytes = to;

    while (length > 0) {
        const struct region *region = memory_region(memory, address);
        uint64_t offset, part;

        if (region == NULL)
            return false;
        offset = address - region->start;
        if (offset >= region->byte_count)
            return false;
        part = region->byte_count - offset;
        if (part > length)
            part = length;
        memcpy(bytes, region->bytes + offset, part);
        bytes += part;
        address += part;
        length -= part;
    }
    return true;
}

bool memory_read(const struct memory *memory, uint64_t address, void *to,
                 size_t length)
{
    return memory->process != 0 ? read_process(memory, address, to, length)
                                : read_core(memory, address, to, length);
}

bool memory_pages(const struct memory *memory, uint64_t address, size_t count,
                  unsigned char *states)
{
    if (memory->process != 0)
        return pages_of_process(memory, address, count, states);
    for (size_t i = 0; i < count; i++, address += page_size) {
        const struct region *region = memory_region(memory, address);

        states[i] = region != NULL ? core_page(region, address - region->start)
                                   : page_absent;
    }
    return true;
}
