/*
 * reader_fuzz.c - damages an image of a process and lets the reader look at it.
 *
 *   reader_fuzz process count seed
 *
 * The image is a core file made of the pages that the process has. Each round
 * changes some words of it: of the ELF headers, of the description, of tables,
 * heaps and caches. Values are random, or of the kinds that hurt: zero, all
 * ones, small, and words and addresses from elsewhere in the image, which make
 * loops. Whatever comes out, the rows add up to the resident bytes, and the
 * reader neither crashes (it is built with the address and undefined behaviour
 * sanitizers), nor hangs (the watchdog), nor grows (the limit on what it maps).
 */
#define _GNU_SOURCE
#include "../../cli/account.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    words_most = 64, /* that one round changes */
    patience = 120,  /* seconds for one round: it takes some milliseconds */
    growth_most = 128 << 10 /* KiB of resident memory, beyond the image */
};

/* Freed memory is held back by the address sanitizer, to tell its use; that is
 * not the reader's growth. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=8";
}

struct image {
    unsigned char *bytes;
    size_t size;
    size_t headers; /* bytes of ELF headers */
};

static uint64_t random_state;

static uint64_t random_word(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void die(const char *what)
{
    fprintf(stderr, "reader_fuzz: %s\n", what);
    exit(1);
}

/* ---- the image ---------------------------------------------------------- */

static bool is_wanted(const struct region *region)
{
    return region->is_readable && region->resident > 0 &&
           (region->kind == region_other ||
            strstr(region->path, "libptm") != NULL);
}

static void copy_pages(const struct memory *memory, const struct region *region,
                       unsigned char *to)
{
    unsigned char state;

    for (uint64_t at = region->start; at < region->end;
         at += page_size, to += page_size)
        if (memory_pages(memory, at, 1, &state) && state != page_absent)
            memory_read(memory, at, to, page_size);
}

static uint64_t bytes_of(const struct region *region)
{
    uint64_t size = region->end - region->start;

    return size < 4 << 20 ? size : 4 << 20;
}

static void make_image(struct image *image, const struct memory *memory)
{
    size_t count = 0, at;
    Elf64_Phdr *segments;
    Elf64_Ehdr *header;

    for (size_t i = 0; i < memory->region_count; i++)
        count += is_wanted(&memory->regions[i]);
    image->headers = sizeof *header + count * sizeof *segments;
    image->size = image->headers;
    for (size_t i = 0; i < memory->region_count; i++)
        if (is_wanted(&memory->regions[i]))
            image->size += bytes_of(&memory->regions[i]);
    image->bytes = calloc(1, image->size);
    if (image->bytes == NULL)
        die("out of memory");
    header = (Elf64_Ehdr *)image->bytes;
    segments = (Elf64_Phdr *)(header + 1);
    memcpy(header->e_ident, ELFMAG, SELFMAG);
    header->e_ident[EI_CLASS] = ELFCLASS64;
    header->e_type = ET_CORE;
    header->e_phoff = sizeof *header;
    header->e_phentsize = sizeof *segments;
    header->e_phnum = (Elf64_Half)count;
    at = image->headers;
    for (size_t i = 0; i < memory->region_count; i++) {
        const struct region *region = &memory->regions[i];
        struct region part = *region;

        if (!is_wanted(region))
            continue;
        part.end = region->start + bytes_of(region);
        *segments++ = (Elf64_Phdr){.p_type = PT_LOAD,
                                   .p_offset = at,
                                   .p_vaddr = region->start,
                                   .p_filesz = part.end - region->start,
                                   .p_memsz = region->end - region->start};
        copy_pages(memory, &part, image->bytes + at);
        at += part.end - region->start;
    }
}

/* ---- damage ------------------------------------------------------------- */

struct change {
    size_t at;
    uint64_t before;
};

/* Places that hold something, so that a round is not spent on zeros. */
static size_t some_place(const struct image *image)
{
    size_t at = 0;
    uint64_t word = 0;

    if (random_word() % 16 == 0)
        return random_word() % (image->headers / 8) * 8;
    for (int tries = 0; tries < 1000 && word == 0; tries++) {
        at = random_word() % (image->size / 8) * 8;
        memcpy(&word, image->bytes + at, sizeof word);
    }
    return at;
}

/* Where the description, and what it leads to, is in the image. */
static size_t place_of(const struct image *image, const struct memory *memory,
                       uint64_t address)
{
    const struct region *region = memory_region(memory, address);

    if (region == NULL || address - region->start >= region->byte_count)
        return some_place(image);
    return (size_t)(region->bytes + (address - region->start) - image->bytes) /
           8 * 8;
}

/* What a heap's header says of its runs, and the table of them: the heads of
 * the first two MiB. */
static size_t place_in_runs(const struct image *image,
                            const struct memory *memory,
                            const struct layout *layout)
{
    uint64_t top = 0, runs = 0, heap;

    memory_read(memory, layout->main_arena + layout->arena_top, &top,
                sizeof top);
    heap = top >> layout->heap_shift << layout->heap_shift;
    memory_read(memory, heap + layout->heap_runs, &runs, sizeof runs);
    if (random_word() % 4 == 0)
        return place_of(image, memory,
                        heap + layout->page_class + random_word() % 128);
    return place_of(image, memory,
                    runs + random_word() % (128 * layout->run_size));
}

static size_t aimed_place(const struct image *image,
                          const struct memory *memory,
                          const struct layout *layout)
{
    uint64_t roots[] = {
        layout->at,         layout->at - 4096,   layout->keys,
        layout->arenas,     layout->main_arena,  layout->caches,
        layout->mapped,     layout->recent,      layout->pool,
        layout->spares,     layout->first_slots, layout->guard_slots,
        layout->quarantines};
    uint64_t root = roots[random_word() % (sizeof roots / sizeof *roots)];
    uint64_t reach = root == layout->at - 4096 ? 4096 : 512;

    if (random_word() % 4 == 0)
        return place_in_runs(image, memory, layout);
    return place_of(image, memory, root + random_word() % reach);
}

static uint64_t bad_word(const struct image *image, uint64_t before)
{
    uint64_t word = 0;

    switch (random_word() % 8) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return random_word() % 4096;
    case 3:
        return before ^ (uint64_t)1 << random_word() % 64;
    case 4:
        return before + random_word() % 64 * 8;
    case 5:
        return random_word();
    default:
        memcpy(&word, image->bytes + some_place(image), sizeof word);
        return word;
    }
}

static size_t damage(struct image *image, const struct memory *memory,
                     const struct layout *layout, struct change *changes)
{
    size_t count = 1 + random_word() % words_most;

    for (size_t i = 0; i < count; i++) {
        size_t at = random_word() % 2 == 0 ? some_place(image)
                                           : aimed_place(image, memory, layout);
        uint64_t word;

        if (at + sizeof word > image->size)
            at = 0;
        memcpy(&changes[i].before, image->bytes + at, sizeof word);
        changes[i].at = at;
        word = bad_word(image, changes[i].before);
        memcpy(image->bytes + at, &word, sizeof word);
    }
    return count;
}

static void repair(struct image *image, const struct change *changes,
                   size_t count)
{
    while (count-- > 0)
        memcpy(image->bytes + changes[count].at, &changes[count].before,
               sizeof changes[count].before);
}

/* ---- rounds ------------------------------------------------------------- */

/* Whether the reader made an account of it, in either of its ways. */
static bool look(const struct image *image)
{
    struct account account;
    struct memory memory;
    struct layout layout;
    bool is_read = false;
    int64_t sum = 0;
    bool is_open = memory_open_core(&memory, image->bytes, image->size) == NULL;

    memory.is_large = random_word() % 2 == 0;
    if (is_open && layout_find(&layout, &memory) == NULL &&
        account_take(&account, &memory, &layout, NULL)) {
        is_read = true;
        for (enum row row = 0; row < row_count; row++)
            sum += account.rows[row];
        if (sum != (int64_t)account.resident)
            die("the rows do not add up");
        account_free(&account);
    }
    memory_close(&memory);
    return is_read;
}

static long resident_most(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

int main(int count, char **words)
{
    static struct change changes[words_most];
    struct memory process, whole;
    struct layout layout;
    struct image image;
    long rounds, read = 0, before;

    if (count != 4)
        die("process, count and seed are wanted");
    if (memory_open_process(&process, atoi(words[1])) != NULL)
        die("no such process");
    rounds = atol(words[2]);
    random_state = strtoull(words[3], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    make_image(&image, &process);
    memory_close(&process);
    if (!look(&image) ||
        memory_open_core(&whole, image.bytes, image.size) != NULL ||
        layout_find(&layout, &whole) != NULL)
        die("the image cannot be read before it is damaged");
    before = resident_most();
    for (long i = 0; i < rounds; i++) {
        size_t changed = damage(&image, &whole, &layout, changes);

        alarm(patience);
        read += look(&image);
        repair(&image, changes, changed);
    }
    memory_close(&whole);
    if (resident_most() - before > growth_most)
        die("the reader has grown");
    printf("%ld damaged images of %zu KiB: %ld gave an account, %ld a "
           "refusal; %ld KiB more than at first\n",
           rounds, image.size / 1024, read, rounds - read,
           resident_most() - before);
    free(image.bytes);
    return 0;
}
