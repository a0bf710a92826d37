/*
 * run.h - a run: 16 KiB cut into equal objects that have no header.
 *
 *     run.start = a multiple of 16 KiB
 *     |
 *     | object | object | object |  ...  | object | rest, 8 bytes or more |
 *       0        1        2                objects-1
 *
 *     run.free_map    1 bit for each object: the arena has it
 *
 * Runs lie in spans: 1 to 128 pages of 16 KiB, each of which is a run or a
 * spare. To the heap a span is an ordinary chunk in use, but CACHED.
 *
 *     | header | page | page | page | page | header of the next chunk ...
 *              ^ a multiple of 16 KiB
 *
 * What is known of a page and its objects is out of line, in a `struct run`;
 * nothing of it is beside them. A large span has few headers, and few pages of
 * the kernel that hold one: so what is free in it can go back.
 *
 * A set holds the runs of one arena. Runs that have free objects wait in
 * buckets, by class and by how many of their objects are free; objects are
 * taken from the fullest bucket, so that the emptier runs become empty. A run
 * that is empty has no class: its page is a spare for any. A span all of whose
 * pages are spares is empty, and goes back to the heap, but for a few.
 *
 * An object that is not with the program, but with a cache, a depot or on its
 * way home, is MARKED in its second word: with its address and a secret. The
 * mark is set when the program frees the object, and when it is taken from its
 * run; what malloc hands out has the mark and loses it. So one that is freed
 * twice is told by the mark, and one that was written to meanwhile by the want
 * of it. Who writes over the mark and then frees again is told later, by the
 * bit, when the object comes back to its run for the second time.
 *
 * A quarter of a page, 4 KiB, all of whose objects are free may be given back
 * to the kernel (sweep.h); the marks in it are lost then. So the page is
 * WATCHED until no quarter is clean any more: who frees an object of it asks
 * for the bit as well, which takes longer. When an object is taken from a clean
 * quarter, the free ones that begin there are marked anew; and those of a whole
 * page, when so many of its objects were freed that it has proven to be busy,
 * and the memory is worth less than the time. The byte that says
 * WATCHED is stored before marks are lost, and taken back when they are there
 * again. Who frees does not wait to see the one before the other: at the worst
 * an object that is freed twice in that very moment, by another thread, is told
 * later.
 *
 * A page is WATCHED as well while one of its objects is in a profile, which
 * wants to know when it is freed.
 *
 * Threads: whoever calls holds the lock of the arena that the set is in. A bit
 * of an object that is with the program may be read without it: it is 0.
 */
#ifndef PTM_RUN_H
#define PTM_RUN_H

#include "base.h"
#include "class.h"
#include "seal.h"
#include "tags.h"

enum {
    /* The byte that the heap has for a page is the number of the run's class,
     * from 1, or 0, and this. It is stored under the lock, and read without. */
    RUN_WATCHED = 0x80,

    RUN_SHIFT = 14,
    RUN_QUARTERS = 4,
    RUN_BUCKETS = 4,
    RUN_MAP_WORDS = 16,
    RUN_SPAN_MAX = 1 << RUN_SPAN_SHIFT, /* pages */
};

#define RUN_SIZE    ((size_t)1 << RUN_SHIFT)
#define RUN_QUARTER (RUN_SIZE / RUN_QUARTERS)

/* What of a page objects may use: behind the last of a span is the size word of
 * the next chunk. */
#define RUN_USABLE (RUN_SIZE - sizeof(size_t))

struct run {
    struct run *next; /* in a bucket, of the spares, or of the empty spans */
    struct run *previous;
    char *start;
    uint16_t objects; /* 0: a spare, or no run */
    uint16_t free;    /* of them, with the arena */
    uint16_t limit;   /* with so many free it changes its place */
    uint8_t size_class;
    uint8_t bucket;
    uint8_t at;      /* which page of its span this is */
    uint8_t pages;   /* in the first one: of the span, 0: there is none */
    uint8_t used;    /* in the first one: how many are runs */
    uint8_t dirty;   /* a bit for each quarter that was not given back */
    bool is_sampled; /* one of its objects is in a profile: profile.h */
    uint8_t *byte;   /* the heap's for this page: see RUN_WATCHED */
    uint64_t free_map[RUN_MAP_WORDS];
};

_Static_assert(CLASS_COUNT < 256, "a class is a byte");
_Static_assert((int)RUN_SHIFT == (int)TAG_PAGE_SHIFT, "each page has a tag");

_Static_assert(RUN_SIZE / MALLOC_ALIGNMENT <= RUN_MAP_WORDS * 64,
               "every object has a bit");

struct run_set {
    struct run *buckets[RUN_CLASSES][RUN_BUCKETS]; /* 0 has the fullest */
    struct run *spare;            /* pages of spans that have runs */
    struct run *empty;            /* the first pages of spans that have none */
    uint32_t counts[RUN_CLASSES]; /* of runs of each class */
    size_t count;                 /* of runs */
    size_t spares;                /* pages, of both kinds */
    size_t empty_pages;           /* of them, in empty spans */
    size_t free_objects;          /* with the arena */
    size_t free_bytes;            /* in them */
};

/* ---- where objects begin --------------------------------------------------
 *
 * Whether `offset` is that of an object, without a division. With m = 2^32 /
 * size + 1, rounded down, and e = m * size - 2^32, which is from 1 to size:
 *
 *     offset = k * size          m * offset mod 2^32 = k * e, at most 2^20
 *     offset = k * size + rest   at least m, which is more than 2^21
 *
 * So the offsets of objects, those with k below `objects`, are those whose
 * product is below objects * e. The upper half of the product is k.
 */
struct run_shape {
    uint32_t factor; /* m */
    uint32_t bound;  /* objects * e */
};

#define RUN_FACTOR(size) ((((uint64_t)1) << 32) / (size) + 1)
#define RUN_EXCESS(size) (RUN_FACTOR(size) * (size) - ((uint64_t)1 << 32))
#define RUN_SHAPE(step)                                                        \
    {                                                                          \
        .factor = (uint32_t)RUN_FACTOR((step)*16),                             \
        .bound =                                                               \
            (uint32_t)((RUN_USABLE / ((step)*16)) * RUN_EXCESS((step)*16)),    \
    }
#define FOUR_RUN_SHAPES(step)                                                  \
    RUN_SHAPE(step), RUN_SHAPE((step) + 1), RUN_SHAPE((step) + 2),             \
        RUN_SHAPE((step) + 3)
#define SIXTEEN_RUN_SHAPES(step)                                               \
    FOUR_RUN_SHAPES(step), FOUR_RUN_SHAPES((step) + 4),                        \
        FOUR_RUN_SHAPES((step) + 8), FOUR_RUN_SHAPES((step) + 12)

#define RUN_SHAPES                                                             \
    {                                                                          \
        {0, 0}, SIXTEEN_RUN_SHAPES(1), SIXTEEN_RUN_SHAPES(17),                 \
            SIXTEEN_RUN_SHAPES(33), SIXTEEN_RUN_SHAPES(49)                     \
    }

/* By the number of the class counted from 1, as a heap's byte for a page has
 * it. */
extern const struct run_shape run_shapes[RUN_CLASSES + 1];

static inline size_t run_shape_index(size_t size_class)
{
    return size_class - (CHUNK_CLASSES - 1);
}

static inline size_t run_offset(const void *mem)
{
    return (uintptr_t)mem & (RUN_SIZE - 1);
}

static inline const char *run_page(const void *mem)
{
    return (const char *)mem - run_offset(mem);
}

/* Whether an object begins at `mem` in a run of the shape with this number,
 * whose bound others may store to. */
static inline bool run_shape_has(const struct run_shape *shapes, size_t number,
                                 const void *mem)
{
    uint32_t product = (uint32_t)run_offset(mem) * shapes[number].factor;
    ptm_launder(shapes); /* else the address of the shape is made beforehand */
    return is_below_32(PTM_SEALED ? product : 0, &shapes[number].bound);
}

static inline const struct run_shape *run_shape_of(size_t size_class)
{
    return &run_shapes[run_shape_index(size_class)];
}

/* Whether an object of a run of this class begins at `mem`. */
static inline bool run_has_object_at(unsigned size_class, const void *mem)
{
    return run_shape_has(run_shapes, run_shape_index(size_class), mem);
}

/* The same, and which object that is. */
static inline bool run_finds(const struct run_shape *shape, const void *mem,
                             unsigned *index)
{
    uint64_t product = (uint64_t)run_offset(mem) * shape->factor;
    *index = (unsigned)(product >> 32);
    return !PTM_SEALED || (uint32_t)product < shape->bound;
}

static inline unsigned run_objects(unsigned size_class)
{
    return (unsigned)(RUN_USABLE / class_size(size_class));
}

static inline unsigned run_index_of(unsigned size_class, const void *mem)
{
    unsigned index;
    run_finds(run_shape_of(size_class), mem, &index);
    return index;
}

/* ---- the mark of an object that is not with the program -------------------
 *
 * The mark is in memory that is the program's when the object is. So no
 * register may still hold it when a call returns: where a value does not matter
 * a compiler stores any register, and one that stores this one, right there,
 * makes an object that is in use look freed. (rustc does so, in variants of an
 * enum that do not use the word.) Hence the functions below undo what they
 * compute: each leaves the address.
 */

typedef uint64_t __attribute__((may_alias)) object_word;
typedef uint32_t __attribute__((may_alias)) object_half_word;

static inline uint64_t object_mark(const void *mem)
{
    return (uintptr_t)mem ^ seal_keys.object;
}

static inline bool object_is_marked(const void *mem)
{
    uint64_t address = ((const object_word *)mem)[1] ^ seal_keys.object;
    ptm_launder(address); /* else the mark is computed and compared */
    return !PTM_SEALED || address == (uintptr_t)mem;
}

/* Whether it can be marked, by half of the word: a program often writes four
 * bytes at a time, and to load eight right after that is slow. */
static inline bool object_may_be_marked(const void *mem)
{
    uint32_t half =
        ((const object_half_word *)mem)[2] ^ (uint32_t)seal_keys.object;
    ptm_launder(half);
    return PTM_SEALED && unlikely(half == (uint32_t)(uintptr_t)mem);
}

/* The same for who needs the mark anyway, and then stores or forgets it. */
static inline bool object_may_have(const void *mem, uint64_t mark)
{
    return PTM_SEALED &&
           unlikely(((const object_half_word *)mem)[2] == (uint32_t)mark);
}

/* Stores a mark, or only forgets it: the register that held it holds the
 * address then. Where compilers move the store behind that, and copy the mark
 * for it, both are one piece. */
#if defined(__x86_64__)
static inline void object_drop_mark(uint64_t mark)
{
    __asm__ volatile("xorq %1, %0" : "+r"(mark) : "m"(seal_keys.object) : "cc");
}

static inline void object_keep_mark(object_word *word, uint64_t mark)
{
    *word = mark;
    __asm__("" : "+r"(mark) : "m"(*word)); /* not before it is stored */
    object_drop_mark(mark);
}

static inline size_t object_keep_mark_and_load(object_word *word, uint64_t mark,
                                               const uint16_t *next)
{
    *word = mark;
    __asm__ volatile("movzwl %1, %k0" : "+r"(mark) : "m"(*next), "m"(*word));
    return mark;
}
#else
static inline void object_keep_mark(object_word *word, uint64_t mark)
{
    __asm__ volatile("str %0, %1\n\t"
                     "eor %0, %0, %2"
                     : "+r"(mark), "=m"(*word)
                     : "r"(seal_keys.object));
}

static inline size_t object_keep_mark_and_load(object_word *word, uint64_t mark,
                                               const uint16_t *next)
{
    __asm__ volatile("str %0, %1\n\t"
                     "ldrh %w0, %2"
                     : "+r"(mark), "=m"(*word)
                     : "m"(*next));
    return mark;
}

static inline void object_drop_mark(uint64_t mark)
{
    __asm__ volatile("eor %0, %0, %1" : "+r"(mark) : "r"(seal_keys.object));
}
#endif

static inline void object_forget_mark(uint64_t mark)
{
    if (PTM_SEALED) {
        object_drop_mark(mark);
    }
}

static inline void object_store_mark(void *mem, uint64_t mark)
{
    if (PTM_SEALED) {
        object_keep_mark((object_word *)mem + 1, mark);
    }
}

/* The same, and the register holds that number then. */
static inline size_t object_store_mark_and_load(void *mem, uint64_t mark,
                                                const uint16_t *next)
{
    return PTM_SEALED
               ? object_keep_mark_and_load((object_word *)mem + 1, mark, next)
               : *next;
}

static inline void object_set_mark(void *mem)
{
    object_store_mark(mem, object_mark(mem));
}

static inline void object_wipe_mark(void *mem)
{
    if (PTM_SEALED) {
        ((object_word *)mem)[1] = 0;
    }
}

/* ---- runs -----------------------------------------------------------------
 */

/* Makes a page a run whose objects are all free. */
void run_begin(struct run_set *set, struct run *run, unsigned size_class);

/* Takes up to `most` objects of a class, MARKED, by rising address in each run;
 * returns how many: fewer only when no run has any more. */
size_t run_take(struct run_set *set, unsigned size_class, void **mems,
                size_t most);

/* The object with this index is free from now on; the caller counts those.
 * False when it was already. */
static inline bool run_give(struct run *run, unsigned index)
{
    uint64_t bit = (uint64_t)1 << index % 64;
    uint64_t bits = run->free_map[index / 64];
    __atomic_store_n(&run->free_map[index / 64], bits | bit, __ATOMIC_RELAXED);
    return (bits & bit) == 0;
}

/* So many are. */
void run_count_returned(struct run_set *set, unsigned size_class, size_t count);

/* Whether what it was given calls for run_settle or, if it is empty, for
 * run_retire. */
static inline bool run_is_unsettled(const struct run *run)
{
    return run->free >= run->limit;
}

/* Whether the page is to be WATCHED because of what a profile has of it. */
void run_note_sampled(struct run *run, bool is_sampled);

/* Puts the run where it belongs now. */
void run_settle(struct run_set *set, struct run *run);

static inline bool run_is_empty(const struct run *run)
{
    return run->free == run->objects;
}

/* Whether the arena has this object of a run of that class. */
bool run_has_free(const struct run *run, unsigned size_class, const void *mem);

/* An empty run becomes a spare. */
void run_retire(struct run_set *set, struct run *run);

/* A spare that is to be a run; NULL when there is none. */
struct run *run_take_spare(struct run_set *set);

/* The first page of the span that a page is in. */
static inline struct run *run_first_of_span(struct run *run)
{
    return run - run->at;
}

/* Makes the memory at `start` an empty span of so many pages, whose heads are
 * at `first` and whose bytes in the heap at `bytes`. */
void run_add_span(struct run_set *set, struct run *first, uint8_t *bytes,
                  char *start, unsigned pages);

/* The first page of an empty span, which is no span any more; NULL when there
 * is none. */
struct run *run_take_empty_span(struct run_set *set);

/* The quarters of a page that hold no object in use, nor the header behind the
 * span, and have memory. */
unsigned run_idle_quarters(const struct run *run);

/* The kernel is about to have these quarters back: from here on nobody relies
 * on marks in them. */
void run_note_returned(struct run *run, unsigned quarters);

/* It has refused them. */
void run_note_refused(struct run *run, unsigned quarters);

/* What is free in the page has memory and marks again: it is not WATCHED. */
void run_end_watch(struct run *run);

/* Whether a run's own figures fit together; for those who check everything. */
bool run_is_sound(const struct run *run);

#endif
