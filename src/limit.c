#include "limit.h"

#include "options.h"
#include "os.h"

struct memory_limit memory_limit = {.allowance = LIMIT_FIRST};

/* The process's own limit, in the same terms. */
static struct os_memory own_memory(void)
{
    struct os_memory memory = {SIZE_MAX, SIZE_MAX};
    size_t most = option_get(OPTION_MEMORY_LIMIT);
    if (most > 0) {
        size_t used = os_own_memory();
        memory.limit = most;
        memory.room = most - min_size(most, used);
    }
    return memory;
}

static struct os_memory memory_left(void)
{
    struct os_memory own = own_memory();
    struct os_memory shared = os_cgroup_memory();
    return own.room < shared.room ? own : shared;
}

static void allow(size_t bytes)
{
    __atomic_store_n(&memory_limit.allowance, (ptrdiff_t)bytes,
                     __ATOMIC_RELAXED);
}

bool limit_look(void)
{
    struct os_memory left = memory_left();
    if (!__atomic_exchange_n(&memory_limit.was_asked, true, __ATOMIC_RELAXED)) {
        os_note_huge_pages();
    }
    if (left.limit == SIZE_MAX) {
        allow(__atomic_load_n(&memory_limit.was_seen, __ATOMIC_RELAXED)
                  ? (size_t)LIMIT_LOOK
                  : PTRDIFF_MAX);
        __atomic_store_n(&memory_limit.is_tight, false, __ATOMIC_RELAXED);
        return true;
    }
    __atomic_store_n(&memory_limit.was_seen, true, __ATOMIC_RELAXED);
    left.room -= min_size(
        left.room, __atomic_load_n(&memory_limit.newest, __ATOMIC_RELAXED));
    size_t step = max_size(left.limit / LIMIT_STEP_SHARE, LIMIT_STEP_MIN);
    bool has_room = left.room > step;
    allow(min_size(has_room ? left.room / 2 : step, LIMIT_LOOK));
    __atomic_store_n(&memory_limit.is_tight, !has_room, __ATOMIC_RELAXED);
    return has_room;
}

void limit_look_ahead(void)
{
    if (!__atomic_load_n(&memory_limit.was_asked, __ATOMIC_RELAXED) ||
        limit_is_due()) {
        limit_look();
    }
}

void limit_reset(void)
{
    __atomic_store_n(&memory_limit.allowance, -1, __ATOMIC_RELAXED);
}
