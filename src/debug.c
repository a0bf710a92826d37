#define _GNU_SOURCE
#include "debug.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arenas.h"
#include "glibc_malloc.h"
#include "guard.h"
#include "options.h"
#include "visit.h"

void *memalign(size_t alignment, size_t size);

/* ---- mtrace ------------------------------------------------------------- */

enum { WHERE_LENGTH = 400 };

static int trace_file = -1;

/* "@ file:(function+0x12)[0x1234] ", as far as it is known. */
static void describe_caller(char where[WHERE_LENGTH], const void *caller)
{
    Dl_info info;
    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL) {
        snprintf(where, WHERE_LENGTH, "@ [%p] ", caller);
    } else if (info.dli_sname == NULL) {
        snprintf(where, WHERE_LENGTH, "@ %s:[%p] ", info.dli_fname, caller);
    } else {
        snprintf(where, WHERE_LENGTH, "@ %s:(%s+0x%lx)[%p] ", info.dli_fname,
                 info.dli_sname,
                 (unsigned long)((uintptr_t)caller - (uintptr_t)info.dli_saddr),
                 caller);
    }
}

static void trace_new(const void *caller, const void *mem, size_t size)
{
    char where[WHERE_LENGTH];
    describe_caller(where, caller);
    dprintf(trace_file, "%s+ %p %#lx\n", where, mem, (unsigned long)size);
}

static void *traced_malloc(size_t size, const void *caller)
{
    void *mem = malloc(size);
    trace_new(caller, mem, size);
    return mem;
}

static void *traced_memalign(size_t alignment, size_t size, const void *caller)
{
    void *mem = memalign(alignment, size);
    trace_new(caller, mem, size);
    return mem;
}

/* Before it is freed: afterwards it may be somebody else's. */
static void traced_free(void *mem, const void *caller)
{
    char where[WHERE_LENGTH];
    if (mem != NULL) {
        describe_caller(where, caller);
        dprintf(trace_file, "%s- %p\n", where, mem);
        free(mem);
    }
}

static void *traced_realloc(void *mem, size_t size, const void *caller)
{
    char where[WHERE_LENGTH];
    uintptr_t old = (uintptr_t)mem;
    describe_caller(where, caller);
    void *moved = realloc(mem, size);
    if (old == 0) {
        dprintf(trace_file, "%s+ %p %#lx\n", where, moved, (unsigned long)size);
    } else if (moved != NULL) {
        dprintf(trace_file, "%s< %p\n%s> %p %#lx\n", where, (void *)old, where,
                moved, (unsigned long)size);
    } else if (size == 0) {
        dprintf(trace_file, "%s- %p\n", where, (void *)old);
    } else {
        dprintf(trace_file, "%s! %p %#lx\n", where, (void *)old,
                (unsigned long)size);
    }
    return moved;
}

static const struct ptm_hooks tracing_hooks = {
    .malloc_hook = traced_malloc,
    .free_hook = traced_free,
    .realloc_hook = traced_realloc,
    .memalign_hook = traced_memalign,
};

PTM_EXPORT void muntrace(void)
{
    if (trace_file >= 0) {
        ptm_set_hooks(NULL);
        dprintf(trace_file, "= End\n");
        close(trace_file);
        trace_file = -1;
    }
}

PTM_EXPORT void mtrace(void)
{
    static bool ends_at_exit;
    const char *path = secure_getenv("MALLOC_TRACE");
    if (trace_file >= 0 || path == NULL) {
        return;
    }
    trace_file =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (trace_file < 0) {
        return;
    }
    dprintf(trace_file, "= Start\n");
    if (!ends_at_exit) {
        ends_at_exit = atexit(muntrace) == 0;
    }
    ptm_set_hooks(&tracing_hooks);
}

/* ---- mcheck ------------------------------------------------------------- */

static void (*abort_function)(enum mcheck_status status);
static bool mcheck_is_on;

PTM_EXPORT int mcheck(void (*function)(enum mcheck_status status))
{
    abort_function = function;
    mcheck_is_on = true;
    return 0;
}

PTM_EXPORT void mcheck_check_all(void)
{
    if (ptm_check() != 0) {
        if (abort_function == NULL) {
            abort();
        }
        abort_function(MCHECK_HEAD);
    }
}

/* What a heap has. */
static bool was_freed_in_heap(const void *mem)
{
    const struct chunk *chunk = mem2chunk(mem);
    unsigned size_class = block_run_class(mem);
    if (size_class != 0) {
        return run_has_object_at(size_class, mem);
    }
    return chunk_is_cached(chunk) ||
           (chunk_is_free(chunk) && chunk_is_sealed(chunk));
}

/* Which of the two a block that is not the program's is. */
static bool was_freed(const void *mem)
{
    if (guard_contains(mem)) {
        return guard_was_freed(mem);
    }
    struct arena *arena = arenas_hold(mem);
    bool answer = arenas_has(arena, mem) && was_freed_in_heap(mem);
    arenas_let_go(arena);
    return answer;
}

PTM_EXPORT enum mcheck_status mprobe(void *mem)
{
    if (!mcheck_is_on) {
        return MCHECK_DISABLED;
    }
    size_t size;
    if (visit_finds(mem, &size)) {
        return MCHECK_OK;
    }
    enum mcheck_status status = was_freed(mem) ? MCHECK_FREE : MCHECK_HEAD;
    if (abort_function != NULL) {
        abort_function(status);
    }
    return status;
}

static void *pedantic_malloc(size_t size, const void *caller)
{
    (void)caller;
    mcheck_check_all();
    return malloc(size);
}

static void *pedantic_memalign(size_t alignment, size_t size,
                               const void *caller)
{
    (void)caller;
    mcheck_check_all();
    return memalign(alignment, size);
}

static void *pedantic_realloc(void *mem, size_t size, const void *caller)
{
    (void)caller;
    mcheck_check_all();
    return realloc(mem, size);
}

static void pedantic_free(void *mem, const void *caller)
{
    (void)caller;
    mcheck_check_all();
    free(mem);
}

static const struct ptm_hooks pedantic_hooks = {
    .malloc_hook = pedantic_malloc,
    .free_hook = pedantic_free,
    .realloc_hook = pedantic_realloc,
    .memalign_hook = pedantic_memalign,
};

PTM_EXPORT int mcheck_pedantic(void (*function)(enum mcheck_status status))
{
    mcheck(function);
    ptm_set_hooks(&pedantic_hooks);
    return 0;
}

/* ---- __malloc_hook and its siblings -------------------------------------- */

typedef void *legacy_malloc_hook(size_t size, const void *caller);
typedef void *legacy_realloc_hook(void *mem, size_t size, const void *caller);
typedef void *legacy_memalign_hook(size_t alignment, size_t size,
                                   const void *caller);
typedef void legacy_free_hook(void *mem, const void *caller);

PTM_EXPORT legacy_malloc_hook *volatile __malloc_hook;
PTM_EXPORT legacy_realloc_hook *volatile __realloc_hook;
PTM_EXPORT legacy_memalign_hook *volatile __memalign_hook;
PTM_EXPORT legacy_free_hook *volatile __free_hook;

static void *legacy_malloc(size_t size, const void *caller)
{
    legacy_malloc_hook *hook = __malloc_hook;
    return hook != NULL ? hook(size, caller) : malloc(size);
}

static void *legacy_realloc(void *mem, size_t size, const void *caller)
{
    legacy_realloc_hook *hook = __realloc_hook;
    return hook != NULL ? hook(mem, size, caller) : realloc(mem, size);
}

static void *legacy_memalign(size_t alignment, size_t size, const void *caller)
{
    legacy_memalign_hook *hook = __memalign_hook;
    return hook != NULL ? hook(alignment, size, caller)
                        : memalign(alignment, size);
}

static void legacy_free(void *mem, const void *caller)
{
    legacy_free_hook *hook = __free_hook;
    if (hook != NULL) {
        hook(mem, caller);
    } else {
        free(mem);
    }
}

static const struct ptm_hooks legacy_hooks = {
    .malloc_hook = legacy_malloc,
    .free_hook = legacy_free,
    .realloc_hook = legacy_realloc,
    .memalign_hook = legacy_memalign,
};

__attribute__((constructor)) static void heed_legacy_hooks(void)
{
    if (option_get(OPTION_MALLOC_HOOKS) != 0) {
        ptm_set_hooks(&legacy_hooks);
    }
}
