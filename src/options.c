#include "options.h"

#include <string.h>

#include "fatal.h"
#include "os.h"

extern char **environ;

size_t option_values[OPTION_COUNT] = {
    [OPTION_MMAP_THRESHOLD] = DEFAULT_MMAP_THRESHOLD,
    [OPTION_MMAP_MAX] = DEFAULT_MMAP_MAX,
    [OPTION_TRIM_THRESHOLD] = DEFAULT_TRIM_THRESHOLD,
    [OPTION_TCACHE_MAX] = DEFAULT_TCACHE_MAX,
    [OPTION_RUN_MAX] = DEFAULT_RUN_MAX,
    [OPTION_MAPPED_CACHE] = DEFAULT_MAPPED_CACHE,
};

static const char PTM_VARIABLE[] = "PTM_OPTIONS";

/* Arrays, not pointers: a table of pointers would need a relocation each. */
static const struct option_name {
    char key[16];
    char variable[24]; /* glibc's name for it, if it has one */
    size_t most;
} option_names[OPTION_COUNT] = {
    [OPTION_ARENA_MAX] = {"arena_max", "MALLOC_ARENA_MAX", SIZE_MAX},
    [OPTION_MMAP_THRESHOLD] = {"mmap_threshold", "MALLOC_MMAP_THRESHOLD_",
                               SIZE_MAX},
    [OPTION_MMAP_MAX] = {"mmap_max", "MALLOC_MMAP_MAX_", SIZE_MAX},
    [OPTION_TRIM_THRESHOLD] = {"trim_threshold", "MALLOC_TRIM_THRESHOLD_",
                               SIZE_MAX},
    [OPTION_TOP_PAD] = {"top_pad", "MALLOC_TOP_PAD_", SIZE_MAX},
    [OPTION_TCACHE_MAX] = {"tcache_max", "", SIZE_MAX},
    [OPTION_RUN_MAX] = {"run_max", "", SIZE_MAX},
    [OPTION_MAPPED_CACHE] = {"mapped_cache", "", SIZE_MAX},
    [OPTION_PERTURB] = {"perturb", "MALLOC_PERTURB_", 255},
};

/* A word of the environment; not terminated. */
struct span {
    const char *text;
    size_t length;
};

static bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.length &&
           memcmp(span.text, text, span.length) == 0;
}

static void append_quoted(struct message *message, struct span span)
{
    message_text(message, "'");
    message_bytes(message, span.text, min_size(span.length, 64));
    message_text(message, "'");
}

static void warn_unknown(struct span key)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: PTM_OPTIONS: unknown option ");
    append_quoted(&message, key);
    message_write(&message);
}

static void warn_bad_value(const char *variable, struct span key,
                           struct span value)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: ");
    message_text(&message, variable);
    message_text(&message, ": bad value ");
    append_quoted(&message, value);
    message_text(&message, " for ");
    append_quoted(&message, key);
    message_write(&message);
}

/* Whole decimal or 0x numbers, with an optional k, m or g for 2^10, 2^20,
 * 2^30. */
static bool parse_number(struct span span, size_t *number)
{
    size_t at = 0;
    unsigned base = 10;
    if (span.length > 2 && span.text[0] == '0' && span.text[1] == 'x') {
        base = 16;
        at = 2;
    }
    size_t value = 0;
    size_t first = at;
    for (; at < span.length; at++) {
        char c = span.text[at];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : base;
        if (digit >= base) {
            break;
        }
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    if (at == first) {
        return false;
    }
    if (at + 1 == span.length) {
        static const char units[] = "kmg";
        const char *unit = strchr(units, span.text[at] | 0x20);
        if (unit == NULL || *unit == '\0' ||
            __builtin_mul_overflow(
                value, (size_t)1 << (10 * (unit - units + 1)), &value)) {
            return false;
        }
        at++;
    }
    *number = value;
    return at == span.length;
}

static bool set_from_text(unsigned option, struct span value)
{
    size_t number;
    if (!parse_number(value, &number) || number > option_names[option].most) {
        return false;
    }
    option_set((enum option)option, number);
    return true;
}

static void apply_pair(struct span pair)
{
    const char *equals = memchr(pair.text, '=', pair.length);
    size_t key_length =
        equals != NULL ? (size_t)(equals - pair.text) : pair.length;
    struct span key = {pair.text, key_length};
    struct span value = {pair.text + pair.length, 0};
    if (equals != NULL) {
        value.text = equals + 1;
        value.length = pair.length - key_length - 1;
    }
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (span_is(key, option_names[i].key)) {
            if (!set_from_text(i, value)) {
                warn_bad_value(PTM_VARIABLE, key, value);
            }
            return;
        }
    }
    warn_unknown(key);
}

static void apply_list(const char *list)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        if (length > 0) {
            apply_pair((struct span){list, length});
        }
        list += length;
        list += *list == ',';
    }
}

/* The value of NAME in the entry NAME=value, or NULL. */
static const char *value_of(const char *entry, const char *name)
{
    size_t length = strlen(name);
    return strncmp(entry, name, length) == 0 && entry[length] == '='
               ? entry + length + 1
               : NULL;
}

/* glibc ignores values it cannot read, silently; so do we for its own
 * variables, which were not written for us. */
static void apply_glibc_variable(const char *entry)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const char *value = value_of(entry, option_names[i].variable);
        if (value != NULL) {
            set_from_text(i, (struct span){value, strlen(value)});
        }
    }
}

bool options_read_environment(void)
{
    if (environ == NULL) {
        return false;
    }
    if (os_is_secure()) {
        return true;
    }
    const char *list = NULL;
    for (char **entry = environ; *entry != NULL; entry++) {
        const char *value = value_of(*entry, PTM_VARIABLE);
        if (value != NULL) {
            list = value;
        } else if (strncmp(*entry, "MALLOC_", 7) == 0) {
            apply_glibc_variable(*entry);
        }
    }
    if (list != NULL) {
        apply_list(list);
    }
    return true;
}
