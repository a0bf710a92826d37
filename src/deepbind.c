#define _GNU_SOURCE
#include "deepbind.h"

#include <dlfcn.h>

#include "options.h"

/* Not every C library has it. */
#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

typedef void *open_function(const char *path, int flags);

/* Found at the first call; several may find the same. */
static open_function *next_dlopen;

static PTM_COLD open_function *find_dlopen(void)
{
    open_function *found = (open_function *)dlsym(RTLD_NEXT, "dlopen");
    __atomic_store_n(&next_dlopen, found, __ATOMIC_RELAXED);
    return found;
}

PTM_EXPORT void *dlopen(const char *path, int flags)
{
    open_function *open = __atomic_load_n(&next_dlopen, __ATOMIC_RELAXED);
    if (open == NULL) {
        open = find_dlopen();
    }
    if (option_get(OPTION_DEEPBIND) == 0) {
        flags &= ~RTLD_DEEPBIND;
    }
    return open(path, flags);
}

/* ---- the C library's own malloc, by its handle --------------------------- */

#ifdef __GLIBC__

#include <gnu/libc-version.h>
#include <string.h>

typedef void *symbol_function(void *handle, const char *name);

/* Found at the first call; several may find the same. */
static symbol_function *next_dlsym;

/* By its version, since the name alone is ours. */
static PTM_COLD symbol_function *find_dlsym(void)
{
    static const char versions[][12] = {"GLIBC_2.34", "GLIBC_2.17",
                                        "GLIBC_2.2.5"};
    symbol_function *found = NULL;
    for (size_t i = 0; i < 3 && found == NULL; i++) {
        found = (symbol_function *)dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    }
    __atomic_store_n(&next_dlsym, found, __ATOMIC_RELAXED);
    return found;
}

/* By its plain name or that with __libc_ before it. */
static bool is_of_malloc(const char *name)
{
    static const char prefix[] = "__libc_";
    static const char family[][20] = {
        "malloc",       "free",         "calloc",
        "realloc",      "reallocarray", "memalign",
        "valloc",       "pvalloc",      "aligned_alloc",
        "cfree",        "mallopt",      "posix_memalign",
        "mallinfo",     "mallinfo2",    "malloc_trim",
        "malloc_stats", "malloc_info",  "malloc_usable_size",
    };
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) {
        name += sizeof prefix - 1;
    }
    for (size_t i = 0; i < sizeof family / sizeof family[0]; i++) {
        if (name[0] == family[i][0] && strcmp(name, family[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether both lie in one library. */
static bool are_neighbours(const void *function, const void *other)
{
    Dl_info one, two;
    return dladdr(function, &one) != 0 && dladdr(other, &two) != 0 &&
           one.dli_fbase == two.dli_fbase;
}

/* What the program calls by that name, if that is ours; else NULL. */
static void *find_ours(symbol_function *find, const char *name)
{
    void *found = find(RTLD_DEFAULT, name);
    return found != NULL && are_neighbours(found, &next_dlsym) ? found : NULL;
}

static PTM_NOINLINE void *find_of_malloc(symbol_function *find, void *handle,
                                         const char *name)
{
    void *found = find(handle, name);
    if (found == NULL ||
        !are_neighbours(found, (const void *)(uintptr_t)gnu_get_libc_version) ||
        find_ours(find, "malloc") == NULL || find_ours(find, "free") == NULL) {
        return found;
    }
    void *ours = find_ours(find, name);
    return ours != NULL ? ours : found;
}

PTM_EXPORT void *dlsym(void *handle, const char *name)
{
    symbol_function *find = __atomic_load_n(&next_dlsym, __ATOMIC_RELAXED);
    if (find == NULL) {
        find = find_dlsym();
    }
    if (handle != RTLD_DEFAULT && handle != RTLD_NEXT && is_of_malloc(name)) {
        return find_of_malloc(find, handle, name);
    }
    return find(handle, name);
}
#endif
