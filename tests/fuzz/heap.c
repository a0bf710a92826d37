/*
 * heap.c - a fuzz target: malloc's family is called, and freed memory and the
 * headers of blocks are corrupted, as the input says.
 *
 * Each input is played in a child of fork, with the floors 0 to 6. It may end
 * well, or by a line of ptm's and abort: whatever was corrupted, that is what
 * is promised. It must not end in any other signal, and no block that malloc
 * gives may overlap one that is live, or lie in no heap or mapping of ptm's:
 * then the parent aborts, which is what libFuzzer reports.
 *
 * What nothing can tell from lawful use is not done: a stale pointer is not
 * freed while a live block begins there, and no header is put back that once
 * stood at the same place.
 */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "kind.h"
#include "mapped.h"
#include "options.h"
#include "owner.h"
#include "purge.h"
#include "tcache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BLOCKS = 64,
    STEPS = 400,
    COMPROMISED = 3,
};

/* A block that is live, or was. */
struct block {
    char *mem;
    size_t size;
    int is_live;
};

static struct block blocks[BLOCKS];

/* The bytes of the input, and then as many as are wanted that follow from
 * them: what happens in the child leaves no trace by which libFuzzer could tell
 * a long input from a short one. */
struct input {
    const uint8_t *data;
    size_t left;
    uint64_t state;
};

static uint8_t next_byte(struct input *input)
{
    if (input->left > 0) {
        input->left--;
        input->state = (input->state ^ *input->data) * 0x100000001b3u;
        return *input->data++;
    }
    input->state ^= input->state << 13;
    input->state ^= input->state >> 7;
    input->state ^= input->state << 17;
    return (uint8_t)(input->state >> 24);
}

static uint32_t draw(struct input *input)
{
    uint32_t high = next_byte(input);
    return high << 8 | next_byte(input);
}

static size_t size_from(uint32_t value)
{
    static const size_t most[] = {24, 120, 1000, 3000, 70000, 400000};
    return value / 6 % most[value % 6] + 1;
}

static void fail(const char *what)
{
    if (write(1, what, strlen(what)) < 0) {
        _exit(COMPROMISED);
    }
    _exit(COMPROMISED);
}

static void must_be_fresh(const struct block *block)
{
    size_t usable;
    for (int i = 0; i < BLOCKS; i++) {
        const struct block *other = &blocks[i];
        if (other != block && other->is_live &&
            other->mem < block->mem + block->size &&
            block->mem < other->mem + other->size) {
            fail("a block overlaps a live one\n");
        }
    }
    if (owner_of(block->mem) == 0 &&
        mapped_usable_size(mem2chunk(block->mem), &usable) != MAPPED_OK) {
        fail("a block that is not in ptm's memory\n");
    }
}

static void allocate_into(struct block *block, size_t size, uint32_t way)
{
    void *mem = way % 4 == 0   ? alloc_calloc(size)
                : way % 4 == 1 ? alloc_memalign(64, size)
                               : alloc_malloc(size);
    if (mem != NULL && kinds_are_told && way / 4 % 2 == 0) {
        kind_change(mem, KIND_MALLOC, KIND_NEW, "operator new");
        kind_change(mem, KIND_NEW, KIND_MALLOC, "operator delete");
    }
    if (mem != NULL) {
        *block = (struct block){mem, size, 1};
        must_be_fresh(block);
        memset(mem, 0x55, size);
    }
}

static void resize(struct block *block, size_t size)
{
    block->is_live = 0;
    void *mem = alloc_realloc(block->mem, size);
    if (mem != NULL) {
        *block = (struct block){mem, size, 1};
        must_be_fresh(block);
    }
}

static int begins_live_block(const char *mem)
{
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].is_live && blocks[i].mem == mem) {
            return 1;
        }
    }
    return 0;
}

static uint64_t evil_word(struct input *input)
{
    const struct block *other = &blocks[draw(input) % BLOCKS];
    uint32_t value = draw(input);
    switch (value % 5) {
    case 0:
        return 0;
    case 1:
        return (uintptr_t)other->mem - 16;
    case 2:
        return value;
    case 3:
        return 0x4141414141414141;
    default:
        return other->mem != NULL ? *(uint64_t *)(other->mem - 8) : 1;
    }
}

/* A word of freed memory, or the header of any block of a heap: overwritten,
 * changed in a bit, or taken from elsewhere. */
static void corrupt(struct block *block, struct input *input)
{
    uint32_t where = draw(input);
    uint32_t how = draw(input);
    if (block->mem == NULL || owner_of(block->mem) == 0) {
        return;
    }
    uint64_t *word = (uint64_t *)(block->mem - 8);
    if (!block->is_live && where % 3 != 0) {
        word = (uint64_t *)block->mem + where % (1 + block->size / 8);
    } else if (where % 3 == 1) {
        word--;
    }
    char *end = (char *)heap_end(heap_for_ptr(block->mem));
    if ((char *)(word + 1) > end) {
        return;
    }
    uint64_t before = *word;
    *word =
        how % 2 == 0 ? before ^ (uint64_t)1 << how / 2 % 64 : evil_word(input);
}

static void step(struct input *input)
{
    uint32_t what = draw(input);
    struct block *block = &blocks[draw(input) % BLOCKS];
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        if (!block->is_live) {
            allocate_into(block, size_from(draw(input)), what / 8);
        }
        break;
    case 3:
    case 4:
        if (block->is_live || (what / 8 % 8 == 0 && block->mem != NULL &&
                               !begins_live_block(block->mem))) {
            block->is_live = 0;
            alloc_free(block->mem);
        }
        break;
    case 5:
        if (block->is_live) {
            resize(block, size_from(draw(input)));
        }
        break;
    case 6:
        corrupt(block, input);
        break;
    default:
        if (what / 8 % 16 == 0) {
            purge_everything(0);
        }
        break;
    }
}

/* So many blocks of a size that the arena has runs for it from now on. */
static void demand_runs(void)
{
    static const size_t sizes[] = {24, 120, 1000};
    void *demanded[RUN_DEMAND / 24 + 1];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t count = RUN_DEMAND / sizes[i] + 1;
        for (size_t j = 0; j < count; j++) {
            demanded[j] = alloc_malloc(sizes[i]);
        }
        for (size_t j = 0; j < count; j++) {
            alloc_free(demanded[j]);
        }
    }
}

static void play(struct input input)
{
    close(2);
    /* Modes: with caches, with caches and runs, without, hardened. */
    uint32_t mode = draw(&input) % 4;
    option_set(OPTION_TCACHE_MAX, mode == 2 ? 0 : DEFAULT_TCACHE_MAX);
    option_set(OPTION_HARDENED, mode == 3);
    kinds_are_told = mode == 3;
    tcache_set_limits();
    if (mode == 1) {
        demand_runs();
    }
    for (int i = 0; i < STEPS || input.left > 0; i++) {
        step(&input);
    }
    _exit(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        play((struct input){data, size, 0xcbf29ce484222325u});
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return 0;
    }
    int is_named = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (!is_named && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        abort();
    }
    return 0;
}
