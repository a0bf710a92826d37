/*
 * map.c - draws heaps as strips of pages.
 *
 *     heap  |##|#:|::|  |##|..|     one cell for each page: how much of it is
 *                                   live, cached, free, or with the kernel
 *
 * The page for a browser (map.html) is one file that asks for nothing else: the
 * numbers are put into it as text that its script unpacks, and it draws what is
 * looked at. Blocks one by one are in it up to a number; of what is beyond,
 * only the pages. The picture for documents (SVG) has no script: each strip is
 * a few hundred bars.
 */
#define _GNU_SOURCE
#include "map.h"

#include "launch.h"
#include "target.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    blocks_most = 400000, /* in one page: some megabytes of text */
    svg_columns = 320,
    svg_width = 960,
    strip_height = 18,
    strip_gap = 22,
    strips_at = 76,
    svg_heaps_most = 40
};

/* map.html as it is in the source, ended by a zero byte. */
__asm__(".section .rodata\n"
        "map_page:\n"
        ".incbin \"map.html\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char map_page[] __attribute__((visibility("hidden")));

static const char svg_style[] =
    "<style>\n"
    "text { font: 11px system-ui, sans-serif; fill: #67707e; }\n"
    ".title { font-size: 15px; fill: #1d2430; }\n"
    ".back { fill: #ffffff; } .heap { fill: #f1f3f6; }\n"
    ".live { fill: #2166ac; } .cached { fill: #e08214; }\n"
    ".free { fill: #b8c4d0; } .torn { fill: #c0143c; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #939dab; } .title { fill: #e4e8ee; }\n"
    ".back { fill: #14181f; } .heap { fill: #1b2029; }\n"
    ".live { fill: #5aa7e8; } .cached { fill: #f0a53c; }\n"
    ".free { fill: #4d5968; } .torn { fill: #ff5577; }\n"
    "}\n</style>\n"
    "<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n";

static const char *const svg_legend[] = {"live", "cached", "free", "torn",
                                         "heap"};
static const char *const svg_legend_words[] = {"live", "cached", "free",
                                               "damaged", "with the kernel"};

/* What a page is made of, in bytes; what is left of it is overhead. */
enum share { share_live, share_cached, share_free, share_torn, share_count };

struct page {
    uint16_t bytes[share_count];
    uint8_t run_class; /* object size / 16 of a run on it; 0: none */
    bool is_present;
};

struct heap_map {
    struct heap_view view;
    struct page *pages;
    size_t page_count;
    /* Blocks from the heap's start: size / 16 and state. */
    uint32_t *blocks;
    size_t block_count, block_room;
    bool has_all_blocks;
};

struct picture {
    struct heap_map *heaps;
    size_t heap_count;
    size_t blocks_left;
    bool is_out_of_memory;
};

/* ---- collecting --------------------------------------------------------- */

static void begin_heap(void *context, const struct heap_view *view,
                       const unsigned char *states)
{
    struct picture *picture = context;
    size_t count = picture->heap_count;
    struct heap_map *heap;

    if ((count & (count - 1)) == 0) {
        heap = realloc(picture->heaps,
                       (count ? 2 * count : 1) * sizeof *picture->heaps);
        if (heap == NULL) {
            picture->is_out_of_memory = true;
            return;
        }
        picture->heaps = heap;
    }
    heap = &picture->heaps[count];
    *heap = (struct heap_map){.view = *view,
                              .page_count = view->committed / page_size,
                              .has_all_blocks = true};
    heap->pages = calloc(heap->page_count, sizeof *heap->pages);
    if (heap->pages == NULL) {
        picture->is_out_of_memory = true;
        return;
    }
    picture->heap_count++;
    for (size_t i = 0; i < heap->page_count; i++)
        heap->pages[i].is_present = states[i] == page_present;
}

static enum share share_of(enum block_state state)
{
    switch (state) {
    case block_live:
        return share_live;
    case block_cached:
        return share_cached;
    case block_torn:
        return share_torn;
    default:
        return share_free;
    }
}

static void colour_pages(struct heap_map *heap, const struct block *block)
{
    uint64_t start = block->address - heap->view.address;
    uint64_t end = start + block->size;

    while (start < end) {
        struct page *page = &heap->pages[start / page_size];
        uint64_t stop = (start / page_size + 1) * page_size;

        if (stop > end)
            stop = end;
        page->bytes[share_of(block->state)] += (uint16_t)(stop - start);
        if (block->run_class != 0)
            page->run_class = (uint8_t)(block->run_class / 16);
        start = stop;
    }
}

static void keep_block(struct picture *picture, struct heap_map *heap,
                       const struct block *block)
{
    if (!heap->has_all_blocks)
        return;
    if (picture->blocks_left == 0) {
        heap->has_all_blocks = false;
        return;
    }
    if (heap->block_count == heap->block_room) {
        size_t room = heap->block_room ? 2 * heap->block_room : 1024;
        uint32_t *grown = realloc(heap->blocks, room * sizeof *grown);

        if (grown == NULL) {
            heap->has_all_blocks = false;
            return;
        }
        heap->blocks = grown;
        heap->block_room = room;
    }
    picture->blocks_left--;
    heap->blocks[heap->block_count++] =
        (uint32_t)(block->size / 16 * block_state_count) +
        (uint32_t)block->state;
}

static void add_block(void *context, const struct block *block)
{
    struct picture *picture = context;
    struct heap_map *heap;

    if (picture->is_out_of_memory || picture->heap_count == 0)
        return;
    heap = &picture->heaps[picture->heap_count - 1];
    if (block->state != block_overhead)
        colour_pages(heap, block);
    keep_block(picture, heap, block);
}

static void free_picture(struct picture *picture)
{
    for (size_t i = 0; i < picture->heap_count; i++) {
        free(picture->heaps[i].pages);
        free(picture->heaps[i].blocks);
    }
    free(picture->heaps);
}

/* ---- the page for a browser --------------------------------------------- */

static void print_text(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '&' || c == '<' || c == '>' || c == '"' || c < ' ' ||
            c == '\\' || c >= 0x7f)
            fprintf(file, "&#%u;", c);
        else
            putc(c, file);
    }
}

/* Sixteenths of the page; what no block has is not shown. */
static unsigned code_of(const struct page *page)
{
    unsigned code = page->is_present;

    for (int share = 0; share < share_count; share++)
        code = code * 17 + page->bytes[share] * 16u / page_size;
    return code * 65 + page->run_class;
}

/* Numbers in base 36, and how often each is repeated: "a5*12 0 17*3". */
static void print_number(FILE *file, uint64_t number, size_t times)
{
    char digits[16];
    int at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36];
        number /= 36;
    } while (number > 0);
    fputs(digits + at, file);
    if (times > 1)
        fprintf(file, "*%zu", times);
    putc(' ', file);
}

static void print_heap(FILE *file, const struct heap_map *heap)
{
    fprintf(file, "{a:'%#" PRIx64 "',n:%u,p:'", heap->view.address,
            heap->view.arena_number);
    for (size_t i = 0; i < heap->page_count;) {
        unsigned code = code_of(&heap->pages[i]);
        size_t end = i + 1;

        while (end < heap->page_count && code_of(&heap->pages[end]) == code)
            end++;
        print_number(file, code, end - i);
        i = end;
    }
    fputs("',b:'", file);
    for (size_t i = 0; i < heap->block_count;) {
        size_t end = i + 1;

        while (end < heap->block_count && heap->blocks[end] == heap->blocks[i])
            end++;
        print_number(file, heap->blocks[i], end - i);
        i = end;
    }
    fprintf(file, "',w:%d},\n", heap->has_all_blocks);
}

static void print_table(FILE *file, const struct account *account)
{
    for (enum row row = 0; row < row_count; row++)
        if (account->rows[row] != 0)
            fprintf(file,
                    "<tr class=\"%s\"><td>%s</td><td>%" PRId64 "</td></tr>\n",
                    row_keys[row], row_names[row], account->rows[row] / 1024);
    fprintf(file,
            "<tr class=\"sum\"><td>resident</td><td>%" PRIu64 "</td></tr>\n",
            account->resident / 1024);
}

/* Writes what is before the next @NAME@ in the page; returns what is behind. */
static const char *print_until(FILE *file, const char *page, const char *mark)
{
    const char *end = strstr(page, mark);

    if (end == NULL)
        return page;
    fwrite(page, 1, (size_t)(end - page), file);
    return end + strlen(mark);
}

static void write_html(FILE *file, const struct picture *picture,
                       const struct account *account,
                       const struct memory *memory)
{
    const char *page = print_until(file, map_page, "@NAME@");

    print_text(file, memory->name);
    if (memory->process != 0)
        fprintf(file, ", process %d", memory->process);
    page = print_until(file, page, "@TABLE@");
    print_table(file, account);
    page = print_until(file, page, "@HEAPS@");
    for (size_t i = 0; i < picture->heap_count; i++)
        print_heap(file, &picture->heaps[i]);
    fputs(page, file);
}

/* ---- the picture for documents ------------------------------------------ */

struct bar {
    uint64_t bytes[share_count];
    uint64_t absent, all;
};

static struct bar bar_of(const struct heap_map *heap, size_t from, size_t to)
{
    struct bar bar = {0};

    for (size_t i = from; i < to && i < heap->page_count; i++) {
        const struct page *page = &heap->pages[i];

        bar.all += page_size;
        if (!page->is_present) {
            bar.absent += page_size;
            continue;
        }
        for (int share = 0; share < share_count; share++)
            bar.bytes[share] += page->bytes[share];
    }
    return bar;
}

static const char *const share_names[share_count] = {"live", "cached", "free",
                                                     "torn"};

static void print_bar(FILE *file, const struct bar *bar, double x, double y,
                      double width)
{
    double top = y;

    for (int share = 0; share < share_count; share++) {
        double height =
            strip_height * (double)bar->bytes[share] / (double)bar->all;

        if (height < 0.05)
            continue;
        fprintf(file,
                "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
                "height=\"%.2f\"/>\n",
                share_names[share], x, top, width, height);
        top += height;
    }
}

/* All strips have one scale: that of the longest heap. */
static void print_strip(FILE *file, const struct heap_map *heap, size_t longest,
                        double y)
{
    size_t step = (longest + svg_columns - 1) / svg_columns;
    double width = (double)svg_width * (double)step / (double)longest;

    fprintf(file,
            "<text x=\"8\" y=\"%.0f\">heap %#" PRIx64 ", arena %u, %s</text>\n"
            "<rect class=\"heap\" x=\"8\" y=\"%.0f\" width=\"%.2f\" "
            "height=\"%d\"/>\n",
            y - 4, heap->view.address, heap->view.arena_number,
            in_words(heap->view.committed), y,
            (double)svg_width * (double)heap->page_count / (double)longest,
            strip_height);
    for (size_t i = 0; i < heap->page_count; i += step) {
        struct bar bar = bar_of(heap, i, i + step);

        print_bar(file, &bar,
                  8 + (double)svg_width * (double)i / (double)longest, y,
                  width);
    }
}

static void print_legend(FILE *file)
{
    for (int i = 0; i < 5; i++)
        fprintf(file,
                "<rect class=\"%s\" x=\"%d\" y=\"34\" width=\"11\" "
                "height=\"11\"/>\n<text x=\"%d\" y=\"44\">%s</text>\n",
                svg_legend[i], 8 + i * 90, 24 + i * 90, svg_legend_words[i]);
}

static void write_svg(FILE *file, const struct picture *picture,
                      const struct account *account,
                      const struct memory *memory)
{
    size_t shown = picture->heap_count, longest = 1, height;
    double y = strips_at;

    if (shown > svg_heaps_most)
        shown = svg_heaps_most;
    for (size_t i = 0; i < picture->heap_count; i++)
        if (picture->heaps[i].page_count > longest)
            longest = picture->heaps[i].page_count;
    height = strips_at + (shown + (shown < picture->heap_count)) *
                             (strip_height + strip_gap);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
            "height=\"%zu\" viewBox=\"0 0 %d %zu\">\n%s",
            svg_width + 16, height, svg_width + 16, height, svg_style);
    fprintf(file, "<text class=\"title\" x=\"8\" y=\"22\">");
    print_text(file, memory->name);
    fprintf(file, ": %s resident, %s live in %" PRIu64 " blocks</text>\n",
            in_words(account->resident),
            in_words(account->live_bytes + account->mapped_bytes),
            account->live_blocks + account->mapped_blocks);
    print_legend(file);
    for (size_t i = 0; i < shown; i++, y += strip_height + strip_gap)
        print_strip(file, &picture->heaps[i], longest, y);
    if (shown < picture->heap_count)
        fprintf(file, "<text x=\"8\" y=\"%.0f\">and %zu more</text>\n", y,
                picture->heap_count - shown);
    fputs("</svg>\n", file);
}

/* ---- the subcommand ----------------------------------------------------- */

struct map_options {
    const char *output;
    bool is_svg;
    char *target[3];
};

/* Options may stand on either side of the process. */
static void take_options(struct map_options *options, char **words)
{
    int count = 0;

    for (; *words != NULL; words++) {
        if (strcmp(*words, "--svg") == 0) {
            options->is_svg = true;
        } else if (strcmp(*words, "-o") == 0) {
            if (words[1] == NULL)
                fail(exit_tool, "map: -o takes a file; see ptm --help");
            options->output = *++words;
        } else if ((*words)[0] == '-' && strcmp(*words, "--core") != 0) {
            fail(exit_tool, "map: unknown option '%s'; see ptm --help", *words);
        } else if (count < 2) {
            options->target[count++] = *words;
        } else {
            fail(exit_tool, "map: one process at a time; see ptm --help");
        }
    }
}

int map(char **words)
{
    struct picture picture = {.blocks_left = blocks_most};
    struct account_watcher watcher = {&picture, begin_heap, add_block};
    struct map_options options = {0};
    struct account account;
    struct memory memory;
    struct layout layout;
    FILE *file = stdout;

    take_options(&options, words);
    open_target(&memory, "map", options.target);
    examine(&account, &memory, &layout, &watcher);
    if (picture.is_out_of_memory)
        fail(exit_tool, "out of memory");
    if (options.output != NULL)
        file = fopen(options.output, "we");
    if (file == NULL)
        fail(exit_tool, "%s: %s", options.output, strerror(errno));
    (options.is_svg ? write_svg : write_html)(file, &picture, &account,
                                              &memory);
    if (ferror(file) || fflush(file) != 0)
        fail(exit_tool, "%s: cannot be written",
             options.output ? options.output : "standard output");
    if (file != stdout)
        fclose(file);
    free_picture(&picture);
    account_free(&account);
    memory_close(&memory);
    return 0;
}
