#include "parcel.h"

#include "os.h"
#include "patience.h"

/* The address, shifted so that its low bits, which are zero, leave room for
 * the count. */
enum {
    POOL_SHIFT = 64 - 48,
    POOL_COUNT_BITS = POOL_SHIFT + 11,
};

_Static_assert(ADDRESS_BITS <= 48 && PARCEL_SIZE == 1 << 11,
               "address and count fit one word");

#define POOL_COUNT_MASK (((uint64_t)1 << POOL_COUNT_BITS) - 1)

static uint64_t pool;
static struct patience patience;

static struct parcel *top_of(uint64_t head)
{
    return (struct parcel *)(uintptr_t)((head & ~POOL_COUNT_MASK) >>
                                        POOL_SHIFT);
}

static uint64_t head_of(const struct parcel *top, uint64_t count)
{
    return (uint64_t)(uintptr_t)top << POOL_SHIFT | (count & POOL_COUNT_MASK);
}

void parcel_put(struct parcel *parcel)
{
    uint64_t head = __atomic_load_n(&pool, __ATOMIC_RELAXED);
    do {
        parcel_set_next(parcel, top_of(head));
    } while (!__atomic_compare_exchange_n(&pool, &head, head_of(parcel, head),
                                          true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

static struct parcel *pop(void)
{
    uint64_t head = __atomic_load_n(&pool, __ATOMIC_ACQUIRE);
    struct parcel *parcel;
    do {
        parcel = top_of(head);
        if (parcel == NULL) {
            return NULL;
        }
    } while (!__atomic_compare_exchange_n(
        &pool, &head, head_of(parcel_next(parcel), head + 1), true,
        __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
    return parcel;
}

/* One page of them: the first is returned, the others go to the pool. */
static struct parcel *map_parcels(void)
{
    size_t bytes = os_page_size();
    if (patience_is_asked(&patience)) {
        return NULL;
    }
    struct parcel *parcels = os_map_fenced(bytes);
    if (parcels == NULL) {
        patience_begin(&patience);
    }
    for (size_t i = 1; parcels != NULL && i < bytes / PARCEL_SIZE; i++) {
        parcel_put(&parcels[i]);
    }
    return parcels;
}

struct parcel *parcel_get(void)
{
    struct parcel *parcel = pop();
    if (parcel == NULL) {
        parcel = map_parcels();
    }
    if (parcel != NULL) {
        parcel->count = 0;
    }
    return parcel;
}

const struct description parcel_description[] = {
    DESCRIBE_ADDRESS("pool", &pool),
    DESCRIBE_NUMBER("POOL_COUNT_BITS", POOL_COUNT_BITS),
    DESCRIBE_NUMBER("POOL_SHIFT", POOL_SHIFT),
    {.name = ""},
};
