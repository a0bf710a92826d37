#define _GNU_SOURCE
#include "leaks.h"

#include "launch.h"
#include "names.h"
#include "notes.h"
#include "verdict.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { stacks_shown = 10, frames_shown = 12, name_shown = 200 };

struct leak {
    double count, bytes;
    const uint64_t *frames;
    uint32_t depth;
};

/* A place in the program, which stands for the call before it. */
struct site {
    uint64_t address;
    char *name; /* NULL: not known */
};

struct leaks {
    struct leak *all; /* those that are shown come first */
    size_t count;
    double blocks, bytes;
    struct site *sites; /* of what is shown, by address */
    size_t site_count;
};

static void *allocate(size_t count, size_t size)
{
    void *block = calloc(count + 1, size);

    if (block == NULL)
        fail(exit_tool, "out of memory");
    return block;
}

/* ---- stacks with something live ------------------------------------------ */

static int by_bytes(const void *a, const void *b)
{
    const struct leak *one = a, *other = b;

    return (one->bytes < other->bytes) - (one->bytes > other->bytes);
}

static void find_leaks(struct leaks *leaks, const struct notes *notes,
                       const struct layout *layout)
{
    struct stack stack;
    uint64_t place = layout->stack_size;

    leaks->all =
        allocate(notes->stacks.used / layout->stack_size, sizeof *leaks->all);
    for (; stack_at(notes, layout, place, &stack);
         place = behind_stack(layout, &stack)) {
        struct leak leak = {
            number_at(stack.bytes, layout->stack_live_count),
            number_at(stack.bytes, layout->stack_live),
            stack.frames,
            stack.depth,
        };

        if (leak.count < 0.5)
            continue;
        leaks->all[leaks->count++] = leak;
        leaks->blocks += leak.count;
        leaks->bytes += leak.bytes;
    }
    qsort(leaks->all, leaks->count, sizeof *leaks->all, by_bytes);
}

/* ---- names --------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const struct site *one = a, *other = b;

    return (one->address > other->address) - (one->address < other->address);
}

static size_t shown(const struct leaks *leaks)
{
    return leaks->count < stacks_shown ? leaks->count : stacks_shown;
}

static uint32_t frames_of(const struct leak *leak)
{
    return leak->depth < frames_shown ? leak->depth : frames_shown;
}

static void find_sites(struct leaks *leaks)
{
    size_t kept = 0;

    leaks->sites = allocate(stacks_shown * frames_shown, sizeof *leaks->sites);
    for (size_t i = 0; i < shown(leaks); i++)
        for (uint32_t k = 0; k < frames_of(&leaks->all[i]); k++)
            leaks->sites[leaks->site_count++].address =
                leaks->all[i].frames[k] - 1;
    qsort(leaks->sites, leaks->site_count, sizeof *leaks->sites, by_address);
    for (size_t i = 0; i < leaks->site_count; i++)
        if (i == 0 || leaks->sites[i].address != leaks->sites[kept - 1].address)
            leaks->sites[kept++] = leaks->sites[i];
    leaks->site_count = kept;
}

static void name_sites(void *context, size_t first, size_t last,
                       const char *name)
{
    struct site *sites = context;

    for (size_t i = first; i < last; i++)
        if (sites[i].name == NULL)
            sites[i].name = strndup(name, name_shown);
}

/* A site that no symbol covers is named by its file and its place there. */
static void name_by_file(struct site *sites, size_t count,
                         const struct mapped_file *file)
{
    const char *slash = strrchr(file->path, '/');
    const char *last = slash != NULL ? slash + 1 : file->path;

    for (size_t i = 0; i < count; i++)
        if (sites[i].name == NULL &&
            asprintf(&sites[i].name, "%s+0x%" PRIx64, last,
                     sites[i].address - file->start + file->offset) < 0)
            sites[i].name = NULL;
}

static void name_in(struct leaks *leaks, const struct mapped_file *file)
{
    uint64_t addresses[stacks_shown * frames_shown];
    size_t first = 0, count = 0;

    while (first < leaks->site_count &&
           leaks->sites[first].address < file->start)
        first++;
    while (first + count < leaks->site_count &&
           leaks->sites[first + count].address < file->end) {
        addresses[count] = leaks->sites[first + count].address;
        count++;
    }
    if (count == 0)
        return;
    names_find(file, addresses, count, name_sites, leaks->sites + first);
    name_by_file(leaks->sites + first, count, file);
}

static void find_names(struct leaks *leaks, int process)
{
    char path[64], *line = NULL;
    size_t capacity = 0;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%d/maps", process);
    maps = fopen(path, "re");
    while (maps != NULL && getline(&line, &capacity, maps) > 0) {
        struct mapped_file file = {0};
        char rights[8];
        int at = 0;

        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n",
                   &file.start, &file.end, rights, &file.offset, &at) < 4 ||
            at == 0 || rights[2] != 'x' || line[at] == '\0')
            continue;
        file.path = line + at;
        name_in(leaks, &file);
    }
    if (maps != NULL)
        fclose(maps);
    free(line);
}

static const char *name_of(const struct leaks *leaks, uint64_t address)
{
    for (size_t i = 0; i < leaks->site_count; i++)
        if (leaks->sites[i].address == address && leaks->sites[i].name != NULL)
            return leaks->sites[i].name;
    return "?";
}

/* ---- the list ------------------------------------------------------------ */

static void print_sum(FILE *to, double bytes, double blocks)
{
    fprintf(to, "%s in %.0f block%s", in_words((uint64_t)(bytes + 0.5)), blocks,
            blocks < 1.5 ? "" : "s");
}

static void print_leak(FILE *to, const struct leaks *leaks,
                       const struct leak *leak)
{
    fputs("    ", to);
    print_sum(to, leak->bytes, leak->count);
    fputs(" by\n", to);
    for (uint32_t i = 0; i < frames_of(leak); i++)
        fprintf(to, "        %s\n", name_of(leaks, leak->frames[i] - 1));
    if (frames_of(leak) < leak->depth)
        fputs("        ...\n", to);
}

static void print_rest(FILE *to, const struct leaks *leaks)
{
    double bytes = 0, blocks = 0;

    for (size_t i = shown(leaks); i < leaks->count; i++) {
        bytes += leaks->all[i].bytes;
        blocks += leaks->all[i].count;
    }
    if (blocks == 0)
        return;
    fputs("    ", to);
    print_sum(to, bytes, blocks);
    fprintf(to, " by %zu more\n", leaks->count - shown(leaks));
}

static void free_leaks(struct leaks *leaks)
{
    for (size_t i = 0; i < leaks->site_count; i++)
        free(leaks->sites[i].name);
    free(leaks->sites);
    free(leaks->all);
}

void print_leaks(FILE *to, const struct memory *memory, struct layout *layout,
                 bool is_estimate)
{
    struct leaks leaks = {0};
    struct notes notes = {0};

    find_profile(layout, memory);
    read_notes(&notes, memory, layout);
    find_leaks(&leaks, &notes, layout);
    find_sites(&leaks);
    find_names(&leaks, memory->process);
    if (leaks.count == 0) {
        fprintf(to, "ptm: %s has freed all that it allocated.\n", memory->name);
    } else {
        fprintf(to, "ptm: %s has not freed %s", memory->name,
                is_estimate ? "about " : "");
        print_sum(to, leaks.bytes, leaks.blocks);
        fputs(":\n", to);
    }
    for (size_t i = 0; i < shown(&leaks); i++)
        print_leak(to, &leaks, &leaks.all[i]);
    print_rest(to, &leaks);
    if (notes.lost > 0)
        fprintf(to, "    and %" PRIu32 " that there was no room to note\n",
                notes.lost);
    free_notes(&notes);
    free_leaks(&leaks);
}
