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
