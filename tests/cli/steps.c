/*
 * steps.c - a process that is stopped anywhere is no damaged one.
 *
 *   steps library
 *
 * A child plays scenes with the library preloaded: chunks are cut, merged and
 * resized, heaps grow and shrink, runs begin and end. It is single-stepped, and
 * after each instruction of the library the reader walks its heaps. Whoever
 * stops a process in a debugger, or looks at the core file of one in which
 * other threads were at work, finds it like that. Every heap must be whole then
 * from its first chunk to its last.
 */
#define _GNU_SOURCE
#include "../../cli/account.h"

#include <elf.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { heaps_most = 16, skipped = 77, patience = 150 };

/* ---- the child ----------------------------------------------------------- */

enum { blocks = 12 };

static void *kept[blocks];

static void fill(size_t size, size_t step)
{
    for (int i = 0; i < blocks; i++)
        kept[i] = malloc(size + (size_t)i * step);
}

static void empty(int first, int step)
{
    for (int i = first; i < blocks; i += step) {
        free(kept[i]);
        kept[i] = NULL;
    }
}

/* Before anybody looks. */
static void warm_up(void)
{
    fill(40, 8);
    empty(0, 2);
    fill(3000, 16);
    empty(0, 1);
}

static void cut_and_merge(void)
{
    fill(1500, 40);
    empty(0, 2);
    malloc_trim(1 << 20);
    empty(1, 2);
    kept[0] = aligned_alloc(4096, 5000);
    kept[1] = calloc(1, 30000);
    kept[2] = malloc(17000);
    empty(0, 1);
    malloc_trim(1 << 20);
}

static void resize(void)
{
    kept[0] = malloc(20000);
    kept[1] = malloc(20000);
    kept[0] = realloc(kept[0], 9000);
    kept[0] = realloc(kept[0], 15000);
    kept[1] = realloc(kept[1], 90000);
    kept[0] = realloc(kept[0], 120000);
    empty(0, 1);
}

static void grow_and_shrink(void)
{
    fill(9000, 0);
    empty(0, 1);
    malloc_trim(0);
    malloc_trim(0);
}

static void runs(void)
{
    fill(900, 0);
    empty(0, 1);
    fill(330, 0);
    malloc_trim(0);
    empty(0, 1);
    malloc_trim(0);
}

static int play(void)
{
    warm_up();
    raise(SIGSTOP);
    cut_and_merge();
    resize();
    runs();
    grow_and_shrink();
    return 0;
}

/* ---- who looks at it ----------------------------------------------------- */

struct watch {
    int process;
    struct memory memory;
    struct layout layout;
    uint64_t first, last; /* where the library's code is */
    struct heap_view heaps[heaps_most];
    unsigned heap_count;
    unsigned char states[(64 << 20) / page_size];
};

static struct watch watch;

static void fail(const char *what)
{
    dprintf(2, "%s\n", what);
    if (watch.process > 0)
        kill(watch.process, SIGKILL);
    exit(1);
}

/* Until it stops; false: it has ended. */
static int stops(int *signal_number)
{
    int status;

    if (waitpid(watch.process, &status, 0) != watch.process)
        fail("no child");
    if (WIFSTOPPED(status))
        *signal_number = WSTOPSIG(status);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == skipped)
        exit(skipped);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("the child came to a bad end");
    return WIFSTOPPED(status);
}

static void run_up_to_stop(void)
{
    int signal_number = 0;

    while (stops(&signal_number) && signal_number != SIGSTOP)
        if (ptrace(PTRACE_CONT, watch.process, 0, 0) != 0)
            fail("it does not go on");
}

static uint64_t place(void)
{
    struct user_regs_struct registers;
    struct iovec part = {&registers, sizeof registers};

    if (ptrace(PTRACE_GETREGSET, watch.process, NT_PRSTATUS, &part) != 0)
        fail("its registers may not be read");
#if defined(__x86_64__)
    return registers.rip;
#else
    return registers.pc;
#endif
}

static void note_heap(void *context, const struct heap_view *heap,
                      const unsigned char *states)
{
    (void)context;
    (void)states;
    if (watch.heap_count == heaps_most)
        fail("too many heaps");
    watch.heaps[watch.heap_count++] = *heap;
}

static void find_library(const char *name)
{
    const char *slash = strrchr(name, '/');

    name = slash ? slash + 1 : name;
    for (size_t i = 0; i < watch.memory.region_count; i++) {
        const struct region *region = &watch.memory.regions[i];

        if (strstr(region->path, name)) {
            watch.first = watch.first ? watch.first : region->start;
            watch.last = region->end;
        }
    }
    if (watch.first == 0)
        fail("the library is not there");
}

static void find_heaps(const char *library)
{
    static const struct account_watcher watcher = {.heap = note_heap};
    struct account account;
    const char *wrong = memory_open_process(&watch.memory, watch.process);

    if (wrong == NULL)
        wrong = layout_find(&watch.layout, &watch.memory);
    if (wrong != NULL)
        fail(wrong);
    if (!account_take(&account, &watch.memory, &watch.layout, &watcher))
        fail("out of memory");
    account_free(&account);
    if (watch.heap_count == 0)
        fail("no heaps");
    find_library(library);
}

static void pass_by(void *context, const struct block *block)
{
    uint64_t *end = context;

    if (block->address != *end)
        fail("there is a gap between two blocks");
    *end = block->address + block->size;
}

static unsigned look_at(struct heap_view *heap)
{
    uint64_t end = heap->address;
    unsigned tears;

    if (!heap_view_read(heap, &watch.memory, &watch.layout, heap->address,
                        heap->arena_number))
        return 1;
    if (!memory_pages(&watch.memory, heap->address, heap->committed / page_size,
                      watch.states))
        fail("its pages may not be asked for");
    /* Pages that were only read are the kernel's one of zeros. */
    for (uint64_t i = 0; i < heap->committed / page_size; i++)
        if (watch.states[i] == page_doubtful)
            watch.states[i] = page_absent;
    tears = heap_walk(heap, &watch.memory, &watch.layout, watch.states, pass_by,
                      &end);
    if (end != heap->address + heap->committed)
        fail("the walk ends before its heap");
    return tears;
}

/* How many looks there were, and how many of them found a heap torn. */
static unsigned long step_through(unsigned long *torn)
{
    unsigned long looks = 0;
    int signal_number;

    while (ptrace(PTRACE_SINGLESTEP, watch.process, 0, 0) == 0 &&
           stops(&signal_number)) {
        uint64_t at = place();
        unsigned tears = 0;

        if (at < watch.first || at >= watch.last)
            continue;
        looks++;
        for (unsigned i = 0; i < watch.heap_count; i++)
            tears += look_at(&watch.heaps[i]);
        if (tears > 0 && (*torn)++ < 20)
            dprintf(2, "torn at %#lx of the library\n",
                    (unsigned long)(at - watch.first));
    }
    return looks;
}

int main(int argc, char **argv)
{
    unsigned long looks, torn = 0;

    if (argc == 3)
        return play();
    if (argc != 2)
        fail("usage: steps library");
    alarm(patience);
    watch.process = fork();
    if (watch.process == 0) {
        setenv("LD_PRELOAD", argv[1], 1);
        setenv("PTM_OPTIONS", "guard=0,trim_threshold=100k", 1);
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(skipped);
        execl("/proc/self/exe", argv[0], argv[1], "play", (char *)NULL);
        _exit(1);
    }
    run_up_to_stop();
    find_heaps(argv[1]);
    looks = step_through(&torn);
    printf("%lu looks, %lu at a torn heap\n", looks, torn);
    if (looks < 20000 || torn > 0)
        fail("heaps that are not damaged look so");
    return 0;
}
