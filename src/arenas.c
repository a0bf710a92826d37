#include "arenas.h"

#include "fatal.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "owner.h"

struct arena main_arena = {
    .lock = LOCK_INITIAL(LOCK_RANK_ARENA),
    .number = 1,
    .bins = {.owner = 1},
};

struct arena *arena_table[ARENAS_MAX + 1] = {[1] = &main_arena};

static struct {
    struct lock lock;
    unsigned count;          /* of arenas; the table is full up to it */
    unsigned cpus;           /* 0 until they are asked for */
    unsigned abandoned;      /* arenas lost in forks */
    unsigned threads;        /* that ever allocated */
    unsigned privates;       /* in the table, but not for threads */
    struct arena *free_list; /* newest first */
    struct arena *retired;   /* private ones that can be used again */
} set = {
    .lock = LOCK_INITIAL(LOCK_RANK_ARENAS),
    .count = 1,
};

/* What a thread remembers. Small: initial-exec TLS of a library that may be
 * opened at run time comes out of a few hundred bytes. */
static PTM_TLS struct {
    struct arena *arena;
    bool is_known;   /* has been counted */
    bool is_leaving; /* attaches to no arena any more */
} thread;

static void lock_set(void)
{
    while (!lock_acquire(&set.lock)) {
        arenas_after_fork();
    }
}

static void unlock_set(void)
{
    lock_release(&set.lock);
}

unsigned arenas_count(void)
{
    return __atomic_load_n(&set.count, __ATOMIC_ACQUIRE);
}

bool arenas_thread_is_new(void)
{
    return !thread.is_known;
}

unsigned arenas_note_thread(void)
{
    thread.is_known = true;
    return __atomic_add_fetch(&set.threads, 1, __ATOMIC_RELAXED);
}

struct arena *arenas_attached(void)
{
    return thread.arena;
}

static unsigned thread_count(const struct arena *arena)
{
    return __atomic_load_n(&arena->attached, __ATOMIC_RELAXED);
}

bool arenas_has_threads(const struct arena *arena)
{
    return thread_count(arena) > 0;
}

bool arena_acquire(struct arena *arena)
{
    if (likely(lock_try(&arena->lock))) {
        return true;
    }
    while (!arena->is_abandoned) {
        if (lock_acquire(&arena->lock)) {
            return true;
        }
        arenas_after_fork();
    }
    return false;
}

void arena_release(struct arena *arena)
{
    lock_release(&arena->lock);
}

/* Before the lock was had the heap may have gone, and the 64 MiB may be
 * another's. */
struct arena *arenas_hold(const void *mem)
{
    for (;;) {
        unsigned number = owner_of(mem);
        struct arena *arena = number != 0 ? arena_numbered(number) : NULL;
        if (arena == NULL || !arena_acquire(arena) || owner_of(mem) == number) {
            return arena;
        }
        arena_release(arena);
    }
}

void arenas_let_go(struct arena *arena)
{
    if (arena != NULL && !arena->is_abandoned) {
        arena_release(arena);
    }
}

bool arenas_has(const struct arena *held, const void *mem)
{
    return held != NULL && heap_contains(heap_for_ptr(mem), mem2chunk(mem));
}

/* Who else has the lock of an arena with one thread is done soon: it sorts what
 * it has sent there, or gives memory back. To move would leave idle all that is
 * free there. But in a signal handler it may be this thread itself that has
 * the lock, or is about to note that it has. */
static bool wait_if_alone(struct arena *arena)
{
    if (thread_count(arena) > 1 || lock_is_mine(&arena->lock)) {
        return false;
    }
    for (int i = 0; i < ALONE_PATIENCE && !arena->is_abandoned; i++) {
        os_yield();
        if (lock_try_patiently(&arena->lock)) {
            return true;
        }
    }
    return false;
}

struct arena *arena_get(void)
{
    struct arena *arena = thread.arena;
    if (likely(arena != NULL) &&
        (likely(lock_try_patiently(&arena->lock)) || wait_if_alone(arena))) {
        return arena;
    }
    return NULL;
}

/* ---- attachment: under the lock of the set ---------------------------- */

static void leave_locked(struct arena *arena)
{
    if (arena == NULL || arena->attached == 0) {
        return;
    }
    __atomic_store_n(&arena->attached, arena->attached - 1, __ATOMIC_RELAXED);
    if (arena->attached > 0 || arena->is_abandoned) {
        return;
    }
    arena->next_free = set.free_list;
    arena->is_on_free_list = true;
    set.free_list = arena;
}

static void take_off_free_list(struct arena *arena)
{
    struct arena **link = &set.free_list;
    while (*link != arena) {
        link = &(*link)->next_free;
    }
    *link = arena->next_free;
    arena->is_on_free_list = false;
}

/* The thread's arena is now this one. */
static void attach(struct arena *arena)
{
    if (thread.is_leaving || arena == thread.arena) {
        return;
    }
    lock_set();
    leave_locked(thread.arena);
    if (arena->is_on_free_list) {
        take_off_free_list(arena);
    }
    __atomic_store_n(&arena->attached, arena->attached + 1, __ATOMIC_RELAXED);
    thread.arena = arena;
    unlock_set();
}

void arenas_detach_thread(void)
{
    thread.is_leaving = true;
    lock_set();
    leave_locked(thread.arena);
    thread.arena = NULL;
    unlock_set();
}

/* ---- choosing --------------------------------------------------------- */

static unsigned cpu_count(void)
{
    unsigned cpus = __atomic_load_n(&set.cpus, __ATOMIC_RELAXED);
    if (cpus == 0) {
        cpus = os_cpu_limit();
        __atomic_store_n(&set.cpus, cpus, __ATOMIC_RELAXED);
    }
    return cpus;
}

void arenas_count_cpus(void)
{
    cpu_count();
}

static unsigned arena_limit(void)
{
    size_t wish = option_get(OPTION_ARENA_MAX);
    size_t limit = wish > 0 ? wish : (size_t)cpu_count() * ARENAS_PER_CPU;
    return (unsigned)min_size(limit, ARENAS_MAX);
}

static bool was_tried(const struct arena_tries *tries,
                      const struct arena *arena)
{
    unsigned number = arena->number;
    return tries != NULL && (tries->tried[number / 64] >> number % 64 & 1) != 0;
}

static struct arena *newest_free_arena(const struct arena_tries *tries)
{
    lock_set();
    struct arena *arena = set.free_list;
    while (arena != NULL && was_tried(tries, arena)) {
        arena = arena->next_free;
    }
    unlock_set();
    return arena;
}

/* A free arena has no threads, but others may be freeing its blocks just now.
 */
static struct arena *take_free_arena(const struct arena_tries *tries)
{
    struct arena *arena = newest_free_arena(tries);
    return arena != NULL && arena_acquire(arena) ? arena : NULL;
}

/* All arenas, in an order that differs from CPU to CPU, so that threads that
 * flee from one lock do not all meet at the next. Those that `take` gets are
 * locked. */
static struct arena *search(const struct arena_tries *tries,
                            bool (*take)(struct arena *))
{
    unsigned count = arenas_count();
    unsigned start = os_current_cpu();
    for (unsigned i = 0; i < count; i++) {
        struct arena *arena = arena_numbered((start + i) % count + 1);
        if (!was_tried(tries, arena) && take(arena)) {
            return arena;
        }
    }
    return NULL;
}

static bool take_if_idle(struct arena *arena)
{
    return !arena->is_abandoned && !arena->is_private && lock_try(&arena->lock);
}

static bool take_in_turn(struct arena *arena)
{
    return !arena->is_private && arena_acquire(arena);
}

/* Those that serve threads, without the ones that were lost. */
static unsigned shared_count(void)
{
    unsigned privates = __atomic_load_n(&set.privates, __ATOMIC_RELAXED);
    return arenas_count() - privates - set.abandoned;
}

static bool may_make_arena(const struct arena_tries *tries)
{
    return (tries == NULL || !tries->made_new) && arenas_count() < ARENAS_MAX &&
           shared_count() < arena_limit();
}

bool arenas_any_left(void)
{
    return shared_count() > 0;
}

/* Enters the arena into the table, if there is still room. */
static bool publish(struct arena *arena)
{
    lock_set();
    bool has_room = may_make_arena(NULL);
    if (has_room) {
        unsigned number = arenas_count() + 1;
        arena_initialise(arena, number, CHUNK_NON_MAIN_ARENA);
        lock_confirm(&arena->lock);
        __atomic_store_n(&arena_table[number], arena, __ATOMIC_RELEASE);
        __atomic_store_n(&set.count, number, __ATOMIC_RELEASE);
    }
    unlock_set();
    return has_room;
}

/* A new arena, locked. Its memory is never returned: it is a few KiB, and the
 * number of arenas is bounded. */
static struct arena *make_arena(struct arena_tries *tries)
{
    if (!may_make_arena(tries)) {
        return NULL;
    }
    size_t bytes = round_up(sizeof(struct arena), os_page_size());
    struct arena *arena = os_map_fenced(bytes);
    if (arena == NULL) {
        return NULL;
    }
    lock_initialise(&arena->lock, LOCK_RANK_ARENA);
    lock_try(&arena->lock);
    if (!publish(arena)) {
        lock_release(&arena->lock);
        os_unmap_fenced(arena, bytes);
        return NULL;
    }
    if (tries != NULL) {
        tries->made_new = true;
    }
    return arena;
}

static bool take_if_unused(struct arena *arena)
{
    return !arenas_has_threads(arena) && take_if_idle(arena);
}

static unsigned arenas_for_new_threads(void)
{
    unsigned cpus = cpu_count();
    return cpus > 1 ? cpus + ARENAS_EXTRA : cpus;
}

/* Blocks of two threads of one arena lie side by side, on one cache line at
 * worst: a thread that comes gets an arena that no other thread has, as long
 * as there are no more of them than threads can run at once, and one for the
 * thread that started those and waits for them. Who has one CPU shares no line
 * with anyone at the same time. */
static bool deserves_own_arena(void)
{
    return thread.arena == NULL && !thread.is_leaving &&
           shared_count() < arenas_for_new_threads();
}

/* Where the fewest threads are. */
static struct arena *take_least_used(const struct arena_tries *tries)
{
    struct arena *best = NULL;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena *arena = arena_numbered(number);
        if (!arena->is_abandoned && !arena->is_private &&
            !was_tried(tries, arena) &&
            (best == NULL || thread_count(arena) < thread_count(best))) {
            best = arena;
        }
    }
    return best != NULL && lock_try(&best->lock) ? best : NULL;
}

static struct arena *take_for_new_thread(struct arena_tries *tries)
{
    struct arena *arena = search(tries, take_if_unused);
    if (arena == NULL && deserves_own_arena()) {
        arena = make_arena(tries);
    }
    return arena != NULL ? arena : take_least_used(tries);
}

struct arena *arena_get2(struct arena_tries *tries)
{
    struct arena *arena = take_free_arena(tries);
    if (arena == NULL && thread.arena == NULL) {
        arena = take_for_new_thread(tries);
    }
    if (arena == NULL) {
        arena = search(tries, take_if_idle);
    }
    if (arena == NULL) {
        arena = make_arena(tries);
    }
    if (arena == NULL) {
        arena = search(tries, take_in_turn);
    }
    if (arena != NULL) {
        attach(arena);
    }
    return arena;
}

struct arena *arena_get_retry(struct arena *failed, struct arena_tries *tries)
{
    tries->tried[failed->number / 64] |= (uint64_t)1 << failed->number % 64;
    arena_release(failed);
    if (!was_tried(tries, &main_arena) && arena_acquire(&main_arena)) {
        return &main_arena;
    }
    return arena_get2(tries);
}

/* ---- private arenas ----------------------------------------------------- */

/* One that was lost in a fork meanwhile is of no use to anybody. */
static struct arena *take_retired(void)
{
    lock_set();
    struct arena *arena = set.retired;
    while (arena != NULL && arena->is_abandoned) {
        arena = arena->next_free;
    }
    set.retired = arena != NULL ? arena->next_free : NULL;
    unlock_set();
    return arena;
}

static bool publish_private(struct arena *arena)
{
    lock_set();
    unsigned number = arenas_count() + 1;
    bool has_room = number <= ARENAS_MAX && set.privates < PRIVATE_ARENAS_MAX;
    if (has_room) {
        arena_initialise(arena, number, CHUNK_NON_MAIN_ARENA);
        arena->is_private = true;
        lock_confirm(&arena->lock);
        __atomic_store_n(&set.privates, set.privates + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&arena_table[number], arena, __ATOMIC_RELEASE);
        __atomic_store_n(&set.count, number, __ATOMIC_RELEASE);
    }
    unlock_set();
    return has_room;
}

static struct arena *map_private(void)
{
    size_t bytes = round_up(sizeof(struct arena), os_page_size());
    struct arena *arena = os_map(bytes);
    if (arena == NULL) {
        return NULL;
    }
    lock_initialise(&arena->lock, LOCK_RANK_ARENA);
    if (!publish_private(arena)) {
        os_unmap(arena, bytes);
        return NULL;
    }
    return arena;
}

struct arena *arenas_make_private(size_t limit)
{
    struct arena *arena = take_retired();
    if (arena == NULL) {
        arena = map_private();
    }
    if (arena != NULL) {
        arena->limit = limit;
        arena->max_system_bytes = arena->system_bytes;
    }
    return arena;
}

void arenas_retire_private(struct arena *arena)
{
    lock_set();
    arena->next_free = set.retired;
    set.retired = arena;
    unlock_set();
}

/* ---- fork --------------------------------------------------------------- */

/* Only the forking thread is left. */
static void free_arenas_of_lost_threads(void)
{
    struct arena *free_list = NULL;
    for (unsigned number = arenas_count(); number >= 1; number--) {
        struct arena *arena = arena_numbered(number);
        bool is_mine = arena == thread.arena;
        arena->attached = is_mine;
        arena->is_on_free_list =
            !is_mine && !arena->is_abandoned && !arena->is_private;
        if (arena->is_on_free_list) {
            arena->next_free = free_list;
            free_list = arena;
        }
    }
    set.free_list = free_list;
}

/* An arena whose holder is gone may be half changed: it is never locked again,
 * its blocks stay readable, and freeing them does nothing. */
static void abandon_if_orphaned(struct arena *arena)
{
    if (lock_is_confirmed(&arena->lock)) {
        return;
    }
    if (lock_is_orphaned(&arena->lock) && !arena->is_abandoned) {
        arena->is_abandoned = true;
        set.abandoned += !arena->is_private;
        lock_kill(&arena->lock);
    }
    lock_confirm(&arena->lock);
}

/* Runs in the one thread of a new process, from a fork handler or in the
 * first wait for a lock, whichever comes first. The second of them finds that
 * all locks are confirmed, and must do nothing: there may be more threads by
 * then.
 *
 * The thread itself may hold a lock, when a signal handler interrupted it and
 * forked. What that lock guards is left as it is: the interrupted function
 * will go on where it was. */
void arenas_after_fork(void)
{
    for (unsigned number = arenas_count(); number >= 1; number--) {
        abandon_if_orphaned(arena_numbered(number));
    }
    if (thread.arena != NULL && thread.arena->is_abandoned) {
        thread.arena = NULL;
    }
    if (lock_is_confirmed(&set.lock)) {
        return;
    }
    if (lock_is_orphaned(&set.lock)) {
        lock_reset(&set.lock);
    }
    if (!lock_is_mine(&set.lock)) {
        free_arenas_of_lost_threads();
    }
    lock_confirm(&set.lock);
}
