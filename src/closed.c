#include "closed.h"

#include "os.h"

static char *closed_memory;
static bool closed_is_refused; /* read and written relaxed: a hint */

/* Cuts the first aligned CLOSED_REGION bytes out of a larger reservation. */
static char *cut_closed_region(char *whole, size_t size)
{
    char *start = (char *)round_up((uintptr_t)whole, HEAP_MAX_SIZE);
    char *end = start + CLOSED_REGION;
    if (!os_close(whole, size) ||
        (start > whole && !os_unmap(whole, (size_t)(start - whole)))) {
        os_unmap(whole, size);
        return NULL;
    }
    size_t behind = (size_t)(whole + size - end);
    if (!os_unmap(end, behind)) {
        os_unmap(start, CLOSED_REGION + behind);
        return NULL;
    }
    return start;
}

/* Of two threads that make one each, the first's stays. */
static char *make_closed_region(void)
{
    size_t size = CLOSED_REGION + HEAP_MAX_SIZE;
    char *whole = os_reserve(size);
    char *mine = whole != NULL ? cut_closed_region(whole, size) : NULL;
    char *other = NULL;
    if (mine == NULL) {
        __atomic_store_n(&closed_is_refused, true, __ATOMIC_RELAXED);
        return NULL;
    }
    if (!__atomic_compare_exchange_n(&closed_memory, &other, mine, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        os_unmap(mine, CLOSED_REGION);
        return other;
    }
    return mine;
}

char *closed_region(void)
{
    char *known = __atomic_load_n(&closed_memory, __ATOMIC_ACQUIRE);
    if (likely(known != NULL) ||
        __atomic_load_n(&closed_is_refused, __ATOMIC_RELAXED)) {
        return known;
    }
    return make_closed_region();
}
