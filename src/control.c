#include "control.h"

#include <errno.h>
#include <string.h>

#include "base.h"
#include "limit.h"
#include "options.h"
#include "profile.h"
#include "tcache.h"

static enum option option_called(const char *key)
{
    return option_named((struct span){key, strlen(key)});
}

PTM_EXPORT int ptm_option_get(const char *key, size_t *value)
{
    enum option option = option_called(key);
    if (option == OPTION_COUNT) {
        return ENOENT;
    }
    *value = option_get(option);
    return 0;
}

/* What blocks look like in hardened mode is so from the first one on. */
static bool is_fixed(enum option option)
{
    return option == OPTION_HARDENED || option == OPTION_KINDS;
}

static bool set_profile(size_t mean)
{
    if (mean == 0) {
        profile_stop();
    }
    return mean == 0 || profile_start(mean);
}

PTM_EXPORT int ptm_option_set(const char *key, size_t value)
{
    enum option option = option_called(key);
    if (option == OPTION_COUNT) {
        return ENOENT;
    }
    if (value > option_most(option)) {
        return EINVAL;
    }
    if (is_fixed(option) && value != option_get(option)) {
        return EPERM;
    }
    if (option == OPTION_PROFILE && !set_profile(value)) {
        return ENOMEM;
    }
    option_set(option, value);
    tcache_set_limits();
    limit_reset();
    return 0;
}
