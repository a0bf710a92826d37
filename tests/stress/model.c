/*
 * model.c - random calls of one thread, and what ptm says of its blocks, held
 * against what was asked for.
 *
 *     model SEED STEPS
 *
 * Sizes lie near those where something changes: of classes, pages, pages of
 * runs, mappings. Blocks come from malloc, its kind, and arenas of the
 * program's own, which now and then end all at once. Each is filled over its
 * usable size; malloc_usable_size, ptm_malloc_size and ptm_visit must tell the
 * same of it, and the visit must meet every block once and none besides.
 * stress.c does such things with many threads, and does not know all blocks.
 */
#include "pattern.h"
#include "rng.h"
#include "trial.h"

#include <malloc.h>

enum {
    PLACES = 400,
    ARENAS = 3,
    OWN_ARENA_ONE_IN = 8,
    CHECK_ONE_IN = 200,
    VISIT_ONE_IN = 400,
    TRIM_ONE_IN = 500,
    END_ONE_IN = 1000,
    LOG2_OF_ALIGNMENT = 16,
};

struct place {
    void *block; /* NULL: the place is empty */
    size_t size;
    size_t usable;
    size_t alignment;
    uint64_t tag;
    unsigned met;
    int arena; /* -1: malloc's */
};

static struct place places[PLACES];
static struct ptm_arena *arenas[ARENAS];
static struct rng rng;
static size_t met_others, others;

/* glibc has not declared it in every version. */
extern void free_sized(void *memory, size_t size);

static size_t below(size_t bound)
{
    return rng_below(&rng, bound);
}

static size_t near(size_t size)
{
    size_t moved = size + below(40);

    return moved < 20 ? moved : moved - 20;
}

static size_t random_size(void)
{
    unsigned octave = 10 + (unsigned)below(8);

    switch (below(8)) {
    case 0:
        return below(40);
    case 1:
    case 2:
        return near(16 * below(70));
    case 3:
        return near(((size_t)1 << octave) + (below(8) << (octave - 3)));
    case 4:
        return near(4096 * (1 + below(20)));
    case 5:
        return near((16 << 10) * (1 + below(6)));
    case 6:
        return near(256 << 10);
    default:
        return below(below(20) == 0 ? 2 << 20 : 5000);
    }
}

static void *allocate_aligned(size_t alignment, size_t size)
{
    void *block = NULL;

    switch (below(3)) {
    case 0:
        return aligned_alloc(alignment, size);
    case 1:
        return memalign(alignment, size);
    default:
        MUST(posix_memalign(&block, alignment, size) == 0);
        return block;
    }
}

static void *allocate_cleared(size_t size)
{
    void *block = calloc(size, 1);

    MUST(block == NULL || pattern_is_zero(block, size));
    return block;
}

static void *allocate_in(struct ptm_arena *arena, size_t alignment, size_t size)
{
    return alignment > 16 ? ptm_arena_memalign(arena, alignment, size)
                          : ptm_arena_malloc(arena, size);
}

static void *allocate(struct place *place)
{
    size_t size = place->size;

    place->alignment = 16;
    place->arena = -1;
    if (below(3) == 0)
        place->alignment = (size_t)16 << below(LOG2_OF_ALIGNMENT - 3);
    if (below(OWN_ARENA_ONE_IN) == 0) {
        place->arena = (int)below(ARENAS);
        return allocate_in(arenas[place->arena], place->alignment, size);
    }
    if (place->alignment > 16)
        return allocate_aligned(place->alignment, size);
    return below(2) ? malloc(size) : allocate_cleared(size);
}

static void settle(struct place *place)
{
    MUST(place->block != NULL);
    MUST((uintptr_t)place->block % place->alignment == 0);
    place->usable = malloc_usable_size(place->block);
    MUST(place->usable >= place->size);
    MUST(ptm_malloc_size(place->block) == place->usable);
    place->tag = rng_next(&rng);
    pattern_fill(place->block, place->usable, place->tag);
}

static void check(const struct place *place)
{
    MUST(malloc_usable_size(place->block) == place->usable);
    MUST(pattern_holds(place->block, place->usable, place->usable, place->tag));
}

static void release(struct place *place)
{
    void *block = place->block;

    check(place);
    place->block = NULL;
    switch (below(6)) {
    case 0:
        MUST(realloc(block, 0) == NULL);
        break;
    case 1:
        free_sized(block, place->size);
        break;
    default:
        free(block);
    }
}

static void resize(struct place *place)
{
    size_t size = 1 + (below(3) == 0 ? random_size() : near(place->usable));
    size_t kept = size < place->usable ? size : place->usable;

    check(place);
    place->block = realloc(place->block, size);
    MUST(place->block != NULL);
    MUST(pattern_holds(place->block, place->usable, kept, place->tag));
    place->size = size;
    place->alignment = 16;
    settle(place);
}

/* All blocks of one arena go at once. */
static void end_arena(void)
{
    int number = (int)below(ARENAS);

    for (int i = 0; i < PLACES; i++)
        if (places[i].block != NULL && places[i].arena == number) {
            check(&places[i]);
            places[i].block = NULL;
        }
    ptm_arena_destroy(arenas[number]);
    arenas[number] = ptm_arena_create(0);
    MUST(arenas[number] != NULL);
}

static int meet(void *block, size_t size, void *unused)
{
    (void)unused;
    for (int i = 0; i < PLACES; i++)
        if (places[i].block == block) {
            places[i].met++;
            return size != places[i].usable;
        }
    met_others++;
    return 0;
}

/* Besides ours there are those that were there before. */
static void visit(void)
{
    for (int i = 0; i < PLACES; i++)
        places[i].met = 0;
    met_others = 0;
    MUST(ptm_visit(meet, NULL) == 0);
    MUST(met_others == others);
    for (int i = 0; i < PLACES; i++)
        MUST(places[i].met == (places[i].block != NULL));
}

static void look_at_all(void)
{
    struct mallinfo2 info;

    if (below(CHECK_ONE_IN) == 0)
        MUST(ptm_check() == 0);
    if (below(VISIT_ONE_IN) == 0)
        visit();
    if (below(TRIM_ONE_IN) == 0)
        malloc_trim(below(2) * below(300000));
    if (below(END_ONE_IN) == 0)
        end_arena();
    if (below(CHECK_ONE_IN) == 0) {
        info = mallinfo2();
        MUST(info.uordblks + info.fordblks == info.arena);
        MUST(info.keepcost <= info.fordblks);
    }
}

static void step(struct place *place)
{
    look_at_all();
    if (place->block == NULL) {
        place->size = random_size();
        place->block = allocate(place);
        settle(place);
    } else if (below(2) == 0) {
        release(place);
    } else {
        resize(place);
    }
}

int main(int count, char **words)
{
    size_t steps;
    size_t most = PLACES;

    MUST(count == 3);
    trial_malloc_must_be_ptm();
    free(malloc(0)); /* their region comes early */
    rng.state = strtoul(words[1], NULL, 10);
    steps = strtoul(words[2], NULL, 10);
    for (int i = 0; i < ARENAS; i++)
        MUST((arenas[i] = ptm_arena_create(0)) != NULL);
    MUST(ptm_visit(meet, NULL) == 0);
    others = met_others;
    for (size_t i = 0; i < steps; i++) {
        trial_watch();
        if (i % 1000 == 0)
            most = 1 + below(PLACES);
        step(&places[below(most)]);
    }
    for (int i = 0; i < PLACES; i++)
        if (places[i].block != NULL)
            release(&places[i]);
    visit();
    malloc_trim(0);
    MUST(ptm_check() == 0);
    return 0;
}
